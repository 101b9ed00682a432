"""The cache may be stale, so nothing is destroyed, and nothing made of another's bytes, on its word. In each case here
the API server knows what no watch has told yet."""

from typing import Any

import pytest

from goldpool.controllers.naming import REMOVING_ANNOTATION, lease_name
from goldpool.kube import resources as r
from goldpool.kube.port import Key, Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.users import TEAM, a_machine, a_pool, a_template

DATA = "goldpool-data"


@pytest.fixture
def cluster() -> Cluster:
    """Two pools, a template with a copy on each host, and nobody who uses it."""
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, a_template(prepare=("golden",)))
    made.settle()
    return made


def hear_all_but(cluster: Cluster, *unheard: Any) -> None:
    while heard := [resource for resource in cluster.lagging() if resource not in unheard]:
        cluster.deliver(heard[0])


def work_without_hearing_of(cluster: Cluster, *unheard: Any) -> None:
    """Passes only: no Job starts, no kubelet acts."""
    hear_all_but(cluster, *unheard)
    while ready := cluster.operator.ready():
        cluster.operator.run(ready[0])
        hear_all_but(cluster, *unheard)


def a_child_of(parent: Obj) -> Obj:
    """Bound, made, and named by nobody's cache."""
    spec = {
        "type": "Root",
        "source": {"templateRef": {"name": "debian"}},
        "placement": {
            "pool": "std",
            "host": parent["spec"]["host"],
            "parentPool": "golden",
            "volumeUID": "u",
        },
        "storageID": "v-unheard0",
    }
    status = {
        "storageID": "v-unheard0",
        "parent": parent["metadata"]["name"],
        "createdTime": "2026-05-01T12:00:00Z",
    }
    return {"metadata": {"name": "child", "namespace": TEAM}, "spec": spec, "status": status}


def test_a_copy_is_not_removed_under_a_child_that_no_watch_has_told_of(cluster: Cluster) -> None:
    parent = cluster.server.all(r.PARENT)[0]
    cluster.server.put(r.VOLUME, a_child_of(parent))
    cluster.server.remove(r.PARENT, parent["metadata"]["name"])
    work_without_hearing_of(cluster, r.VOLUME)
    kept = cluster.server.find(r.PARENT, parent["metadata"]["name"])
    assert kept is not None
    assert REMOVING_ANNOTATION not in kept["metadata"].get("annotations", {})
    assert kept["status"]["state"] == "Ready"
    assert [b["name"] for b in kept["status"]["blockers"]] == ["child"]
    assert not [i for i in cluster.dispatch.waiting if i.startswith("delete-parent/")]


@pytest.mark.parametrize("resource", [r.TEMPLATE, r.STORAGE_POOL])
def test_no_finalizer_is_released_under_a_volume_that_no_watch_has_told_of(
    cluster: Cluster, resource: Any
) -> None:
    cluster.server.edit(r.TEMPLATE, "debian", spec={"prepare": {"pools": []}, "retention": "1s"})
    cluster.settle()
    assert not cluster.server.all(r.PARENT)
    gone = {"spec": {"host": "node-1"}, "metadata": {"name": "a-copy-that-is-gone"}}
    cluster.server.put(r.VOLUME, a_child_of(gone))
    name = "debian" if resource is r.TEMPLATE else "golden"
    cluster.server.remove(resource, name)
    work_without_hearing_of(cluster, r.VOLUME)
    held = cluster.server.find(resource, name)
    assert held is not None
    assert [b["name"] for b in held["status"]["blockers"]] == ["child"]


def test_no_child_is_made_of_a_copy_that_has_begun_to_go(cluster: Cluster) -> None:
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0"))
    for parent in cluster.server.all(r.PARENT):
        cluster.server.edit(r.PARENT, parent["metadata"]["name"], status={"state": "Retiring"})
    work = Key("Volume", TEAM, "vm-0-root")
    for _ in range(12):
        hear_all_but(cluster, r.PARENT)
        for owner in [o for o in cluster.operator.ready() if o[0] in {"virtualmachine", "volume"}]:
            cluster.operator.run(owner)
    volume = cluster.server.find(r.VOLUME, work.name, TEAM)
    assert volume is not None
    assert volume["spec"]["storageID"]
    assert not [i for i in cluster.dispatch.waiting if i.startswith("create/")]


def test_a_disk_is_not_removed_under_a_claim_that_no_watch_has_told_of(cluster: Cluster) -> None:
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0"))
    cluster.settle()
    cluster.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, spec={"runStrategy": "Halted"})
    cluster.settle()
    volume = cluster.server.all(r.VOLUME)[0]
    lease = {"metadata": {"name": lease_name(volume["metadata"]["uid"]), "namespace": DATA, "labels": {}}}
    cluster.server.put(r.LEASE, lease | {"spec": {"holderIdentity": "another-machine"}})
    cluster.server.remove(r.VOLUME, "vm-0-root", TEAM)
    cluster.operator.cache.add_scope(r.LEASE, lambda _: True)
    work_without_hearing_of(cluster, r.LEASE)
    assert not cluster.dispatch.waiting
    held = cluster.server.find(r.VOLUME, "vm-0-root", TEAM)
    assert held is not None
    assert "DeletionBlocked" in {c["type"] for c in held["status"]["conditions"]}


def test_claims_are_not_given_back_under_a_pod_whose_creation_was_never_answered(cluster: Cluster) -> None:
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0"))
    while not claimed_and_marked(cluster):
        hear_all_but(cluster, r.POD)
        if ready := cluster.operator.ready():
            cluster.operator.run(ready[0])
        for operation in cluster.dispatch.startable():
            cluster.dispatch.start(operation)
            cluster.dispatch.end(operation)
    hear_all_but(cluster, r.POD)
    cluster.server.faults = lambda: "after"
    cluster.operator.run(("virtualmachine", Key("VirtualMachine", TEAM, "vm-0")))
    cluster.server.faults = lambda: ""
    assert cluster.pods()
    cluster.server.remove(r.VIRTUAL_MACHINE, "vm-0", TEAM)
    work_without_hearing_of(cluster, r.POD)
    assert cluster.server.all(r.LEASE)
    assert cluster.server.find(r.VIRTUAL_MACHINE, "vm-0", TEAM) is not None
    cluster.settle()
    assert not cluster.server.all(r.LEASE)


def claimed_and_marked(cluster: Cluster) -> bool:
    """So that the machine's next write is its pod."""
    marked = [v for v in cluster.server.all(r.VOLUME) if v.get("status", {}).get("firstUsedTime")]
    return bool(marked and cluster.server.all(r.LEASE))
