"""The operator may die at any moment: another goes on where it was, and nothing is done twice."""

import random
import time

import pytest

from tests.e2e.builders import TEST_STANDARD
from tests.e2e.lives import Lives
from tests.e2e.server import Image
from tests.e2e.site import PATIENCE_SECONDS, Site

NODE = "node-1"
pytestmark = pytest.mark.kills_operator


def each_operation_once(site: Site, *pools: str) -> None:
    for verb in ("initialize", "fetch", "create", "delete-volume", "delete-parent", "release"):
        jobs = site.jobs.operations(verb, *pools)
        assert not [op for op, n in jobs.items() if n != 1], f"given to more than one Job: {jobs}"


def test_killed_during_a_fetch_it_downloads_once(site: Site, boot: Image, boot_line: str) -> None:
    golden, standard = site.pools_on(NODE)
    boot.pause = 2  # two minutes in all, unless the test lets it
    template = site.template(boot)
    site.machine("vm", template=template)
    assert boot.begun.wait(PATIENCE_SECONDS)

    site.operator.kill()
    assert site.images.whole(f"/{template}", NODE) == 0, "the fetch was over before the operator was killed"
    site.operator.start()
    site.operator.await_ready()
    boot.pause = 0
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")
    assert site.images.gets_of(f"/{template}") == {NODE: 1}
    assert len(site.jobs.operations("fetch", golden)) == 1
    each_operation_once(site, golden, standard)


def test_a_fetch_that_ends_while_no_operator_is_there_is_taken_over(site: Site, boot: Image) -> None:
    golden, standard = site.pools_on(NODE)
    boot.pause = 2  # two minutes in all, unless the test lets it
    template = site.template(boot)
    site.machine("vm", template=template)
    assert boot.begun.wait(PATIENCE_SECONDS)
    site.operator.kill()
    assert site.images.whole(f"/{template}", NODE) == 0, "the fetch was over before the operator was killed"
    boot.pause = 0
    site.eventually(lambda: site.images.whole(f"/{template}", NODE), "the Job goes on by itself")
    time.sleep(2)
    site.operator.start()
    site.running("vm")
    assert site.images.gets_of(f"/{template}") == {NODE: 1}
    each_operation_once(site, golden, standard)


def test_killed_while_children_are_made_it_makes_each_once(site: Site, boot: Image, boot_line: str) -> None:
    golden, standard = site.pools_on(NODE)
    template = site.template(boot, prepare=[golden])
    site.ready("Template", template)
    names = [f"m-{n}" for n in range(6)]
    for name in names:
        site.machine(name, template=template)
    site.eventually(lambda: site.jobs.operations("create", standard), "children are being made")
    site.operator.kill()
    site.operator.start()
    site.running(*names)
    for name in names:
        assert f"{boot_line} BOOTS 0001" in site.says(name, "BS-MARKER")
    each_operation_once(site, golden, standard)
    assert len(site.jobs.operations("create", standard)) == len(names)
    assert len(site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes")) == len(names)


def test_killed_during_deletion_it_finishes(site: Site, boot: Image) -> None:
    golden, standard = site.pools_on(NODE)
    template = site.template(boot)
    names = [f"m-{n}" for n in range(4)]
    for name in names:
        site.machine(name, template=template)
    site.running(*names)

    site.delete("VirtualMachine", *names)
    site.delete("Template", template)
    site.eventually(lambda: site.jobs.operations("delete-volume", standard), "files are being removed")
    site.operator.kill()
    site.operator.start()
    site.gone("VirtualMachine", *names)
    site.gone("Volume", *(f"{name}-root" for name in names))
    site.gone("Template", template)
    each_operation_once(site, golden, standard)


@pytest.mark.alone
def test_an_operator_that_dies_after_every_write_gets_there(
    site: Site, boot: Image, boot_line: str, lives: Lives
) -> None:
    """The whole path of a machine and its pools; nobody ever lives to hear of what was written. ``make kill-matrix``
    lets one die after each single write of it."""
    lives.begin(lambda _: True)
    hosts = {"kubernetes.io/hostname": NODE}
    golden = site.pool("golden", golden=True, hosts=hosts)
    standard = site.pool("standard", hosts=hosts)
    template = site.template(boot)
    site.machine("vm", template=template)
    site.running("vm", timeout=600)
    site.says("vm", f"{boot_line} BOOTS 0001")
    site.delete("VirtualMachine", "vm")
    site.delete("Template", template)
    site.delete("StoragePool", golden, standard)
    site.gone("VirtualMachine", "vm", timeout=600)
    site.gone("Volume", "vm-root", timeout=600)
    site.gone("Template", template, timeout=600)
    site.gone("StoragePool", golden, standard, timeout=600)
    print(f"{len(lives.writes)} writes, {len(lives.deaths)} deaths, {lives.lives} lives")
    assert len(lives.deaths) > 60
    lives.begin(None)
    each_operation_once(site, golden, standard)
    assert site.images.gets_of(f"/{template}") == {NODE: 1}


@pytest.mark.parametrize("seed", [1])
def test_killed_again_and_again_the_end_is_the_same(site: Site, boot: Image, seed: int) -> None:
    """Machines come and go meanwhile; ``site`` then looks for anything that was left."""
    chance = random.Random(seed)
    golden, standard = site.pools_on()
    template = site.template(boot)
    names = [f"m-{n}" for n in range(6)]
    for round_ in range(6):
        if round_ < 3:
            for name in names[2 * round_ : 2 * round_ + 2]:
                site.machine(name, template=template)
        else:
            site.delete("VirtualMachine", names[round_ - 3])
        time.sleep(chance.uniform(0.2, 4))
        site.operator.kill()
        site.operator.start()
    site.gone("VirtualMachine", *names[:3])
    site.running(*names[3:])
    each_operation_once(site, golden, standard)
    hosts = {p["spec"]["host"] for p in site.parents(template)}
    asked = site.images.gets_of(f"/{template}")
    assert set(asked) >= hosts
    assert set(asked.values()) == {1}, f"downloaded more than once: {asked}"
