"""Gathers a pool's world."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.storagepool import StoragePool
from goldpool.controllers.backing import nfs_claim_name
from goldpool.controllers.changes import differs, going, iso_of, iso_stake, readiness, soon_if_well
from goldpool.controllers.storagepool.locations import hosts_in_use
from goldpool.controllers.storagepool.observed import Observed
from goldpool.controllers.storagepool.plan import plan
from goldpool.controllers.world import World
from goldpool.engine.plan import Plan, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.references import Users, users_of_pool


class StoragePoolController:
    name = "storagepool"
    resource = r.STORAGE_POOL

    def __init__(self, world: World) -> None:
        self._world = world

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.STORAGE_POOL, key)
        if raw is None:
            return None
        pool = world.read(StoragePool, raw)
        name = pool.metadata.name
        placed, above = world.volumes_in(name), world.volumes_with_parent_in(name)
        users = Users((), 0)
        if pool.deleting:
            users = users_of_pool(name, (*placed, *above), world.machines_with_iso_in(name))
        if pool.deleting and not users:
            # Releasing the finalizer is destructive, so it never rests on the cache alone.
            users = users_of_pool(name, await world.fresh_volumes(), await world.fresh_machines())
        parents = world.parents_in(name)
        claim = nfs_claim_name(pool)
        claimed = pool.spec.backend.nfs is None or (
            world.cache.get(r.PERSISTENT_VOLUME_CLAIM, claim, world.settings.data_namespace) is not None
        )
        return Observed(
            raw=raw,
            pool=pool,
            nodes=tuple(world.hosts_of(pool)),
            locations=tuple(world.locations_of(name)),
            other_paths=tuple(
                (p.metadata.name, p.spec.backend.host_path.path)
                for p in world.pools()
                if _seniority(p) < _seniority(pool) and p.spec.backend.host_path is not None
            ),
            hosts_in_use=hosts_in_use(pool, placed, parents),
            users=users,
            parents=len(parents),
            parents_ready=sum(p.status.state == "Ready" for p in parents),
            children=sum(bool(v.status.parent) for v in (above if pool.spec.golden else placed)),
            volumes=len(placed),
            allowed_prefixes=world.settings.allowed_path_prefixes,
            claim_exists=claimed,
            persistent_volume_exists=not claimed and await world.exists(r.PERSISTENT_VOLUME, claim),
            data_namespace=world.settings.data_namespace,
            now=world.now(),
        )

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        match change.resource:
            case r.STORAGE_POOL:
                yield change.key
                if change.old is None or change.new is None:
                    # A path that was taken may be free now, and the other way round.
                    yield from self._all()
            case r.STORAGE_LOCATION if differs(change, readiness):
                yield from _pools_named(change, ("spec", "pool"))
            case r.STORAGE_LOCATION | r.PARENT:
                yield from self._counts(_pools_named(change, ("spec", "pool")))
            case r.VOLUME if differs(change, _use):
                yield from self._counts(
                    _pools_named(change, ("spec", "placement", "pool"), ("spec", "placement", "parentPool"))
                )
            case r.VIRTUAL_MACHINE if differs(change, iso_stake):
                pools = {iso_of(obj).get("pool", "") for obj in (change.old, change.new) if obj} - {""}
                yield from self._counts(Key("StoragePool", "", pool) for pool in pools)
            case r.NODE:
                # Heartbeats come every few seconds and change nothing that a pool looks at.
                if differs(change, lambda node: node["metadata"].get("labels")):
                    yield from self._all()

    def _counts(self, keys: Iterable[Key]) -> Iterable[Key | Soon]:
        cache = self._world.cache
        return (soon_if_well(key, cache.at(r.STORAGE_POOL, key)) for key in keys)

    def _all(self) -> Iterable[Key]:
        return self._world.cache.keys(r.STORAGE_POOL)


def _seniority(pool: StoragePool) -> tuple[str, str]:
    return pool.metadata.creation_timestamp, pool.metadata.name


def _pools_named(change: Change, *paths: tuple[str, ...]) -> Iterable[Key]:
    names: set[str] = set()
    for obj in (change.old, change.new):
        for path in paths:
            value: Any = obj
            for step in path:
                value = value.get(step) if isinstance(value, dict) else None
            if isinstance(value, str):
                names.add(value)
    return [Key("StoragePool", "", name) for name in sorted(names)]


def _use(volume: Obj) -> object:
    return volume["spec"].get("placement"), (volume.get("status") or {}).get("parent"), going(volume)
