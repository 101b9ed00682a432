"""What machines left behind that went without their controller's leave: a person took the finalizer off, or the answer
to a creation came after the end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goldpool.api.volume import ReclaimPolicy, Volume
from goldpool.controllers.indices import BY_HOLDER, BY_MACHINE, BY_VOLUME, root_volume_name
from goldpool.controllers.naming import (
    ABANDONED_ANNOTATION,
    LABEL_VM_NAME,
    LABEL_VM_NAMESPACE,
    LABEL_VM_UID,
    MADE_FOR_ANNOTATION,
    VOLUME_ANNOTATION,
)
from goldpool.controllers.world import World
from goldpool.kube import resources as r
from goldpool.kube.port import Key, Obj
from goldpool.planning.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class Claim:
    """A Lease whose holder is gone. ``users``: pods that have its disk, whatever their labels say."""

    lease: Obj
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Of machines of one namespace and name that are no more. All of it read from the API server itself."""

    pods: tuple[Obj, ...]
    nodes: Mapping[str, NodeView]
    claims: tuple[Claim, ...]
    roots: tuple[Volume, ...]
    """Root volumes that were made for such a machine and have no disk yet."""


async def orphans_of(world: World, key: Key, uid: str) -> Orphans | None:
    """None when the cache knows of nothing that is not the machine's of this UID (empty: there is no machine)."""
    name = f"{key.namespace}/{key.name}"
    leases = [x for x in world.cache.by_index(r.LEASE, BY_HOLDER, name) if _is_orphan(x, uid)]
    pods = [x for x in world.cache.by_index(r.POD, BY_MACHINE, name) if machine_of(x) != uid]
    roots = [x for x in world.cache.by_index(r.VOLUME, BY_MACHINE, name) if _is_stray(world, x, key, uid)]
    if not (leases or pods or roots):
        return None
    machine = await world.refresh(r.VIRTUAL_MACHINE, key.name, key.namespace)
    if (machine["metadata"]["uid"] if machine else "") != uid:
        return None  # the cache lags behind; what it learns wakes us again
    found = await world.fresh_pods()
    left = tuple(x for x in found if _named(x) == name and machine_of(x) != uid)
    data = world.settings.data_namespace
    again = [await world.refresh(r.LEASE, x["metadata"]["name"], data) for x in leases]
    volumes = [await world.refresh(r.VOLUME, x["metadata"]["name"], key.namespace) for x in roots]
    nodes = {x.name: x for x in world.nodes()}
    return Orphans(
        pods=left,
        nodes=nodes,
        claims=tuple(
            Claim(x, tuple(_with_disk(found, world, x)))
            for x in again
            if x is not None and _is_orphan(x, uid)
        ),
        roots=tuple(Volume.read(x) for x in volumes if x is not None and _is_stray(world, x, key, uid)),
    )


def _is_orphan(lease: Obj, uid: str) -> bool:
    """A claim that was given up with a lost host is kept on purpose: nothing may start over its disk."""
    notes = lease["metadata"].get("annotations") or {}
    return holder(lease) != uid and ABANDONED_ANNOTATION not in notes


def _is_stray(world: World, volume: Obj, key: Key, uid: str) -> bool:
    """Made for a machine that is gone, to go with it, and nothing of it is anywhere: no place, and nobody names it."""
    metadata, spec = volume["metadata"], volume["spec"]
    made_for = (metadata.get("annotations") or {}).get(MADE_FOR_ANNOTATION)
    named = world.cache.by_index(r.VIRTUAL_MACHINE, BY_VOLUME, f"{key.namespace}/{metadata['name']}")
    return (
        made_for not in {None, uid}
        and not spec.get("storageID")
        and spec.get("reclaimPolicy", ReclaimPolicy.DELETE) == ReclaimPolicy.DELETE
        and "deletionTimestamp" not in metadata
        and all(_merely_by_default(machine, key, metadata["name"]) for machine in named)
    )


def _merely_by_default(machine: Obj, key: Key, volume: str) -> bool:
    """The machine of that name would boot from a volume of that name if it had made it."""
    spec = machine["spec"]
    return (
        machine["metadata"]["name"] == key.name
        and "volumeRef" not in spec["rootVolume"]
        and root_volume_name(machine) == volume
        and all(x["volumeRef"]["name"] != volume for x in spec.get("volumes", ()))
    )


def _with_disk(pods: Iterable[Obj], world: World, lease: Obj) -> Iterable[str]:
    notes = lease["metadata"].get("annotations") or {}
    namespace, _, name = notes.get(VOLUME_ANNOTATION, "").partition("/")
    volume = world.volume(namespace, name)
    disk = volume.spec.storage_id if volume is not None else None
    for pod in pods:
        mounts = [m for c in pod["spec"].get("containers", ()) for m in c.get("volumeMounts", ())]
        if disk and any(m["mountPath"].endswith(f"/{disk}") for m in mounts):
            yield pod["metadata"]["name"]


def holder(lease: Obj) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def machine_of(pod: Obj) -> str:
    """The machine's UID."""
    return str((pod["metadata"].get("labels") or {}).get(LABEL_VM_UID, ""))


def _named(pod: Obj) -> str:
    labels = pod["metadata"].get("labels") or {}
    return f"{labels.get(LABEL_VM_NAMESPACE, '')}/{labels.get(LABEL_VM_NAME, '')}"
