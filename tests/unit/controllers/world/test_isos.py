"""ISOs in machines' CD drives: from the first wish to the last copy's end, and what no watch has told of."""

from collections.abc import Callable
from typing import Any

import pytest

from goldpool.contracts.report import FailureReason
from goldpool.controllers.changes import iso_of
from goldpool.controllers.naming import REMOVING_ANNOTATION
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.rules import _cdrom
from tests.unit.controllers.world.test_journey import seen, settle_with_a_crash
from tests.unit.controllers.world.test_staleness import hear_all_but, work_without_hearing_of
from tests.unit.controllers.world.users import TEAM, a_machine, a_pool, a_template, an_iso, inserted


@pytest.fixture
def cluster() -> Cluster:
    """Two pools, an ISO that stays with nobody, and one machine that installs itself from it."""
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    iso = an_iso()
    iso["spec"]["retention"] = "1s"
    made.server.put(r.TEMPLATE, iso)
    made.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", template="", iso="tools"))
    made.settle()
    return made


def machine(cluster: Cluster, name: str = "vm-0") -> Obj:
    found = cluster.server.find(r.VIRTUAL_MACHINE, name, TEAM)
    assert found is not None
    return found


def ready(obj: Obj) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [c for c in obj["status"]["conditions"] if c["type"] == "Ready"]
    return found


def edit(cluster: Cluster, **spec: Any) -> Obj:
    return cluster.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, spec=spec)


def test_it_runs_with_an_empty_disk_and_the_iso_on_its_host(cluster: Cluster) -> None:
    [pod], [parent] = cluster.pods(), cluster.server.all(r.PARENT)
    assert _cdrom(pod) == parent["metadata"]["name"]
    assert parent["spec"]["host"] == pod["spec"]["nodeName"]
    assert parent["spec"]["pool"] == "golden"
    assert iso_of(machine(cluster))["parent"] == parent["metadata"]["name"]
    assert machine(cluster)["status"]["phase"] == "Running"
    [root] = cluster.disks.volumes.values()
    assert root.parent is None
    cluster.rest()


def test_an_iso_that_is_not_golden_lies_on_an_ordinary_pool() -> None:
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, an_iso(golden=False))
    made.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", template="", iso="tools"))
    made.settle()
    [parent] = made.server.all(r.PARENT)
    assert (parent["spec"]["pool"], parent["spec"]["fallback"]) == ("std", False)
    assert made.pods()


def test_a_machine_of_a_template_may_have_a_driver_cd_too(cluster: Cluster) -> None:
    cluster.server.put(r.TEMPLATE, a_template())
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("vm-1", iso="tools"))
    cluster.settle()
    [pod] = [p for p in cluster.pods() if p["metadata"]["labels"]["goldpool.io/virtualmachine"] == "vm-1"]
    assert _cdrom(pod).startswith("tools-")
    [annotation] = [v for k, v in pod["metadata"]["annotations"].items() if k == "goldpool.io/parents"]
    assert [name.split("-")[0] for name in annotation.split(",")] == ["debian", "tools"]


@pytest.mark.parametrize("halted", [False, True])
def test_the_machine_holds_up_the_deletion_of_the_iso_and_is_named(cluster: Cluster, halted: bool) -> None:
    if halted:
        edit(cluster, runStrategy="Halted")
        cluster.settle()
    cluster.server.remove(r.TEMPLATE, "tools")
    cluster.settle()
    template = cluster.server.find(r.TEMPLATE, "tools")
    assert template is not None
    assert [(b["kind"], b["name"]) for b in template["status"]["blockers"]] == [("VirtualMachine", "vm-0")]
    assert "remove spec.iso" in ready(template)["message"]
    [parent] = cluster.server.all(r.PARENT)
    assert parent["status"]["state"] == "Ready"


def test_so_does_it_with_the_pool_of_the_copy(cluster: Cluster) -> None:
    cluster.server.remove(r.STORAGE_POOL, "golden")
    cluster.settle()
    pool = cluster.server.find(r.STORAGE_POOL, "golden")
    assert pool is not None
    assert [(b["kind"], b["name"]) for b in pool["status"]["blockers"]] == [("VirtualMachine", "vm-0")]


