"""The end of a location: not while anything is there; its identity is taken off the disk, the object goes last."""

from goldpool.api.conditions import Reason
from goldpool.contracts.operations import Release
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.storagelocation.operations import ask, operation_in_use
from goldpool.controllers.storagelocation.status import away, status
from goldpool.controllers.verdict import blocked, busy
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import Plan, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if FINALIZER not in o.location.metadata.finalizers:
        return Plan()
    if o.users:
        names = ", ".join(f"{b.kind} {b.name}" for b in o.users[:3])
        return Plan(status=status(o, blocked(f"{len(o.users)} object(s) are here: {names}")))
    host_gone = bool(o.location.spec.host) and o.node is None
    # Also a location that was never seen initialised is released: the operation may be under way.
    never = o.location.status.initialized_time is None and o.host is None
    # What was asked before the deletion, too: nobody else would take its outcome, and its Job would stay.
    gone = Plan(
        effects=(RemoveFinalizer(r.STORAGE_LOCATION, o.raw, FINALIZER),),
        afterwards=(Settle(operation_in_use(o.location, o.node, o.facts)), Settle(o.operation)),
    )
    if never or host_gone or o.pool is None or o.mount is None:
        return gone
    if o.given_up and o.host is None:
        return gone
    match o.outcome:
        case Succeeded():
            return gone
        case Failed(reason=FailureReason.NOT_MOUNTED | FailureReason.FOREIGN_POOL | FailureReason.REPLACED):
            # What is there is not ours to touch; whoever it belongs to keeps it.
            return gone
        case Failed(message=message):
            return Plan(
                status=status(o, busy(Reason.OPERATION_FAILED, message)),
                afterwards=(Settle(o.operation),),
                again_after=o.probe_failed_seconds,
            )
    if o.host is None:
        return Plan(status=status(o, busy(Reason.HOST_NOT_READY, away(o))))
    release = Release(id=o.operation, location=o.location.metadata.name)
    return Plan(
        effects=(ask(o, o.mount, o.host, release),),
        status=status(o, busy(Reason.TERMINATING, "the location is given back")),
    )
