"""From a copy that nobody should have to none."""

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.contracts.operations import DeleteParent
from goldpool.controllers.abandonment import way_out
from goldpool.controllers.backing import HOST_AWAY_SECONDS, tolerations_of
from goldpool.controllers.naming import FINALIZER, REMOVING_ANNOTATION, OperationIds
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.status import status_of, users_named
from goldpool.controllers.verdict import blocked, busy
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.engine.plan import Delete, Patch, Plan, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.port import Key


def retire(o: Observed) -> Plan:
    """Everybody was asked (``users`` is fresh here): one user, and the copy is kept after all. Once its removal was
    asked for there is no way back: a Job that was lost may have removed the bytes all the same."""
    name = o.parent.metadata.name
    operation = OperationIds.delete_parent(name)
    doomed = REMOVING_ANNOTATION in o.parent.metadata.annotations
    if o.users and not doomed:
        verdict = blocked(users_named(o)) if o.parent.deleting else busy(Reason.RETIRING, users_named(o))
        return Plan(status=status_of(o, verdict, state=_as_before(o), unused_since=None), again_after=5)
    gone = (RemoveFinalizer(r.PARENT, o.raw, FINALIZER), delete(o))
    if o.location is None or o.pool is None or o.mount is None or not o.node_known or o.given_up:
        # The host or the pool is gone for good; what is left there is known by its sidecar.
        return Plan(effects=gone)
    match o.removal:
        case Succeeded():
            return Plan(effects=gone, afterwards=(Settle(operation),))
        case Failed(message=message):
            return Plan(
                status=status_of(o, busy(Reason.OPERATION_FAILED, message), state=ParentState.RETIRING),
                afterwards=(Settle(operation),),
                again_after=o.base_seconds * (1 + o.jitter),
            )
    if o.host is None:
        return Plan(
            status=status_of(o, busy(Reason.WAITING_FOR_HOST, _host_awaited(o)), state=ParentState.RETIRING),
            again_after=HOST_AWAY_SECONDS,
        )
    if not doomed:
        mark = {"metadata": {"annotations": {REMOVING_ANNOTATION: "true"}}}
        return Plan(
            effects=(Patch(r.PARENT, name, "", o.parent.metadata.resource_version, mark),), again_after=0
        )
    request = Request(
        operation=DeleteParent(id=operation, location=o.parent.spec.location, parent=name),
        mount=o.mount,
        host=o.host,
        owner=Key("Parent", "", name),
        tolerations=tolerations_of(o.pool.spec.tolerations),
    )
    return Plan(
        effects=(*call_off(o), Ask(request)),
        status=status_of(o, busy(Reason.RETIRING, "its bytes are being removed"), state=ParentState.RETIRING),
    )


def _as_before(o: Observed) -> ParentState:
    """What the copy was before it was marked. Ready is said only of bytes that are there and were taken for the template's;
    what is Published is judged by the next pass as it was the first time."""
    status, template = o.parent.status, o.template
    if status.revision is None or status.published_time is None:
        return ParentState.PENDING  # lost bytes leave the revision, which their children name
    undecided = template is not None and template.status.revision is None
    if undecided or o.lost or status.failure is not None:
        return ParentState.PUBLISHED
    return ParentState.READY


def _host_awaited(o: Observed) -> str:
    place = o.parent.spec.host or o.parent.spec.pool
    return "its host is not ready" + way_out(
        o.parent.metadata.annotations, place, f"storagelocation {o.parent.spec.location}"
    )


def call_off(o: Observed) -> tuple[Settle, ...]:
    """A transfer that is under way would hold the name, and be a witness, for as long as it lasts."""
    fetch = OperationIds.fetch(o.parent.metadata.name, o.parent.status.attempt or 1)
    return (Settle(fetch),) if o.fetch is not None else ()


def delete(o: Observed) -> Delete:
    return Delete(r.PARENT, o.parent.metadata.name, "", o.parent.metadata.uid)
