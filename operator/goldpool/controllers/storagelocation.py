"""StorageLocation: makes a location ours once, watches that it stays so, and gives it back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from goldpool.api.conditions import ConditionType, Reason, is_true
from goldpool.api.references import Blocker
from goldpool.api.storagelocation import StorageLocation, StorageLocationStatus
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.contracts.operations import (
    FailureReason,
    Initialize,
    LocationFacts,
    LocationState,
    Probe,
    Rebind,
    Release,
)
from goldpool.controllers.backing import executing_host, mount_of, tolerations_of
from goldpool.controllers.naming import FINALIZER, OperationIds
from goldpool.controllers.verdict import Verdict, blocked, busy, conditions, good, seconds_since, timestamp
from goldpool.controllers.world import BY_HOST, BY_POOL, NodeView, World, differs, readiness
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.outcome import Failed, Outcome, Succeeded
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.engine.plan import AddFinalizer, EventKind, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj

_REASONS = {
    LocationState.NOT_MOUNTED: Reason.NOT_MOUNTED,
    LocationState.FOREIGN: Reason.FOREIGN_POOL,
    LocationState.REPLACED: Reason.REPLACED,
    FailureReason.NOT_MOUNTED: Reason.NOT_MOUNTED,
    FailureReason.FOREIGN_POOL: Reason.FOREIGN_POOL,
    FailureReason.REPLACED: Reason.REPLACED,
}


@dataclass(frozen=True, slots=True)
class Observed:
    """A location, the pool and host it belongs to, and what its last operations said."""

    raw: Obj
    location: StorageLocation
    pool: StoragePool | None
    node: NodeView | None
    host: str | None
    """Who can work on it now."""
    mount: LocationMount | None
    operation: str
    """Id of the operation this pass is about: initialise, probe, rebind or release."""
    outcome: Outcome | None
    facts: LocationFacts | None
    facts_time: datetime | None
    users: tuple[Blocker, ...]
    parents: int
    volumes: int
    probe_seconds: int
    probe_failed_seconds: int
    now: datetime


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
        location = StorageLocation.read(raw)
        name = location.metadata.name
        pool = world.pool(location.spec.pool)
        if pool is not None and pool.metadata.uid != location.spec.pool_uid:
            pool = None
        node = world.node(location.spec.host) if location.spec.host else None
        node_uid = location.status.node_uid or (node.uid if node else "")
        parents = world.parents_at(name)
        volumes = [v for v in world.volumes_in(location.spec.pool) if _is_at(v, location, pool)]
        found = world.dispatcher.facts(name)
        operation = _operation_id(location, node, found[0] if found else None)
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
            users=(
                *(Blocker(kind="Parent", name=p.metadata.name) for p in parents),
                *(
                    Blocker(kind="Volume", namespace=v.metadata.namespace, name=v.metadata.name)
                    for v in volumes
                ),
            ),
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

    def affected(self, change: Change) -> Iterable[Key]:
        cache = self._world.cache
        match change.resource:
            case r.STORAGE_LOCATION:
                yield change.key
            case r.PARENT:
                for obj in (change.old, change.new):
                    if obj is not None:
                        yield Key("StorageLocation", "", obj["spec"]["location"])
            case r.VOLUME if differs(change, _place):
                for obj in (change.old, change.new):
                    yield from self._places_of(obj or {})
            case r.NODE if differs(change, _node):
                for obj in cache.by_index(r.STORAGE_LOCATION, BY_HOST, change.key.name):
                    yield Key("StorageLocation", "", obj["metadata"]["name"])
                # Any host may be the one that works on a Shared pool.
                for obj in cache.list(r.STORAGE_LOCATION):
                    if not obj["spec"].get("host"):
                        yield Key("StorageLocation", "", obj["metadata"]["name"])


def plan(o: Observed) -> Plan:
    """Initialised once; from then on a missing identity is *not mounted*, never a reason to write another."""
    if o.location.deleting:
        return _removal(o)
    if FINALIZER not in o.location.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.STORAGE_LOCATION, o.raw, FINALIZER),))
    if o.pool is None or o.mount is None:
        return Plan(status=_status(o, busy(Reason.PENDING, f"StoragePool {o.location.spec.pool} is gone")))
    if o.host is None:
        who = f"node {o.location.spec.host}" if o.location.spec.host else "every host of the pool"
        return Plan(status=_status(o, busy(Reason.HOST_NOT_READY, f"{who} is not ready")))
    if o.location.status.initialized_time is None:
        return _initialize(o, o.pool, o.mount, o.host)
    return _watch(o, o.mount, o.host)


def _initialize(o: Observed, pool: StoragePool, mount: LocationMount, host: str) -> Plan:
    attempts = o.location.status.attempts or 0
    match o.outcome:
        case Succeeded():
            status = _status(o, good(Reason.READY, "the location is initialised"), initialized=True)
            return Plan(status=status, afterwards=(Settle(o.operation),), again_after=0)
        case Failed(reason=reason, message=message):
            told = Record(
                o.raw, EventKind.WARNING, _REASONS.get(reason, Reason.OPERATION_FAILED), "Initialize", message
            )
            verdict = busy(_REASONS.get(reason, Reason.OPERATION_FAILED), message)
            return Plan(
                effects=(told,),
                status=_status(o, verdict, attempts=attempts + 1),
                afterwards=(Settle(o.operation),),
                again_after=o.probe_failed_seconds,
            )
    if attempts and (wait := _pause(o, o.probe_failed_seconds)) > 0 and o.outcome is None:
        return Plan(again_after=wait)
    host_path = pool.spec.backend.host_path
    ask = _ask(
        o, mount, host,
        Initialize(
            id=o.operation,
            location=o.location.metadata.name,
            identity=mount.identity,
            # A kubelet mounts exports and claims itself, always as a mount point.
            require_mount=host_path.require_mount if host_path else True,
        ),
    )  # fmt: skip
    if attempts:
        return Plan(effects=(ask,))
    return Plan(
        effects=(ask,), status=_status(o, busy(Reason.INITIALIZING, "the location is being initialised"))
    )


def _watch(o: Observed, mount: LocationMount, host: str) -> Plan:
    """Each Job's report brings facts; a probe is only for a location that nothing else looked at for a while."""
    settle = (Settle(o.operation),) if isinstance(o.outcome, Succeeded | Failed) else ()
    facts = _news(o)
    if isinstance(o.outcome, Failed) and (facts is None or facts.state is LocationState.OK):
        # No report explains the failure, so an earlier one that all was well is no answer to it.
        reason = _REASONS.get(o.outcome.reason, Reason.OPERATION_FAILED)
        status = _status(o, busy(reason, o.outcome.message), probed=o.now)
        return Plan(status=status, afterwards=settle, again_after=o.probe_failed_seconds)
    if facts is not None and _only_node_is_new(o, facts):
        identity = mount.identity.model_copy(update={"node_uid": o.node.uid if o.node else ""})
        rebind = Rebind(id=o.operation, location=o.location.metadata.name, identity=identity)
        if isinstance(o.outcome, Succeeded):
            return Plan(
                status=_status(o, _verdict_of(o), node_uid=identity.node_uid),
                afterwards=settle,
                again_after=0,
            )
        return Plan(effects=(_ask(o, mount, host, rebind),))
    if settle:
        # Recorded first: until then the old id is asked for, and its outcome is the answer.
        return Plan(
            status=_status(o, _verdict_of(o), probed=o.facts_time or o.now), afterwards=settle, again_after=1
        )
    well = facts is None or facts.state is LocationState.OK
    interval = o.probe_seconds if well and _was_ready(o) else o.probe_failed_seconds
    last = o.facts_time if facts is not None else None
    age = (o.now - last).total_seconds() if last else seconds_since(o.location.status.probe_time, o.now)
    if age < interval:
        return Plan(status=_status(o, _verdict_of(o)), again_after=interval - age)
    probe = Probe(id=o.operation, location=o.location.metadata.name)
    return Plan(effects=(_ask(o, mount, host, probe),), status=_status(o, _verdict_of(o)))


