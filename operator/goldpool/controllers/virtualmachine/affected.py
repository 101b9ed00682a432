"""Which machines a change concerns."""

from collections.abc import Iterable

from goldpool.controllers.changes import differs, going, iso_of, readiness
from goldpool.controllers.indices import BY_TEMPLATE, BY_VOLUME, machine_of_volume
from goldpool.controllers.naming import (
    HOLDER_ANNOTATION,
    LABEL_VM_NAME,
    LABEL_VM_NAMESPACE,
    LABEL_VM_UID,
    VOLUME_ANNOTATION,
)
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, Obj


def affected(cache: Cache, change: Change) -> Iterable[Key]:
    """Keys of machines that may have to do something else now."""
    match change.resource:
        case r.VIRTUAL_MACHINE:
            yield change.key
        case r.VOLUME:
            for obj in cache.by_index(
                r.VIRTUAL_MACHINE, BY_VOLUME, f"{change.key.namespace}/{change.key.name}"
            ):
                yield _key(obj)
            for name in machine_of_volume(change.new or change.old or {}):
                yield Key("VirtualMachine", *name.split("/", 1))
            if change.new is None or _freed(change):
                yield from _unplaced(cache)
        case r.POD:
            labels = (change.new or change.old or {})["metadata"].get("labels") or {}
            if LABEL_VM_UID in labels:
                yield Key("VirtualMachine", labels.get(LABEL_VM_NAMESPACE, ""), labels.get(LABEL_VM_NAME, ""))
        case r.LEASE:
            annotations = (change.new or change.old or {})["metadata"].get("annotations") or {}
            volume = annotations.get(VOLUME_ANNOTATION, "")
            for obj in cache.by_index(r.VIRTUAL_MACHINE, BY_VOLUME, volume):
                yield _key(obj)
            if holder := annotations.get(HOLDER_ANNOTATION):
                # Whether or not there is such a machine: its claim must not outlive it.
                yield Key("VirtualMachine", *holder.split("/", 1))
        case r.TEMPLATE:
            # One that has booted needs its template again only if somebody deleted its root volume.
            turned = differs(change, _template)
            for obj in cache.by_index(r.VIRTUAL_MACHINE, BY_TEMPLATE, change.key.name):
                if turned or not (obj.get("status") or {}).get("firstStartTime"):
                    yield _key(obj)
        case r.STORAGE_POOL if differs(change, _spec):
            yield from _unplaced(cache)
            yield from _with_pool(cache, change.key.name)
        case r.STORAGE_LOCATION if differs(change, _usable):
            yield from _unplaced(cache)
        case r.PARENT if differs(change, _state):
            yield from _unplaced(cache)
            yield from _with_medium(cache, change.key.name)
        case r.NODE if differs(change, _host):
            yield from _unplaced(cache)
            for obj in cache.list(r.VIRTUAL_MACHINE):
                if (obj.get("status") or {}).get("host") == change.key.name:
                    yield _key(obj)


def _unplaced(cache: Cache) -> Iterable[Key]:
    """Machines that nothing fitted: the world has changed, so they are planned again, without polling."""
    for obj in cache.list(r.VIRTUAL_MACHINE):
        reason = next(
            (c["reason"] for c in (obj.get("status") or {}).get("conditions", ()) if c["type"] == "Ready"),
            "",
        )
        if reason in {"NotPlaceable", "WaitingForHost", "HostCordoned", "WaitingForParent", "Planning"}:
            yield _key(obj)


def _with_pool(cache: Cache, pool: str) -> Iterable[Key]:
    for obj in cache.list(r.VIRTUAL_MACHINE):
        status = obj.get("status") or {}
        if pool in {status.get("rootPool"), status.get("goldenPool"), iso_of(obj).get("pool")}:
            yield _key(obj)


def _with_medium(cache: Cache, parent: str) -> Iterable[Key]:
    """Machines that were given this copy: one that has not started lets a going one go, whatever else it waits for."""
    for obj in cache.list(r.VIRTUAL_MACHINE):
        if iso_of(obj).get("parent") == parent:
            yield _key(obj)


def _key(obj: Obj) -> Key:
    return Key("VirtualMachine", obj["metadata"]["namespace"], obj["metadata"]["name"])


def _spec(pool: Obj) -> object:
    return pool["spec"], going(pool)


def _template(template: Obj) -> object:
    conditions = (template.get("status") or {}).get("conditions", ())
    return going(template), [c["status"] for c in conditions if c["type"] == "Stalled"]


def _state(parent: Obj) -> object:
    return (parent.get("status") or {}).get("state"), going(parent)


def _usable(location: Obj) -> object:
    """What planning reads of a location: whether it is well, and in whole percents how full."""
    return readiness(location), (location.get("status") or {}).get("usedPercent")


def _host(node: Obj) -> object:
    spec = node.get("spec", {})
    return readiness(node), spec.get("unschedulable"), spec.get("taints"), node["metadata"].get("labels")


def _freed(change: Change) -> bool:
    """A binding that was given up or changed frees room."""
    return bool(
        change.old is not None
        and change.new is not None
        and (change.old["spec"].get("storageID") or "") != (change.new["spec"].get("storageID") or "")
    )