def test_an_iso_that_is_taken_out_leaves_at_the_next_start_and_its_copy_goes(cluster: Cluster) -> None:
    edit(cluster, iso=None)
    cluster.settle()
    assert _cdrom(cluster.pods()[0])
    assert "stays in its drive until it is restarted" in ready(machine(cluster))["message"]
    edit(cluster, runStrategy="Halted")
    cluster.settle()
    assert not iso_of(machine(cluster))
    assert not cluster.server.all(r.PARENT)
    assert not cluster.disks.parents
    edit(cluster, runStrategy="Always")
    cluster.settle()
    assert not _cdrom(cluster.pods()[0])


def test_a_machine_that_has_run_gets_another_iso_at_its_next_start(cluster: Cluster) -> None:
    cluster.server.put(r.TEMPLATE, an_iso("drivers"))
    edit(cluster, iso=inserted("drivers"))
    cluster.settle()
    assert _cdrom(cluster.pods()[0]).startswith("tools-")
    assert "ISO drivers is inserted when it is restarted" in ready(machine(cluster))["message"]
    cluster.server.remove(r.POD, cluster.pods()[0]["metadata"]["name"], "goldpool-data")
    cluster.settle()
    assert _cdrom(cluster.pods()[0]).startswith("drivers-")
    assert [p["spec"]["template"] for p in cluster.server.all(r.PARENT)] == ["drivers"]


def fail_the_fetch_once(cluster: Cluster) -> None:
    def fetches() -> list[str]:
        return [i for i in cluster.dispatch.startable() if i.startswith("fetch/tools-")]

    until(cluster, fetches)
    operation = fetches()[0]
    cluster.dispatch.start(operation)
    cluster.dispatch.end(operation, FailureReason.IO_ERROR)


def until(cluster: Cluster, reached: Callable[[], Any]) -> None:
    """Everything works, but no pod is started."""
    for _ in range(2000):
        if reached():
            return
        if cluster.server.events:
            cluster.deliver()
        elif waiting := cluster.operator.ready():
            cluster.operator.run(waiting[0])
        elif startable := cluster.dispatch.startable():
            cluster.dispatch.start(startable[0])
            cluster.dispatch.end(startable[0])
    raise AssertionError("it never comes to that")


def test_a_host_that_cannot_have_the_iso_is_left_for_another() -> None:
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, an_iso())
    made.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", template="", iso="tools"))
    fail_the_fetch_once(made)
    made.settle()
    [avoided] = machine(made)["status"]["avoid"]
    assert (avoided["pool"], avoided["reason"]) == ("golden", "ParentFailed")
    assert made.pods()[0]["spec"]["nodeName"] != avoided["host"]
    assert machine(made)["status"]["plans"] == 1


def test_a_machine_that_can_go_nowhere_else_waits_until_the_fetch_succeeds(cluster: Cluster) -> None:
    edit(cluster, runStrategy="Halted", iso=None)
    cluster.settle()
    assert not cluster.server.all(r.PARENT)
    edit(cluster, runStrategy="Always", iso=inserted("tools"))
    fail_the_fetch_once(cluster)
    cluster.settle()
    assert _cdrom(cluster.pods()[0])


def test_a_disk_that_was_never_used_follows_the_iso_to_a_host_that_can_have_it() -> None:
    made = Cluster()
    golden = a_pool("golden", golden=True)
    golden["spec"]["hostSelector"]["matchLabels"] = {"kubernetes.io/hostname": "node-2"}
    made.server.put(r.STORAGE_POOL, golden)
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, an_iso())
    made.settle()
    made.server.edit(r.NODE, "node-2", spec={"unschedulable": True})
    made.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", template=""))
    until(made, lambda: [v for v in made.server.all(r.VOLUME) if v["spec"].get("storageID")])
    assert made.server.all(r.VOLUME)[0]["spec"]["placement"]["host"] == "node-1"
    made.server.edit(r.NODE, "node-2", spec={"unschedulable": False})
    edit(made, iso=inserted("tools"))
    made.settle()
    assert [p["spec"]["nodeName"] for p in made.pods()] == ["node-2"]
    assert len(made.disks.volumes) == 1, "the first disk was discarded"
    made.rest()