def _news(o: Observed) -> LocationFacts | None:
    """What a Job found, unless a later probe failed without finding anything."""
    recorded = o.location.status.probe_time
    if o.facts_time is None or (recorded is not None and timestamp(o.facts_time) < recorded):
        return None
    return o.facts


def _verdict_of(o: Observed) -> Verdict:
    facts = _news(o)
    if facts is None:
        # A restarted operator has seen no report yet: what the last one recorded stands.
        before = next((c for c in o.location.status.conditions if c.type == "Ready"), None)
        if before is None or before.reason == Reason.HOST_NOT_READY:
            return good(Reason.READY, "the location can be used")
        ready = before.status == "True"
        return (
            good(Reason(before.reason), before.message)
            if ready
            else busy(Reason(before.reason), before.message)
        )
    if facts.state is LocationState.OK:
        return good(Reason.READY, "the location can be used")
    return busy(
        _REASONS[facts.state],
        facts.message or f"the location was found {facts.state}; nothing is written there",
    )


def _removal(o: Observed) -> Plan:
    if FINALIZER not in o.location.metadata.finalizers:
        return Plan()
    if o.users:
        names = ", ".join(f"{b.kind} {b.name}" for b in o.users[:3])
        return Plan(status=_status(o, blocked(f"{len(o.users)} object(s) are here: {names}")))
    host_gone = bool(o.location.spec.host) and o.node is None
    # Also a location that was never seen initialised is released: the operation may be under way.
    never = o.location.status.initialized_time is None and o.host is None
    # What was asked before the deletion, too: nobody else would take its outcome, and its Job would stay.
    gone = Plan(
        effects=(RemoveFinalizer(r.STORAGE_LOCATION, o.raw, FINALIZER),),
        afterwards=(Settle(_operation_in_use(o.location, o.node, o.facts)), Settle(o.operation)),
    )
    if never or host_gone or o.pool is None or o.mount is None:
        return gone
    match o.outcome:
        case Succeeded():
            return gone
        case Failed(reason=FailureReason.NOT_MOUNTED | FailureReason.FOREIGN_POOL | FailureReason.REPLACED):
            # What is there is not ours to touch; whoever it belongs to keeps it.
            return gone
        case Failed(message=message):
            return Plan(
                status=_status(o, busy(Reason.OPERATION_FAILED, message)),
                afterwards=(Settle(o.operation),),
                again_after=o.probe_failed_seconds,
            )
    if o.host is None:
        return Plan(
            status=_status(o, busy(Reason.HOST_NOT_READY, f"node {o.location.spec.host} is not ready"))
        )
    release = Release(id=o.operation, location=o.location.metadata.name)
    return Plan(
        effects=(_ask(o, o.mount, o.host, release),),
        status=_status(o, busy(Reason.TERMINATING, "the location is given back")),
    )


