"""The operator dies after each single write of one machine's path: for every write a run that dies right after it."""

import os
import time
from collections.abc import Callable
from functools import partial

from goldpool.contracts.layout import DIRECTORIES
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD, a_pool
from tests.e2e.lives import Lives
from tests.e2e.nodes import Nodes
from tests.e2e.server import Image
from tests.matrix.canonical import State, settled, state
from tests.matrix.ending import PATIENCE, NewSite, each_operation_once, ended

NODE = "node-1"
FIRST = int(os.environ.get("GOLDPOOL_MATRIX_FROM", "1"))
STEP = int(os.environ.get("GOLDPOOL_MATRIX_STEP", "1"))
"""A run of part of the matrix: every STEPth write, beginning with FIRST."""
SPACING = int(os.environ.get("GOLDPOOL_MATRIX_SPACING", "0"))
"""0: one death per run, so as many runs as there are writes. Else so many runs, and in each a death after every
SPACINGth write, from another one on: each write is somebody's last one as well, in a tenth of the time."""

EMPTY = {".goldpool", ".goldpool/released.json", *DIRECTORIES, "lost+found"}
"""All that is in a pool's directory when Goldpool has left it."""


def every_write(lives: Lives, what: str, run: Callable[[State | None], State]) -> None:
    """Runs without a death, then with one after each write, until a run has no such write any more."""
    lives.begin(None)
    expected = run(None)
    total = len(lives.writes)
    print(f"\n{what}: {total} writes without a death", flush=True)
    began, runs, deaths, k = time.monotonic(), 0, 0, FIRST
    while not SPACING or k <= SPACING:
        started = time.monotonic()
        lives.begin(partial(dies_after, k))
        run(expected)
        if not lives.deaths:
            break
        runs, deaths = runs + 1, deaths + len(lives.deaths)
        print(
            f"{what}: died after write {k}, {', '.join(map(str, lives.deaths))}; "
            f"{len(lives.writes)} writes, {lives.lives} lives, {time.monotonic() - started:.0f} s",
            flush=True,
        )
        k += STEP
    took = time.monotonic() - began
    print(f"{what}: {runs} runs, {deaths} deaths, the same end each time; {took:.0f} s", flush=True)
    assert deaths >= (total - FIRST) // STEP // 2, "hardly any run died"


def dies_after(k: int, write: int) -> bool:
    return write >= k and (write - k) % SPACING == 0 if SPACING else write == k


def test_pools(lives: Lives, new_site: NewSite, nodes: Nodes) -> None:
    def run(expected: State | None) -> State:
        site = new_site()
        golden = site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": NODE})
        standard = site.pool("standard", hosts={"kubernetes.io/hostname": NODE})
        site.ready("StoragePool", golden, standard, timeout=PATIENCE)
        made = settled(lambda: state(site, NODE, golden, standard), expected, PATIENCE)
        ended(site)
        each_operation_once(site, golden, standard)
        left = [name for path in (TEST_GOLDEN, TEST_STANDARD) for name in nodes.files(NODE, path)]
        assert set(left) <= EMPTY
        return made

    every_write(lives, "pools", run)


def test_a_machine(lives: Lives, new_site: NewSite, boot: Image, boot_line: str) -> None:
    """The pools stay between runs: their own writes are the other test's."""
    lives.begin(None)
    base = new_site()
    hosts = {"kubernetes.io/hostname": NODE}
    golden, standard = base.name("golden"), base.name("standard")
    base.pools += [golden, standard]
    base.api.create(a_pool(golden, golden=True, hosts=hosts))
    base.api.create(a_pool(standard, hosts=hosts))
    base.ready("StoragePool", golden, standard, timeout=PATIENCE)

    def run(expected: State | None) -> State:
        site = new_site()
        template = site.template(boot)
        site.machine("vm", template=template)
        site.running("vm", timeout=PATIENCE)
        site.says("vm", f"{boot_line} BOOTS 0001", timeout=PATIENCE)
        site.ready("Template", template, timeout=PATIENCE)
        made = settled(lambda: state(site, NODE, golden, standard), expected, PATIENCE)
        ended(site)
        each_operation_once(site, golden, standard)
        assert site.images.gets_of(f"/{template}") == {NODE: 1}, "downloaded more than once"
        return made

    every_write(lives, "machine", run)
    lives.begin(None)
    ended(base)
