"""What can go wrong between the operator and the API server: it converges, nothing is lost, nothing is done twice."""

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import leadership
from tests.e2e.api import Api
from tests.e2e.operator_process import TIMES, OperatorProcess
from tests.e2e.proxy import ApiProxy, Event, Request
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.e2e.thoroughness import thorough

NODE = "node-1"
pytestmark = pytest.mark.alone
OUTAGE_SECONDS = float(os.environ.get("GOLDPOOL_OUTAGE_SECONDS", "6"))
"""`make kill-matrix` takes a full minute: longer than the Lease."""
VERBS = ("initialize", "fetch", "create", "delete-volume", "delete-parent", "release")


@dataclass
class Wired:
    """The only operator, behind a proxy."""

    proxy: ApiProxy
    process: OperatorProcess


@pytest.fixture
def wired(site: Site, api: Api, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Wired]:
    site.operator.stop()
    proxy = ApiProxy(operator_kubeconfig, tmp_path / "proxy")
    times = TIMES | {"SWEEP_SECONDS": "3"}
    process = OperatorProcess(
        tmp_path / "log", proxy.kubeconfig, times=times, after_death=lambda: leadership.free(api)
    )
    process.start()
    process.await_ready()
    try:
        yield Wired(proxy, process)
    finally:
        process.stop()
        proxy.close()
        print(process.tail())
        leadership.free(api)
        site.operator.start()


def come_and_go(site: Site, boot: Image, meanwhile: Callable[[], None]) -> None:
    """Machines are under way when it happens, others are made and deleted meanwhile; at the end nothing is left, and
    no operation was given to a second Job."""
    pools = site.pools_on(NODE)
    template = site.template(boot)
    for name in ("a", "b", "c"):
        site.machine(name, template=template)
    site.eventually(lambda: site.jobs.operations("fetch", *pools), "the template is being fetched")
    meanwhile()
    site.machine("d", template=template)
    site.delete("VirtualMachine", "a")
    site.gone("VirtualMachine", "a")
    site.running("b", "c", "d")
    assert site.images.gets_of(f"/{template}") == {NODE: 1}
    site.close()
    for verb in VERBS:
        jobs = site.jobs.operations(verb, *pools)
        assert set(jobs.values()) <= {1}, f"given to more than one Job: {jobs}"


def test_an_outage_of_the_api_server(site: Site, wired: Wired, boot: Image) -> None:
    def outage() -> None:
        with wired.proxy.outage():
            site.delete("VirtualMachine", "b")
            time.sleep(OUTAGE_SECONDS)
        template = site.templates[0]
        site.gone("VirtualMachine", "b")
        site.machine("b", template=template)

    come_and_go(site, boot, outage)


def test_every_watch_is_told_that_its_version_is_too_old(site: Site, wired: Wired, boot: Image) -> None:
    """As after compaction, or an update of a CRD. What was deleted unseen meanwhile is noticed."""
    told: set[str] = set()

    def once(request: Request) -> bool:
        first = request.path not in told
        told.add(request.path)
        return first

    def expire() -> None:
        with wired.proxy.outage():
            site.delete("VirtualMachine", "c")
            wired.proxy.faults.expires = once
        site.eventually(lambda: len(told) >= 11, "each of the eleven watches was told")
        site.gone("VirtualMachine", "c")
        site.machine("c", template=site.templates[0])

    come_and_go(site, boot, expire)


@pytest.mark.parametrize(
    "kinds",
    thorough(
        {"Job", "Pod"}, {"Volume", "VirtualMachine", "Template"}, {"Parent", "StorageLocation", "Lease"}
    ),
)
def test_events_that_never_arrive(site: Site, wired: Wired, boot: Image, kinds: set[str]) -> None:
    """Not one event of these kinds: all that the operator hears of them are answers to its own writes, and its sweeps."""

    def drops(event: Event) -> bool:
        return event["type"] != "BOOKMARK" and event["object"].get("kind") in kinds

    wired.proxy.faults.drops = drops
    come_and_go(site, boot, lambda: None)
    assert wired.process.metric("goldpool_sweeper_corrections_total") > 0


def test_the_api_server_is_killed_and_started_again(site: Site, boot: Image) -> None:
    """The real one, under the operator, the kubelets and the controllers of Jobs: it forgets every watch."""
    come_and_go(site, boot, site.nodes.restart_apiserver)


@pytest.mark.parametrize("seed", [1])
def test_events_that_come_late(site: Site, wired: Wired, boot: Image, seed: int) -> None:
    """Each watch lags behind by seconds of its own: what the cache says is old, and old in different ways."""
    chance = random.Random(seed)
    lag = {
        kind: chance.uniform(0.5, 4) for kind in ("VirtualMachine", "Volume", "Parent", "Job", "Pod", "Lease")
    }
    wired.proxy.faults.delays = lambda event: lag.get(event["object"].get("kind", ""), 0)
    come_and_go(site, boot, lambda: None)


def test_answers_that_get_lost(site: Site, wired: Wired, boot: Image) -> None:
    """Every fourth write is carried out, and the operator is never told."""
    counted: list[str] = []

    def loses(request: Request) -> bool:
        if not request.writes or request.path.endswith("/goldpool-operator"):
            return False
        counted.append(request.path)
        return len(counted) % 4 == 0

    wired.proxy.faults.loses_answer = loses
    come_and_go(site, boot, lambda: None)
    assert len(counted) > 40
