"""StoragePool: keeps one StorageLocation for each host, and guards the pool against deletion while it is used."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from goldpool.api.conditions import ConditionStatus, ConditionType, Reason, is_true
from goldpool.api.model import API_VERSION
from goldpool.api.parent import Parent
from goldpool.api.references import CopyException
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import PoolState, Scope, StoragePool, StoragePoolStatus
from goldpool.api.volume import Volume
from goldpool.controllers.backing import nfs_claim_name
from goldpool.controllers.naming import FINALIZER, LABEL_MANAGED, MANAGED_BY
from goldpool.controllers.verdict import Verdict, blocked, busy, conditions, good, named, stalled, ways_out
from goldpool.controllers.world import World, differs, going, iso_of, iso_stake, readiness, soon_if_well
from goldpool.engine.plan import AddFinalizer, Create, Delete, EventKind, Plan, Record, RemoveFinalizer, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.identity import location_name
from goldpool.planning.references import Users, users_of_pool
from goldpool.planning.snapshot import NodeView

_EXCEPTIONS = 20


@dataclass(frozen=True, slots=True)
class Observed:
    """A pool, its hosts and locations, and who uses it."""

    raw: Obj
    pool: StoragePool
    nodes: tuple[NodeView, ...]
    locations: tuple[StorageLocation, ...]
    other_paths: tuple[tuple[str, str], ...]
    """(pool, path) of every older hostPath pool: of two that nest, the one that came later is wrong."""
    hosts_in_use: frozenset[str]
    """Hosts with a volume of the pool or a parent in it, as the cache says."""
    users: Users
    """Volumes on the pool or with their parent on it, once it is being deleted; nobody asks before."""
    parents: int
    parents_ready: int
    children: int
    volumes: int
    allowed_prefixes: tuple[str, ...]
    claim_exists: bool
    persistent_volume_exists: bool
    """Asked of the API server only while the claim is missing: a crash may lie between the two."""
    data_namespace: str
    now: datetime


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


def plan(o: Observed) -> Plan:
    """One location per host. A pool that is used stays Terminating; one that is not gives its locations back."""
    if o.pool.deleting:
        return _removal(o)
    if FINALIZER not in o.pool.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.STORAGE_POOL, o.raw, FINALIZER),))
    if (problem := path_problem(o.pool, o.allowed_prefixes, o.other_paths)) is not None:
        return Plan(status=_status(o, stalled(Reason.PATH_NOT_ALLOWED, problem)))
    effects: list[object] = [*_claim_for_nfs(o), *_missing_locations(o), *_stray_locations(o)]
    return Plan(effects=tuple(effects), status=_status(o, _verdict(o)))


def _seniority(pool: StoragePool) -> tuple[str, str]:
    return pool.metadata.creation_timestamp, pool.metadata.name


def path_problem(
    pool: StoragePool, prefixes: tuple[str, ...], others: tuple[tuple[str, str], ...]
) -> str | None:
    """Why the pool's path may not be used. Compared by components: ``/srv2`` is not below ``/srv``."""
    if pool.spec.backend.host_path is None:
        return None
    path = PurePosixPath(pool.spec.backend.host_path.path)
    if not any(path != PurePosixPath(p) and path.is_relative_to(p) for p in prefixes):
        return (
            f"spec.backend.hostPath.path {path} is not below an allowed prefix ({', '.join(prefixes)}): "
            "choose another path, or add the prefix to allowedPathPrefixes in the chart's values"
        )
    for name, other in others:
        if path.is_relative_to(other) or PurePosixPath(other).is_relative_to(path):
            return f"spec.backend.hostPath.path {path} nests with {other} of StoragePool {name}: pools never nest"
    return None


def _wanted_hosts(o: Observed) -> list[str]:
    if o.pool.spec.scope is Scope.SHARED:
        return [""] if o.nodes else []
    return sorted(n.name for n in o.nodes)


def _hosts(o: Observed) -> set[str]:
    """Those that are wanted, and those where something of the pool still is."""
    return {*_wanted_hosts(o), *o.hosts_in_use}


def hosts_in_use(pool: StoragePool, volumes: Iterable[Volume], parents: Iterable[Parent]) -> frozenset[str]:
    places = [v.spec.placement for v in volumes]
    hosts = {*(p.spec.host for p in parents), *(p.host or "" for p in places if p is not None)}
    # On a Shared pool a volume's host is where its machine is tied to, not where its bytes are.
    return frozenset(hosts if pool.spec.scope is Scope.HOST or not hosts else {""})


def _missing_locations(o: Observed) -> Iterable[Create]:
    present = {x.metadata.name for x in o.locations}
    pool = o.pool.metadata
    for host in _wanted_hosts(o):
        name = location_name(pool.name, pool.uid, host)
        if name not in present:
            yield Create(
                r.STORAGE_LOCATION,
                {
                    "apiVersion": API_VERSION,
                    "kind": "StorageLocation",
                    "metadata": {
                        "name": name,
                        "finalizers": [FINALIZER],
                        "labels": {LABEL_MANAGED: MANAGED_BY, "goldpool.io/pool": pool.name},
                    },
                    "spec": {"pool": pool.name, "poolUID": pool.uid, "host": host},
                },
            )


def _stray_locations(o: Observed) -> Iterable[Delete]:
    """Of hosts no longer selected. One that is used stays, for its host may come back: a Node that was deleted and
    registered anew finds its location as it was. If the cache is wrong about that, the location holds itself up."""
    wanted = _hosts(o)
    for location in o.locations:
        stray = location.spec.host not in wanted or location.spec.pool_uid != o.pool.metadata.uid
        if stray and not location.deleting:
            yield Delete(r.STORAGE_LOCATION, location.metadata.name, "", location.metadata.uid)


