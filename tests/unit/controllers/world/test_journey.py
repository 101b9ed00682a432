"""The happy path, and the same path with a crash after every write."""

from collections import Counter
from collections.abc import Callable

import pytest

from goldpool.kube import resources as r
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.server import Killed
from tests.unit.controllers.world.users import TEAM, a_data_volume, a_machine, a_pool, a_template

Act = Callable[[Cluster], object]

JOURNEY: tuple[Act, ...] = (
    lambda c: (
        c.server.put(r.STORAGE_POOL, a_pool("golden", golden=True)),
        c.server.put(r.STORAGE_POOL, a_pool("std")),
    ),
    lambda c: (
        c.server.put(r.TEMPLATE, a_template()),
        c.server.put(r.VOLUME, a_data_volume("data")),
        c.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", data=("data",))),
    ),
    lambda c: c.server.put(r.VIRTUAL_MACHINE, a_machine("vm-1")),
    lambda c: c.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, spec={"runStrategy": "Halted"}),
    lambda c: (
        c.server.remove(r.VIRTUAL_MACHINE, "vm-0", TEAM),
        c.server.remove(r.TEMPLATE, "debian"),
    ),
    lambda c: c.server.remove(r.VIRTUAL_MACHINE, "vm-1", TEAM),
    lambda c: (
        c.server.remove(r.VOLUME, "data", TEAM),
        c.server.remove(r.STORAGE_POOL, "std"),
        c.server.remove(r.STORAGE_POOL, "golden"),
    ),
)


def seen(cluster: Cluster) -> Counter[str]:
    """The state a person would describe, without what is minted or timed."""
    found: Counter[str] = Counter()
    for (resource, _), obj in cluster.server.objects.items():
        status = obj.get("status", {})
        state = status.get("phase") or status.get("state") or ""
        if resource in r.PRIMARY:
            blockers = len(status.get("blockers", ()))
            found[f"{resource.kind} {state} {blockers}"] += 1
        else:
            found[resource.kind] += 1
    found["locations"] = len(cluster.disks.initialized)
    found["parents on disk"] = len(cluster.disks.parents)
    found["volumes on disk"] = len(cluster.disks.volumes)
    found["guests"] = len(set(cluster.rules.writers.values()))
    return +found


def travelled(act_count: int) -> Cluster:
    cluster = Cluster()
    for act in JOURNEY[:act_count]:
        act(cluster)
        cluster.settle()
    return cluster


def test_the_journey_begins_with_two_pools_on_two_hosts() -> None:
    found = seen(travelled(1))
    assert (found["StoragePool Ready 0"], found["StorageLocation Ready 0"], found["locations"]) == (2, 4, 4)


def test_two_machines_run() -> None:
    found = seen(travelled(3))
    assert (found["VirtualMachine Running 0"], found["guests"], found["Volume InUse 0"]) == (2, 2, 3)
    assert found["Parent Ready 0"] == found["parents on disk"] >= 1


def test_a_template_in_use_waits_for_its_last_machine() -> None:
    found = seen(travelled(5))
    assert (found["Template Terminating 1"], found["guests"], found["VirtualMachine Running 0"]) == (1, 1, 1)
    gone = seen(travelled(6))
    assert (gone["Template Terminating 0"], gone["parents on disk"], gone["volumes on disk"]) == (0, 0, 1)


def test_in_the_end_nothing_is_left() -> None:
    assert seen(travelled(len(JOURNEY))) == Counter({"Node": 2})


@pytest.mark.parametrize("count", range(1, len(JOURNEY) + 1))
def test_where_it_rests_nothing_more_is_written(count: int) -> None:
    travelled(count).rest()


@pytest.mark.parametrize("count", range(1, len(JOURNEY) + 1))
def test_a_crash_after_any_write_leads_to_the_same_place(count: int) -> None:
    reference = travelled(count - 1)
    before = len(reference.server.writes)
    JOURNEY[count - 1](reference)
    reference.settle()
    number = len(reference.server.writes) - before
    for crash_at in range(1, number + 1):
        cluster = travelled(count - 1)
        JOURNEY[count - 1](cluster)
        settle_with_a_crash(cluster, before + crash_at)
        assert seen(cluster) == seen(reference), (
            f"crashed after {cluster.server.writes[before + crash_at - 1]}"
        )


def settle_with_a_crash(cluster: Cluster, write: int) -> None:
    """The write takes effect, its answer is never seen."""
    cluster.server.faults = lambda: "killed" if len(cluster.server.writes) == write - 1 else ""
    with pytest.raises(Killed):
        cluster.settle()
    cluster.server.faults = lambda: ""
    cluster.crash()
    cluster.settle()
