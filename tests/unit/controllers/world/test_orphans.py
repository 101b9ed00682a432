"""A machine whose finalizer somebody took off: its guest is ended, its claims go after that, and only then."""

from typing import Any

import pytest

from goldpool.controllers.naming import (
    ABANDONED_ANNOTATION,
    LABEL_VM_NAME,
    LABEL_VM_UID,
    MADE_FOR_ANNOTATION,
)
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.test_staleness import DATA, work_without_hearing_of
from tests.unit.controllers.world.users import TEAM, a_machine, a_template


def strip(cluster: Cluster) -> str:
    """The object is gone at once; returns its UID."""
    uid = str(cluster.server.find(r.VIRTUAL_MACHINE, "vm-0", TEAM)["metadata"]["uid"])  # type: ignore[index]
    cluster.server.edit(r.VIRTUAL_MACHINE, "vm-0", TEAM, metadata={"finalizers": []})
    cluster.server.remove(r.VIRTUAL_MACHINE, "vm-0", TEAM)
    assert cluster.server.find(r.VIRTUAL_MACHINE, "vm-0", TEAM) is None
    return uid


@pytest.mark.parametrize("crashed", [False, True])
def test_its_guest_is_stopped_before_its_claim_is_given_back(cluster: Cluster, crashed: bool) -> None:
    strip(cluster)
    if crashed:
        cluster.crash()
    work_without_hearing_of(cluster)
    (pod,) = cluster.pods()
    assert "deletionTimestamp" in pod["metadata"]
    assert cluster.server.all(r.LEASE), "its process may still write"
    cluster.settle()
    assert not cluster.pods()
    assert not cluster.server.all(r.LEASE)
    assert cluster.server.find(r.VOLUME, "vm-0-root", TEAM) is not None, "the disk is nobody's to destroy"


def test_another_machine_of_its_name_does_not_wait_for_ever(cluster: Cluster) -> None:
    strip(cluster)
    again = a_machine("vm-0")
    again["spec"]["rootVolume"] = {"volumeRef": {"name": "vm-0-root"}}
    new = cluster.server.put(r.VIRTUAL_MACHINE, again)
    cluster.settle()
    (lease,) = cluster.server.all(r.LEASE)
    assert lease["spec"]["holderIdentity"] == new["metadata"]["uid"]
    (pod,) = cluster.pods()
    assert pod["metadata"]["labels"]["goldpool.io/virtualmachine-uid"] == new["metadata"]["uid"]


def test_a_claim_stays_while_a_pod_has_the_disk_whatever_its_labels_say(cluster: Cluster) -> None:
    (pod,) = cluster.pods()
    other = {"labels": {LABEL_VM_NAME: "another", LABEL_VM_UID: "uid-of-another"}}
    cluster.server.edit(r.POD, pod["metadata"]["name"], DATA, metadata=other)
    strip(cluster)
    work_without_hearing_of(cluster, r.POD)
    assert cluster.server.all(r.LEASE)


def test_a_claim_that_was_given_up_with_its_host_is_kept(cluster: Cluster) -> None:
    strip(cluster)
    (lease,) = cluster.server.all(r.LEASE)
    notes = {"annotations": {ABANDONED_ANNOTATION: "node-1"}}
    cluster.server.edit(r.LEASE, lease["metadata"]["name"], DATA, metadata=notes)
    cluster.settle()
    assert cluster.server.all(r.LEASE)


def test_a_claim_is_kept_while_only_the_cache_has_lost_its_machine(cluster: Cluster) -> None:
    machine = cluster.server.find(r.VIRTUAL_MACHINE, "vm-0", TEAM)
    assert machine is not None
    cluster.operator.cache.remove(r.VIRTUAL_MACHINE, machine)
    work_without_hearing_of(cluster)
    assert "deletionTimestamp" not in cluster.pods()[0]["metadata"]
    assert cluster.server.all(r.LEASE)


def a_root(name: str, made_for: str, **spec: Any) -> Obj:
    return {
        "metadata": {
            "name": name,
            "namespace": TEAM,
            "labels": {LABEL_VM_NAME: "vm-0"},
            "annotations": {MADE_FOR_ANNOTATION: made_for},
        },
        "spec": {"type": "Root", "source": {"templateRef": {"name": "debian"}}} | spec,
    }


@pytest.mark.parametrize(
    ("spec", "goes"),
    [
        ({}, True),
        ({"reclaimPolicy": "Retain"}, False),
        (
            {"storageID": "v-bound000", "placement": {"pool": "std", "host": "node-1", "volumeUID": "u"}},
            False,
        ),
    ],
)
def test_a_root_volume_whose_creation_was_never_answered_goes_with_its_machine(
    cluster: Cluster, spec: Obj, goes: bool
) -> None:
    uid = strip(cluster)
    cluster.settle()
    cluster.server.put(r.VOLUME, a_root("late", uid, **spec))
    cluster.settle()
    assert (cluster.server.find(r.VOLUME, "late", TEAM) is None) is goes


def test_a_root_volume_that_another_machine_names_stays(cluster: Cluster) -> None:
    uid = strip(cluster)
    user = a_machine("user")
    user["spec"]["rootVolume"] = {"volumeRef": {"name": "late"}}
    user["spec"]["runStrategy"] = "Halted"
    cluster.server.put(r.VIRTUAL_MACHINE, user)
    cluster.settle()
    cluster.server.put(r.VOLUME, a_root("late", uid))
    cluster.settle()
    assert cluster.server.find(r.VOLUME, "late", TEAM) is not None


def test_a_deleted_machine_takes_the_root_volume_that_no_watch_has_told_of_with_it() -> None:
    cluster = Cluster()
    cluster.server.put(r.TEMPLATE, a_template())
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0"))
    for _ in range(20):
        while heard := [x for x in cluster.lagging() if x is not r.VOLUME]:
            cluster.deliver(heard[0])
        if cluster.server.find(r.VOLUME, "vm-0-root", TEAM) is not None:
            break
        cluster.server.faults = lambda: "after"
        cluster.operator.run(cluster.operator.ready()[0])
        cluster.server.faults = lambda: ""
    cluster.server.remove(r.VIRTUAL_MACHINE, "vm-0", TEAM)
    work_without_hearing_of(cluster, r.VOLUME)
    cluster.settle()
    assert cluster.server.find(r.VIRTUAL_MACHINE, "vm-0", TEAM) is None
    assert cluster.server.find(r.VOLUME, "vm-0-root", TEAM) is None