def _ask(
    o: Observed, mount: LocationMount, host: str, operation: Initialize | Probe | Rebind | Release
) -> Ask:
    assert o.pool is not None
    return Ask(
        Request(
            operation=operation,
            mount=mount,
            host=host,
            owner=Key("StorageLocation", "", o.location.metadata.name),
            tolerations=tolerations_of(o.pool.spec.tolerations),
        )
    )


def _operation_id(location: StorageLocation, node: NodeView | None, facts: LocationFacts | None) -> str:
    if location.deleting:
        return OperationIds.release(location.metadata.name)
    return _operation_in_use(location, node, facts)


def _operation_in_use(location: StorageLocation, node: NodeView | None, facts: LocationFacts | None) -> str:
    name, status = location.metadata.name, location.status
    if status.initialized_time is None:
        return OperationIds.initialize(name, status.attempts or 0)
    if node is not None and facts is not None and _node_is_new(location, node, facts):
        return OperationIds.rebind(name, node.uid)
    return OperationIds.probe(name, status.probe_time or status.initialized_time)


def _node_is_new(location: StorageLocation, node: NodeView, facts: LocationFacts) -> bool:
    return (
        facts.state is LocationState.OK and bool(location.spec.host) and location.status.node_uid != node.uid
    )


def _only_node_is_new(o: Observed, facts: LocationFacts) -> bool:
    return o.node is not None and _node_is_new(o.location, o.node, facts)


def _was_ready(o: Observed) -> bool:
    return is_true(o.location.status.conditions, ConditionType.READY)


def _pause(o: Observed, seconds: int) -> float:
    return seconds - seconds_since(o.location.status.probe_time, o.now)


def _status(
    o: Observed,
    verdict: Verdict,
    *,
    initialized: bool = False,
    attempts: int | None = None,
    node_uid: str | None = None,
    probed: datetime | None = None,
) -> dict[str, Any]:
    before = o.location.status
    facts = o.facts if o.facts is not None and o.facts.state is LocationState.OK else None
    total = facts.total_bytes if facts else before.total
    free = facts.free_bytes if facts else before.free
    used = (total - (free or 0)) if total else None
    return StorageLocationStatus(
        observed_generation=o.location.metadata.generation,
        phase="Terminating" if o.location.deleting else str(verdict.reason),
        conditions=conditions(
            verdict, previous=before.conditions, generation=o.location.metadata.generation, now=o.now
        ),
        initialized_time=before.initialized_time or (timestamp(o.now) if initialized else None),
        node_uid=node_uid or before.node_uid or (o.node.uid if o.node and initialized else None),
        total=total,
        free=free,
        used_percent=f"{used * 100 // total}%" if total and used is not None else None,
        probe_time=timestamp(probed)
        if probed
        else (timestamp(o.now) if initialized or attempts else before.probe_time),
        attempts=None if initialized else attempts if attempts is not None else before.attempts,
        parents=o.parents,
        volumes=o.volumes,
        blockers=list(o.users[:10]) if o.location.deleting else [],
        blockers_total=len(o.users) if o.location.deleting else None,
    ).to_dict()


def _is_at(volume: Any, location: StorageLocation, pool: StoragePool | None) -> bool:
    if volume.status.location is not None:
        return bool(volume.status.location == location.metadata.name)
    shared = pool is not None and pool.spec.scope is Scope.SHARED
    return shared or volume.spec.placement.host == location.spec.host


def _place(volume: Obj) -> object:
    return (volume.get("status") or {}).get("location"), volume["spec"].get("placement")


def _node(node: Obj) -> object:
    return readiness(node), node["metadata"].get("uid")