def _claim_for_nfs(o: Observed) -> Iterable[Create]:
    """The kubelet mounts the export; mount options need a PersistentVolume."""
    nfs = o.pool.spec.backend.nfs
    if nfs is None or o.claim_exists:
        return
    name = nfs_claim_name(o.pool)
    common: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeMode": "Filesystem",
    }
    # Collected with the pool. Retain keeps what lies on the export.
    owner = {
        "apiVersion": API_VERSION,
        "kind": "StoragePool",
        "name": o.pool.metadata.name,
        "uid": o.pool.metadata.uid,
    }
    owned: dict[str, Any] = {"labels": {LABEL_MANAGED: MANAGED_BY}, "ownerReferences": [owner]}
    persistent_volume = Create(
        r.PERSISTENT_VOLUME,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": owned | {"name": name},
            "spec": common
            | {
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "mountOptions": nfs.mount_options,
                "nfs": {"server": nfs.server, "path": nfs.path},
                "claimRef": {"namespace": o.data_namespace, "name": name},
            },
        },
    )
    if not o.persistent_volume_exists:
        yield persistent_volume
    yield Create(
        r.PERSISTENT_VOLUME_CLAIM,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": owned | {"name": name, "namespace": o.data_namespace},
            "spec": common | {"volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
        },
    )


def _verdict(o: Observed) -> Verdict:
    wanted, usable = len(_hosts(o)), sum(map(_usable, o.locations))
    if o.pool.spec.state is not PoolState.ENABLED:
        reason = Reason.DISABLED if o.pool.spec.state is PoolState.DISABLED else Reason.MAINTENANCE
        return good(reason, f"spec.state is {o.pool.spec.state}: nothing new is placed here")
    if wanted == 0:
        return busy(Reason.NO_HOSTS, "no node matches spec.hostSelector.matchLabels")
    if usable == wanted:
        return good(Reason.READY, f"{usable} of {wanted} locations can be used")
    problems = "; ".join(f"{e.host or e.location}: {e.message or e.reason}" for e in _exceptions(o)[:3])
    reason = (
        Reason.INITIALIZING
        if all(x.status.initialized_time is None for x in o.locations)
        else Reason.HOSTS_NOT_READY
    )
    return busy(
        reason, f"{usable} of {wanted} locations can be used; {problems or 'hosts are being prepared'}"
    )


def _usable(location: StorageLocation) -> bool:
    return is_true(location.status.conditions, ConditionType.READY)


def _exceptions(o: Observed) -> list[CopyException]:
    return [
        CopyException(location=x.metadata.name, host=x.spec.host, reason=c.reason, message=c.message)
        for x in sorted(o.locations, key=lambda x: x.spec.host)
        for c in x.status.conditions
        if c.type == ConditionType.READY and c.status is not ConditionStatus.TRUE
    ][:_EXCEPTIONS]


def _removal(o: Observed) -> Plan:
    if FINALIZER not in o.pool.metadata.finalizers:
        return Plan()
    if o.users:
        sentence = f"{o.users.total} user(s) of the pool: {named(o.users)}; {ways_out(o.users)}"
        return Plan(
            effects=(Record(o.raw, EventKind.WARNING, Reason.DELETION_BLOCKED, "Delete", sentence),),
            status=_status(o, blocked(sentence)),
        )
    if o.parents:
        # Unused parents see that their pool goes, and retire.
        return Plan(status=_status(o, busy(Reason.TERMINATING, f"{o.parents} parent(s) are being removed")))
    going = tuple(
        Delete(r.STORAGE_LOCATION, x.metadata.name, "", x.metadata.uid) for x in o.locations if not x.deleting
    )
    if o.locations:
        count = len(o.locations)
        return Plan(
            effects=going, status=_status(o, busy(Reason.TERMINATING, f"{count} location(s) are given back"))
        )
    return Plan(effects=(RemoveFinalizer(r.STORAGE_POOL, o.raw, FINALIZER),))


def _status(o: Observed, verdict: Verdict) -> dict[str, Any]:
    total = sum(x.status.total or 0 for x in o.locations)
    used = total - sum(x.status.free or 0 for x in o.locations)
    usable, wanted = sum(map(_usable, o.locations)), len(_hosts(o))
    return StoragePoolStatus(
        observed_generation=o.pool.metadata.generation,
        phase=_phase(o, verdict, usable),
        conditions=conditions(
            verdict, previous=o.pool.status.conditions, generation=o.pool.metadata.generation, now=o.now
        ),
        hosts=f"{usable}/{wanted}",
        hosts_ready=usable,
        hosts_wanted=wanted,
        total=total,
        used=used,
        used_percent=f"{used * 100 // total}%" if total else None,
        parents=o.parents_ready,
        children=o.children,
        volumes=o.volumes,
        exceptions=_exceptions(o),
        blockers=list(o.users.blockers) if o.pool.deleting else [],
        blockers_total=o.users.total if o.pool.deleting else None,
    ).to_dict()


def _phase(o: Observed, verdict: Verdict, usable: int) -> str:
    if o.pool.deleting:
        return "Terminating"
    if verdict.stalled:
        return "Failed"
    if verdict.ready:
        return "Ready" if verdict.reason is Reason.READY else str(verdict.reason)
    return "Degraded" if usable else "Initializing"


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
