"""Objects that a backup brought back take their disks over; what is somebody else's, or not there, they do not touch."""

from copy import deepcopy
from typing import Any

import pytest

from goldpool.controllers.naming import lease_name
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.test_staleness import DATA
from tests.unit.controllers.world.users import TEAM, a_machine


def backup(cluster: Cluster, resource: Any, name: str) -> Obj:
    """As backup tools keep it: without status, UID and finalizers."""
    kept = deepcopy(cluster.server.find(resource, name, TEAM))
    assert kept is not None
    metadata = {
        x: kept["metadata"][x]
        for x in ("name", "namespace", "labels", "annotations")
        if x in kept["metadata"]
    }
    return {"metadata": metadata, "spec": kept["spec"]}


def vanish(cluster: Cluster, resource: Any, name: str) -> None:
    """With its finalizers taken off, so that no byte is touched."""
    cluster.server.edit(resource, name, TEAM, metadata={"finalizers": []})
    cluster.server.remove(resource, name, TEAM)


def lose_both(cluster: Cluster) -> tuple[Obj, Obj]:
    volume, machine = backup(cluster, r.VOLUME, "vm-0-root"), backup(cluster, r.VIRTUAL_MACHINE, "vm-0")
    vanish(cluster, r.VIRTUAL_MACHINE, "vm-0")
    vanish(cluster, r.VOLUME, "vm-0-root")
    cluster.settle()
    assert not cluster.pods()
    return volume, machine


def reason(cluster: Cluster, resource: Any, name: str, namespace: str = TEAM) -> tuple[str, str]:
    found = cluster.server.find(resource, name, namespace)
    assert found is not None
    (ready,) = [c for c in found["status"]["conditions"] if c["type"] == "Ready"]
    return ready["reason"], ready["message"]


@pytest.mark.parametrize("crash_after", [0, 1, 2, 3, 4, 6, 9, 14])
def test_a_restored_machine_runs_on_its_old_disk(cluster: Cluster, crash_after: int) -> None:
    volume, machine = lose_both(cluster)
    disks = dict(cluster.disks.volumes)
    new = cluster.server.put(r.VOLUME, volume)
    cluster.server.put(r.VIRTUAL_MACHINE, machine)
    for _ in range(crash_after):
        while cluster.server.events:
            cluster.deliver()
        if ready := cluster.operator.ready():
            cluster.operator.run(ready[0])
    if crash_after:
        cluster.crash()
    cluster.settle()
    assert cluster.pods()
    found = cluster.server.find(r.VOLUME, "vm-0-root", TEAM)
    assert found is not None
    assert found["spec"]["storageID"] == volume["spec"]["storageID"]
    assert found["spec"]["placement"]["volumeUID"] == new["metadata"]["uid"]
    assert found["status"]["firstUsedTime"]
    assert cluster.disks.volumes.keys() == disks.keys(), "no other disk was made"
    cluster.rest()


def test_a_disk_that_is_not_there_is_never_made(cluster: Cluster) -> None:
    volume, _ = lose_both(cluster)
    cluster.disks.volumes.clear()
    cluster.server.put(r.VOLUME, volume)
    cluster.settle(horizon=300)
    assert reason(cluster, r.VOLUME, "vm-0-root")[0] == "VolumeLost"
    assert not cluster.disks.volumes


@pytest.mark.parametrize("part", ["name", "namespace"])
def test_the_disk_of_another_name_is_refused(cluster: Cluster, part: str) -> None:
    volume, _ = lose_both(cluster)
    volume["metadata"][part] = "another"
    metadata = cluster.server.put(r.VOLUME, volume)["metadata"]
    cluster.settle(horizon=300)
    why, message = reason(cluster, r.VOLUME, metadata["name"], metadata["namespace"])
    assert why == "VolumeRestored"
    assert "VolumeConflict" in message


def test_a_disk_that_another_volume_has_is_refused_until_that_is_gone(cluster: Cluster) -> None:
    volume = backup(cluster, r.VOLUME, "vm-0-root")
    volume["metadata"]["name"] = "copy"
    cluster.server.put(r.VOLUME, volume)
    cluster.settle(horizon=300)
    why, message = reason(cluster, r.VOLUME, "copy")
    assert why == "VolumeRestored"
    assert f"Volume {TEAM}/vm-0-root" in message
    assert not [i for i in cluster.dispatch.waiting if i.startswith("adopt/")]
    assert cluster.pods()


def test_a_disk_whose_claim_is_still_held_is_not_taken(cluster: Cluster) -> None:
    """The Volume vanished under the running machine."""
    volume = backup(cluster, r.VOLUME, "vm-0-root")
    uid = cluster.server.all(r.VOLUME)[0]["metadata"]["uid"]
    vanish(cluster, r.VOLUME, "vm-0-root")
    cluster.server.put(r.VOLUME, volume)
    cluster.settle(horizon=300)
    assert cluster.server.find(r.LEASE, lease_name(uid), DATA) is not None
    why, message = reason(cluster, r.VOLUME, "vm-0-root")
    assert why == "VolumeRestored"
    assert f"VirtualMachine {TEAM}/vm-0" in message


def test_an_adopted_disk_is_never_bound_anew(cluster: Cluster) -> None:
    volume, _ = lose_both(cluster)
    cluster.server.put(r.VOLUME, volume)
    cluster.settle()
    status = cluster.server.all(r.VOLUME)[0]["status"]
    assert status["adoptedUID"] == cluster.server.all(r.VOLUME)[0]["metadata"]["uid"]
    cluster.server.edit(r.VOLUME, "vm-0-root", TEAM, status={"failure": "IOError"})
    user = a_machine("user")
    user["spec"]["rootVolume"] = {"volumeRef": {"name": "vm-0-root"}}
    cluster.server.put(r.VIRTUAL_MACHINE, user)
    cluster.settle()
    assert cluster.server.all(r.VOLUME)[0]["spec"]["storageID"] == volume["spec"]["storageID"]
