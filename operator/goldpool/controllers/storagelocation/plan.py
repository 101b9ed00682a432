"""What a location needs next."""

from typing import Any, Final

from goldpool.api.conditions import ConditionType, Reason, is_true
from goldpool.api.storagepool import StoragePool
from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.operations import Initialize, Probe, Rebind
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import ABANDON_ANNOTATION, FINALIZER
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.storagelocation.operations import ask, node_is_new
from goldpool.controllers.storagelocation.removal import removal
from goldpool.controllers.storagelocation.status import away, inspection_of, status, way_out
from goldpool.controllers.verdict import Verdict, busy, good, seconds_since, timestamp
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import AddFinalizer, EventKind, Patch, Plan, Record
from goldpool.kube import resources as r

_INSPECT_FACTOR: Final = 4
"""A location that other Jobs report on is compared this many times less often than an idle one is probed."""

_REASONS: Final = {
    LocationState.NOT_MOUNTED: Reason.NOT_MOUNTED,
    LocationState.FOREIGN: Reason.FOREIGN_POOL,
    LocationState.REPLACED: Reason.REPLACED,
    FailureReason.NOT_MOUNTED: Reason.NOT_MOUNTED,
    FailureReason.FOREIGN_POOL: Reason.FOREIGN_POOL,
    FailureReason.REPLACED: Reason.REPLACED,
}


def plan(o: Observed) -> Plan:
    """Initialised once; from then on a missing identity is *not mounted*, never a reason to write another."""
    if o.location.deleting:
        return removal(o)
    if FINALIZER not in o.location.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.STORAGE_LOCATION, o.raw, FINALIZER),))
    if o.pool is None or o.mount is None:
        return Plan(status=status(o, busy(Reason.PENDING, f"StoragePool {o.location.spec.pool} is gone")))
    if o.host is None:
        return Plan(status=status(o, busy(Reason.HOST_NOT_READY, away(o))))
    if o.location.status.initialized_time is None or o.given_up:
        return _initialize(o, o.pool, o.mount, o.host)
    return _watch(o, o.mount, o.host)


def _initialize(o: Observed, pool: StoragePool, mount: LocationMount, host: str) -> Plan:
    attempts = o.location.status.attempts or 0
    match o.outcome:
        case Succeeded():
            done = status(o, good(Reason.READY, "the location is initialised"), initialized=True)
            return Plan(
                effects=_taken_up_again(o), status=done, afterwards=(Settle(o.operation),), again_after=0
            )
        case Failed(reason=reason, message=message):
            told = Record(
                o.raw, EventKind.WARNING, _REASONS.get(reason, Reason.OPERATION_FAILED), "Initialize", message
            )
            verdict = busy(_REASONS.get(reason, Reason.OPERATION_FAILED), message)
            return Plan(
                effects=(told,),
                status=status(o, verdict, attempts=attempts + 1),
                afterwards=(Settle(o.operation),),
                again_after=o.probe_failed_seconds,
            )
    if attempts and (wait := _pause(o, o.probe_failed_seconds)) > 0 and o.outcome is None:
        return Plan(again_after=wait)
    host_path = pool.spec.backend.host_path
    initialize = ask(
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
        return Plan(effects=(initialize,))
    return Plan(
        effects=(initialize,),
        status=status(o, busy(Reason.INITIALIZING, "the location is being initialised")),
    )


def _watch(o: Observed, mount: LocationMount, host: str) -> Plan:
    """Each Job's report brings facts; a probe is only for a location that nothing else looked at for a while."""
    settle = (Settle(o.operation),) if isinstance(o.outcome, Succeeded | Failed) else ()
    facts = _news(o)
    if isinstance(o.outcome, Failed) and (facts is None or facts.state is LocationState.OK):
        # No report explains the failure, so an earlier one that all was well is no answer to it.
        reason = _REASONS.get(o.outcome.reason, Reason.OPERATION_FAILED)
        unwell = status(o, busy(reason, o.outcome.message), probed=o.now)
        return Plan(status=unwell, afterwards=settle, again_after=o.probe_failed_seconds)
    if facts is not None and _only_node_is_new(o, facts):
        identity = mount.identity.replace(node_uid=o.node.uid if o.node else "")
        rebind = Rebind(id=o.operation, location=o.location.metadata.name, identity=identity)
        if isinstance(o.outcome, Succeeded):
            return Plan(
                status=status(o, _verdict_of(o), node_uid=identity.node_uid),
                afterwards=settle,
                again_after=0,
            )
        return Plan(effects=(ask(o, mount, host, rebind),))
    if settle:
        # Recorded first: until then the old id is asked for, and its outcome is the answer.
        return Plan(
            status=status(o, _verdict_of(o), probed=o.facts_time or o.now), afterwards=settle, again_after=1
        )
    well = facts is None or facts.state is LocationState.OK
    at_ease = well and _was_ready(o) and not o.location.status.missing
    interval = o.probe_seconds if at_ease else o.probe_failed_seconds
    last = o.facts_time if facts is not None else None
    age = (o.now - last).total_seconds() if last else seconds_since(o.location.status.probe_time, o.now)
    told = _orphans_told(o)
    if age < interval and not _inspection_due(o):
        return Plan(effects=told, status=status(o, _verdict_of(o)), again_after=interval - age)
    probe = Probe(id=o.operation, location=o.location.metadata.name, known=o.known)
    return Plan(effects=(*told, ask(o, mount, host, probe)), status=status(o, _verdict_of(o)))


def _inspection_due(o: Observed) -> bool:
    """Other Jobs say how a location is, and not what lies there. Never compared, it is at once, if anything should."""
    if o.known is None or not o.known.present:
        return False
    return seconds_since(o.location.status.inspected_time, o.now) >= _INSPECT_FACTOR * o.probe_seconds


def _orphans_told(o: Observed) -> tuple[Record, ...]:
    found = inspection_of(o)
    if not found.orphans or (o.location.status.orphans_total or 0) >= found.orphans_total:
        return ()
    note = (
        f"{found.orphans_total} entries that no object knows: {', '.join(found.orphans[:3])}; they are never removed: look "
        "at the sidecar in each, then remove or restore it by hand"
    )
    return (Record(o.raw, EventKind.WARNING, Reason.ORPHANS_FOUND, "Inspect", note),)


def _taken_up_again(o: Observed) -> tuple[object, ...]:
    """The disk is ours, old or empty, and nothing of it is given up from here on; what it lacks, a Probe will find."""
    if not o.given_up:
        return ()
    note = "the location can be used again; what it no longer holds is fetched anew, or told as lost"
    gone: dict[str, Any] = {"metadata": {"annotations": {ABANDON_ANNOTATION: None}}}
    metadata = o.location.metadata
    return (
        Record(o.raw, EventKind.NORMAL, Reason.ABANDONED, "Initialize", note),
        Patch(r.STORAGE_LOCATION, metadata.name, "", metadata.resource_version, gone),
    )


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
    message = facts.message or f"the location was found {facts.state}; nothing is written there"
    if facts.state is LocationState.NOT_MOUNTED:
        message += "; mount the pool's disk" + way_out(o)
    return busy(_REASONS[facts.state], message)


def _only_node_is_new(o: Observed, facts: LocationFacts) -> bool:
    return o.node is not None and node_is_new(o.location, o.node, facts)


def _was_ready(o: Observed) -> bool:
    return is_true(o.location.status.conditions, ConditionType.READY)


def _pause(o: Observed, seconds: int) -> float:
    return seconds - seconds_since(o.location.status.probe_time, o.now)
