"""What must hold at every moment, whoever crashes. Checked where it would be broken, so that a failure shows the act."""

import json
from typing import Any

from goldpool.contracts.operations import (
    CreateBlank,
    CreateChild,
    DeleteParent,
    DeleteVolume,
    Fetch,
    Initialize,
)
from goldpool.controllers.naming import (
    FINALIZER,
    LABEL_VM_UID,
    MADE_FOR_ANNOTATION,
    REMOVING_ANNOTATION,
    lease_name,
)
from goldpool.dispatch.request import Request
from goldpool.kube import resources as r
from goldpool.kube.port import Obj, Resource
from tests.unit.controllers.world.hosts import Disks
from tests.unit.controllers.world.server import Server

_BY_KIND = {resource.kind: resource for resource in r.PRIMARY}


class Rules:
    """The invariants, over the API's truth and the hosts' disks."""

    def __init__(self, server: Server, disks: Disks) -> None:
        self._server = server
        self._disks = disks
        self._bound: dict[str, str] = {}
        """storageID -> UID of the Volume it was minted for."""
        self.writers: dict[str, str] = {}
        """storageID -> UID of the pod whose process may write there."""
        self._going: set[str] = set()
        """UIDs of Volumes that were going when nobody had a claim: their deletion waits for none that comes later."""
        self.readers: dict[str, str] = {}
        """UID of a pod -> the Parent in its CD drive."""

    # -- writes

    def admit(self, resource: Resource, old: Obj | None, new: Obj) -> None:
        if resource is r.VOLUME:
            self._binding(old, new)
            self._leaving(new)
            made = new.get("status", {}).get("createdTime")
            of_template = (new["spec"].get("source") or {}).get("templateRef")
            assert not (made and of_template) or new["status"].get("parent"), "a child that names no parent"
        elif resource is r.POD and old is None:
            self._pod(new)
        elif resource is r.PARENT and old is not None:
            self._doomed(old, new)

    def _leaving(self, volume: Obj) -> None:
        uid = volume["metadata"]["uid"]
        claimed = self._server.find(r.LEASE, lease_name(uid), "goldpool-data") is not None
        if "deletionTimestamp" in volume["metadata"] and not claimed:
            self._going.add(uid)

    def _binding(self, old: Obj | None, new: Obj) -> None:
        storage = new["spec"].get("storageID")
        before = old["spec"].get("storageID") if old else None
        if storage is None or storage == before:
            return
        if old is None and storage in self._bound:
            return  # restored: it may take the disk over, and nothing is made for it
        assert storage not in self._bound, f"{storage} is used for a second binding"
        self._parent_pool(new)
        self._bound[storage] = new["metadata"]["uid"]

    def _parent_pool(self, volume: Obj) -> None:
        """A golden parent is asked of an ordinary pool only for a machine that bears it."""
        above = self._server.find(r.STORAGE_POOL, volume["spec"]["placement"].get("parentPool") or "")
        if above is None or above["spec"]["golden"]:
            return
        maker = volume["metadata"].get("annotations", {}).get(MADE_FOR_ANNOTATION)
        for machine in self._server.all(r.VIRTUAL_MACHINE):
            if machine["metadata"]["uid"] == maker:
                assert machine["spec"]["goldenPolicy"] == "Preferred", "a fallback for a Required machine"

    def _doomed(self, old: Obj, new: Obj) -> None:
        """When a removal becomes final, nobody's disk depends on the copy."""
        marks = [REMOVING_ANNOTATION in o["metadata"].get("annotations", {}) for o in (old, new)]
        if marks == [False, True]:
            assert old["status"]["state"] == "Retiring"
            for volume in self._server.all(r.VOLUME):
                made = volume.get("status", {}).get("createdTime")
                assert not (made and volume["status"].get("parent") == old["metadata"]["name"])
            for pod in self._server.all(r.POD):
                assert _cdrom(pod) != old["metadata"]["name"] or _has_ended(pod), (
                    "an ISO is doomed under its pod"
                )

    def _pod(self, pod: Obj) -> None:
        machine = _machine(pod)
        same = [p for p in self._server.all(r.POD) if p["metadata"]["labels"][LABEL_VM_UID] == machine["uid"]]
        assert not same, "a second pod of one machine"
        for disk in machine["disks"]:
            self._may_use(machine["uid"], disk)
        if iso := _cdrom(pod):
            parent = self._server.find(r.PARENT, iso)
            assert parent is not None, f"a pod with {iso}, which is no Parent"
            assert REMOVING_ANNOTATION not in parent["metadata"].get("annotations", {}), (
                "a pod with a doomed ISO"
            )

    def _may_use(self, holder: str, disk: Any) -> None:
        volume = self._volume(disk["storage_id"])
        assert volume is not None, f"a pod on {disk['storage_id']}, which no Volume names"
        assert volume["status"].get("firstUsedTime"), "a pod before its disk was marked used"
        lease = self._server.find(r.LEASE, lease_name(volume["metadata"]["uid"]), "goldpool-data")
        assert lease is not None, "a pod without a claim on its volume"
        assert lease["spec"]["holderIdentity"] == holder, "a pod on a volume leased to another machine"
        assert volume["metadata"]["uid"] not in self._going, "a claim on a volume that was going already"

    # -- operations

    def operation_begins(self, request: Request) -> None:
        owner = request.owner
        obj = self._server.find(_BY_KIND[owner.kind], owner.name, owner.namespace)
        operation = request.operation
        if isinstance(operation, CreateChild | CreateBlank | Fetch | Initialize):
            assert obj is None or FINALIZER in obj["metadata"]["finalizers"], (
                f"{operation.kind} before the finalizer"
            )
        match operation:
            case CreateChild() | CreateBlank():
                assert self._bound[operation.storage_id] == operation.owner.uid
            case DeleteVolume():
                self._unused(operation.storage_id)
            case DeleteParent():
                self._childless(operation.parent)

    def _unused(self, storage: str) -> None:
        assert storage not in self.writers, f"{storage} is removed under a running guest"
        volume = self._volume(storage)
        used = volume is not None and volume.get("status", {}).get("firstUsedTime")
        assert not used or (volume and "deletionTimestamp" in volume["metadata"]), (
            f"{storage} holds a user's data"
        )

    def _childless(self, parent: str) -> None:
        for volume in self._server.all(r.VOLUME):
            status = volume.get("status", {})
            current = status.get("storageID") == volume["spec"].get("storageID")
            assert not (current and status.get("createdTime") and status.get("parent") == parent), (
                f"{parent} is removed under its child {volume['metadata']['name']}"
            )
        assert parent not in self.readers.values(), f"{parent} is removed under a guest that reads it"

    # -- guests

    def guest_starts(self, pod: Obj) -> None:
        for disk in _machine(pod)["disks"]:
            storage = disk["storage_id"]
            assert self.writers.setdefault(storage, pod["metadata"]["uid"]) == pod["metadata"]["uid"], (
                "two writers"
            )
            found = [c for (_, name), c in self._disks.volumes.items() if name == storage]
            assert found, f"a guest on {storage}, whose bytes are not there"
            there = {revision for (_, _), revision in self._disks.parents.items()}
            assert found[0].parent is None or found[0].revision in there, "a guest without its parent"
            if disk["parent"] is not None:
                name = disk["parent"]["parent"]
                under = [revision for (_, copy), revision in self._disks.parents.items() if copy == name]
                assert under == [found[0].revision], "a guest over another revision than its disk was made of"
        if iso := _cdrom(pod):
            assert iso in {name for _, name in self._disks.parents}, "a guest without its ISO"
            self.readers[pod["metadata"]["uid"]] = iso

    def guest_ends(self, pod: Obj) -> None:
        for disk in _machine(pod)["disks"]:
            if self.writers.get(disk["storage_id"]) == pod["metadata"]["uid"]:
                del self.writers[disk["storage_id"]]
        self.readers.pop(pod["metadata"]["uid"], None)

    def _volume(self, storage: str) -> Obj | None:
        return next((v for v in self._server.all(r.VOLUME) if v["spec"].get("storageID") == storage), None)


def _cdrom(pod: Obj) -> str:
    """Name of the Parent in its drive; empty for none."""
    return str((_machine(pod)["cdrom"] or {}).get("parent", ""))


def _has_ended(pod: Obj) -> bool:
    states = [next(iter(c["state"])) for c in pod.get("status", {}).get("containerStatuses", ())]
    return states == ["terminated"] or pod.get("status", {}).get("phase") == "Failed"


def _machine(pod: Obj) -> Any:
    return json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
