"""A source changes under machines: what there is stays as it was made, what comes takes the new bytes; and the same with
a crash after every write."""

from collections import Counter
from collections.abc import Callable

import pytest

from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.test_journey import seen, settle_with_a_crash
from tests.unit.controllers.world.users import TEAM, a_machine, a_pool, a_template

URL = "https://mirror.example/debian"
HOUR = 3600
Act = Callable[[Cluster], object]


def source_changes(cluster: Cluster) -> None:
    """And is asked at its time."""
    cluster.disks.served[URL] = cluster.disks.served.get(URL, 0) + 1
    cluster.server.pass_time(1.2 * HOUR)
    cluster.operator.release_due()


STEPS: tuple[Act, ...] = (
    lambda c: (
        c.server.put(r.STORAGE_POOL, a_pool("golden", golden=True)),
        c.server.put(r.STORAGE_POOL, a_pool("std")),
        c.server.put(r.TEMPLATE, a_template(prepare=("golden",), refresh="Refetch", checks=True)),
    ),
    lambda c: c.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0")),
    source_changes,
    lambda c: c.server.put(r.VIRTUAL_MACHINE, a_machine("vm-1")),
    lambda c: c.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, spec={"runStrategy": "Halted"}),
    lambda c: c.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, spec={"runStrategy": "Always"}),
    lambda c: c.server.remove(r.VIRTUAL_MACHINE, "vm-0", TEAM),
)


def after(count: int) -> Cluster:
    cluster = Cluster()
    for act in STEPS[:count]:
        act(cluster)
        cluster.settle(horizon=10)
    return cluster


def template(cluster: Cluster) -> Obj:
    found = cluster.server.find(r.TEMPLATE, "debian")
    assert found is not None
    return found


def revisions(cluster: Cluster) -> Counter[str]:
    return Counter(cluster.disks.parents.values())


def test_prepared_copies_are_replaced_where_nobody_uses_them_and_stay_where_somebody_does() -> None:
    cluster = after(2)
    old = template(cluster)["status"]["revision"]
    assert revisions(cluster) == {old: 2}
    cluster = after(3)
    new = cluster.disks.revision_of(URL)
    assert new != old
    assert template(cluster)["status"]["revision"] == new
    assert template(cluster)["status"]["refetches"] == 1
    assert revisions(cluster) == {new: 2, old: 1}


def test_a_machine_starts_over_the_bytes_its_disk_was_made_of_and_a_new_one_over_the_new() -> None:
    cluster = after(6)
    made = {v["metadata"]["name"]: v["status"]["revision"] for v in cluster.server.all(r.VOLUME)}
    new = cluster.disks.revision_of(URL)
    assert made["vm-1-root"] == new != made["vm-0-root"]
    assert len(cluster.pods()) == 2  # rules.py looks under each guest when it starts


def test_the_old_copy_goes_with_its_last_child() -> None:
    cluster = after(len(STEPS))
    assert revisions(cluster) == {cluster.disks.revision_of(URL): 2}
    cluster.rest()


@pytest.mark.parametrize("count", range(1, len(STEPS) + 1))
def test_a_crash_after_any_write_leads_to_the_same_revisions(count: int) -> None:
    reference = after(count - 1)
    before = len(reference.server.writes)
    STEPS[count - 1](reference)
    reference.settle(horizon=10)
    for crash_at in range(1, len(reference.server.writes) - before + 1):
        cluster = after(count - 1)
        STEPS[count - 1](cluster)
        settle_with_a_crash(cluster, before + crash_at)
        what = f"crashed after {cluster.server.writes[before + crash_at - 1]}"
        assert revisions(cluster) == revisions(reference), what
        assert seen(cluster) == seen(reference), what
        assert template(cluster)["status"]["revision"] == template(reference)["status"]["revision"], what
