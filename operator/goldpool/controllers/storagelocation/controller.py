"""Gathers a location's world."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from goldpool.api.parent import Parent, ParentState
from goldpool.api.references import Blocker
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.api.volume import Volume
from goldpool.contracts.operations import Known
from goldpool.controllers.backing import executing_host, mount_of
from goldpool.controllers.changes import differs, readiness, soon_if_well
from goldpool.controllers.indices import BY_HOST, BY_POOL
from goldpool.controllers.parent.progress import but_for_progress
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.storagelocation.operations import operation_id
from goldpool.controllers.storagelocation.plan import plan
from goldpool.controllers.world import World
from goldpool.engine.plan import Plan, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj


class StorageLocationController:
    name = "storagelocation"
    resource = r.STORAGE_LOCATION

    def __init__(self, world: World) -> None:
        self._world = world

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.STORAGE_LOCATION, key)
        if raw is None:
            return None
        location = world.read(StorageLocation, raw)
        name = location.metadata.name
        pool = world.pool(location.spec.pool)
        if pool is not None and pool.metadata.uid != location.spec.pool_uid:
            pool = None
        node = world.node(location.spec.host) if location.spec.host else None
        node_uid = location.status.node_uid or (node.uid if node else "")
        parents = world.parents_at(name)
        volumes = [v for v in world.volumes_in(location.spec.pool) if _is_at(v, location, pool)]
        found = world.dispatcher.facts(name)
        operation = operation_id(location, node, found[0] if found else None)
        return Observed(
            raw=raw,
            location=location,
            pool=pool,
            node=node,
            host=executing_host(world, pool, location, location.status.attempts or 0) if pool else None,
            mount=mount_of(pool, location, node_uid, world.cluster_uid) if pool else None,
            operation=operation,
            outcome=world.dispatcher.outcome(operation),
            facts=found[0] if found else None,
            facts_time=found[1] if found else None,
            users=_blockers(parents, volumes) if location.deleting else (),
            known=known_of(parents, volumes),
            parents=len(parents),
            volumes=len(volumes),
            probe_seconds=world.settings.probe_seconds,
            probe_failed_seconds=world.settings.probe_failed_seconds,
            now=world.now(),
        )

    def _places_of(self, volume: Obj) -> Iterable[Key]:
        """Where it is, or will be once its controller has said so."""
        name = (volume.get("status") or {}).get("location")
        if name:
            yield Key("StorageLocation", "", name)
        placement = volume.get("spec", {}).get("placement") or {}
        for obj in self._world.cache.by_index(r.STORAGE_LOCATION, BY_POOL, placement.get("pool", "")):
            if obj["spec"].get("host", "") in {"", placement.get("host", "")}:
                yield Key("StorageLocation", "", obj["metadata"]["name"])

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _counts(self, key: Key) -> Key | Soon:
        return soon_if_well(key, self._world.cache.at(r.STORAGE_LOCATION, key))

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        cache = self._world.cache
        match change.resource:
            case r.STORAGE_LOCATION:
                yield change.key
            case r.PARENT if differs(change, but_for_progress):
                for obj in (change.old, change.new):
                    if obj is not None:
                        yield self._counts(Key("StorageLocation", "", obj["spec"]["location"]))
            case r.VOLUME if differs(change, _place):
                for obj in (change.old, change.new):
                    yield from map(self._counts, self._places_of(obj or {}))
            case r.NODE if differs(change, _node):
                for obj in cache.by_index(r.STORAGE_LOCATION, BY_HOST, change.key.name):
                    yield Key("StorageLocation", "", obj["metadata"]["name"])
                # Any host may be the one that works on a Shared pool.
                for obj in cache.list(r.STORAGE_LOCATION):
                    if not obj["spec"].get("host"):
                        yield Key("StorageLocation", "", obj["metadata"]["name"])


def _blockers(parents: Iterable[Parent], volumes: Iterable[Volume]) -> tuple[Blocker, ...]:
    return (
        *(Blocker(kind="Parent", name=p.metadata.name) for p in parents),
        *(Blocker(kind="Volume", namespace=v.metadata.namespace, name=v.metadata.name) for v in volumes),
    )


_MOST_NAMES: Final = 2000
"""With more, a Probe would not fit into a Job's environment: then nothing is compared."""


def known_of(parents: Sequence[Parent], volumes: Sequence[Volume]) -> Known | None:
    """A name that is being made or removed may lie there or not."""
    present = {p.metadata.name for p in parents if p.status.state is ParentState.READY and not p.deleting}
    transient = {p.metadata.name for p in parents} - present
    for volume in volumes:
        status, storage = volume.status, volume.spec.storage_id
        if status.created_time and status.storage_id == storage and storage and not volume.deleting:
            present.add(storage)
        transient |= {x for x in (storage, status.storage_id) if x}
        transient |= {disk.storage_id for disk in status.discards}
    if len(present | transient) > _MOST_NAMES:
        return None
    return Known(present=tuple(sorted(present)), transient=tuple(sorted(transient - present)))


def _is_at(volume: Any, location: StorageLocation, pool: StoragePool | None) -> bool:
    if volume.status.location is not None:
        return bool(volume.status.location == location.metadata.name)
    shared = pool is not None and pool.spec.scope is Scope.SHARED
    return shared or volume.spec.placement.host == location.spec.host


def _place(volume: Obj) -> object:
    return (volume.get("status") or {}).get("location"), volume["spec"].get("placement")


def _node(node: Obj) -> object:
    return readiness(node), node["metadata"].get("uid")