@pytest.mark.parametrize("scope", ["disk", "iso"])
def test_another_kind_of_template_is_refused_with_the_remedy(cluster: Cluster, scope: str) -> None:
    cluster.server.put(r.TEMPLATE, a_template())
    made = {"disk": a_machine("vm-1", template="tools"), "iso": a_machine("vm-1", iso="debian")}[scope]
    cluster.server.put(r.VIRTUAL_MACHINE, made)
    cluster.settle()
    found = ready(machine(cluster, "vm-1"))
    assert found["reason"] == {"disk": "TemplateIsISO", "iso": "TemplateIsNoISO"}[scope]
    assert {"disk": "name it in spec.iso", "iso": "name another one, or none"}[scope] in found["message"]
    cluster.rest()


def test_a_volume_of_an_iso_is_refused_before_anything_is_fetched() -> None:
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, an_iso(golden=False))
    spec = {"source": {"templateRef": {"name": "tools"}}, "placement": {"pool": "std", "host": "node-1"}}
    made.server.put(r.VOLUME, {"metadata": {"name": "data", "namespace": TEAM}, "spec": spec})
    made.settle()
    volume = made.server.find(r.VOLUME, "data", TEAM)
    assert volume is not None
    assert ready(volume)["reason"] == "TemplateIsISO"
    assert not made.server.all(r.PARENT)


# -- what no watch has told of


def test_a_copy_is_not_removed_under_a_machine_that_no_watch_has_told_of() -> None:
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    iso = an_iso()
    iso["spec"]["prepare"] = {"pools": ["golden"]}
    made.server.put(r.TEMPLATE, iso)
    made.settle()
    parent = made.server.all(r.PARENT)[0]
    name, spec = parent["metadata"]["name"], parent["spec"]
    place = {"template": "tools", "pool": "golden", "host": spec["host"], "location": spec["location"]}
    unheard = a_machine("vm-0", template="", iso="tools")
    made.server.put(r.VIRTUAL_MACHINE, unheard | {"status": {"iso": place | {"parent": name}}})
    made.server.remove(r.PARENT, name)
    work_without_hearing_of(made, r.VIRTUAL_MACHINE)
    kept = made.server.find(r.PARENT, name)
    assert kept is not None
    assert REMOVING_ANNOTATION not in kept["metadata"].get("annotations", {})
    assert [(b["kind"], b["name"]) for b in kept["status"]["blockers"]] == [("VirtualMachine", "vm-0")]


def test_no_pod_is_made_with_a_copy_that_has_begun_to_go(cluster: Cluster) -> None:
    edit(cluster, runStrategy="Halted")
    cluster.settle()
    [parent] = cluster.server.all(r.PARENT)
    cluster.server.edit(r.PARENT, parent["metadata"]["name"], status={"state": "Retiring"})
    edit(cluster, runStrategy="Always")
    for _ in range(12):
        hear_all_but(cluster, r.PARENT)
        for owner in [o for o in cluster.operator.ready() if o[0] == "virtualmachine"]:
            cluster.operator.run(owner)
    assert not cluster.pods()
    assert cluster.server.all(r.LEASE), "it came as far as its claims"


# -- crashes


ACTS: tuple[Any, ...] = (
    lambda c: (
        c.server.put(r.STORAGE_POOL, a_pool("golden", golden=True)),
        c.server.put(r.STORAGE_POOL, a_pool("std")),
        c.server.put(r.TEMPLATE, an_iso()),
        c.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0", template="", iso="tools")),
    ),
    lambda c: (c.server.remove(r.TEMPLATE, "tools"), edit(c, iso=None, runStrategy="Halted")),
    lambda c: edit(c, runStrategy="Always"),
)


def lived(count: int) -> Cluster:
    made = Cluster()
    for act in ACTS[:count]:
        act(made)
        made.settle()
    return made


@pytest.mark.parametrize("count", range(1, len(ACTS) + 1))
def test_a_crash_after_any_write_leads_to_the_same_place(count: int) -> None:
    reference = lived(count)
    before = len(lived(count - 1).server.writes)
    for write in range(before + 1, len(reference.server.writes) + 1):
        crashed = lived(count - 1)
        ACTS[count - 1](crashed)
        settle_with_a_crash(crashed, write)
        assert seen(crashed) == seen(reference), f"crashed after {crashed.server.writes[write - 1]}"
