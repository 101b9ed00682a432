"""What a parent needs next."""

from dataclasses import replace

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.controllers.naming import FINALIZER, OperationIds
from goldpool.controllers.parent.failing import LOST, after_failure, fetch_again
from goldpool.controllers.parent.fetching import fetch
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.removal import call_off, delete, retire
from goldpool.controllers.parent.retention import reason_to_go, unused
from goldpool.controllers.parent.status import status_of, unchanged, users_named
from goldpool.controllers.verdict import blocked, busy, good, stalled
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import AddFinalizer, Plan
from goldpool.kube import resources as r
from goldpool.planning.revisions import decides


def plan(o: Observed) -> Plan:
    """Fetch, publish, keep, retire. Bytes go only after the copy was marked Retiring and asked about once more."""
    if FINALIZER not in o.parent.metadata.finalizers:
        # Its own removal takes the finalizer off first: for a moment it stands there without, still Retiring.
        if o.parent.deleting or o.parent.status.state is ParentState.RETIRING:
            return Plan(effects=() if o.parent.deleting else (delete(o),))
        return Plan(effects=(AddFinalizer(r.PARENT, o.raw, FINALIZER),))
    if o.parent.status.state is ParentState.RETIRING:
        return retire(o)
    if (why := reason_to_go(o)) is not None:
        if o.users:
            if o.parent.deleting:
                return Plan(status=status_of(o, blocked(users_named(o)), state=o.parent.status.state))
            if o.template is None or o.pool is None:
                if o.lost:
                    return Plan(
                        status=status_of(o, stalled(Reason.PARENT_LOST, f"{LOST}, and its template is gone"))
                    )
                # Nothing to fetch from or to; what is there is kept for its users.
                return Plan(status=unchanged(o))
            if o.superseded and o.parent.status.revision is None:
                # Whoever waits here gets a copy of the revision there is now.
                verdict = busy(Reason.REVISION_MISMATCH, f"{why}: nothing is fetched any more")
                return Plan(
                    status=status_of(o, verdict, state=ParentState.PENDING, next_retry_time=None),
                    afterwards=call_off(o),
                )
        else:
            # A guarded write: a volume that binds here meanwhile is seen by the witnesses of the next pass.
            return Plan(
                status=status_of(o, busy(Reason.RETIRING, why), state=ParentState.RETIRING),
                afterwards=call_off(o),
                again_after=0,
            )
    match o.parent.status.state:
        case None | ParentState.PENDING | ParentState.FETCHING:
            return fetch(o)
        case ParentState.PUBLISHED | ParentState.READY:
            return _settled(o, _keep(o))
        case _:
            return _settled(o, after_failure(o))


def _settled(o: Observed, plan: Plan) -> Plan:
    """With what an operator left undone that died after it recorded how a fetch ended: the Job would stay for minutes."""
    if not isinstance(o.fetch, Succeeded | Failed):
        return plan
    operation = OperationIds.fetch(o.parent.metadata.name, o.parent.status.attempt or 1)
    return replace(plan, afterwards=(*plan.afterwards, Settle(operation)))


def _keep(o: Observed) -> Plan:
    assert o.template is not None
    status = o.parent.status
    pinned = o.template.status.revision
    if o.lost:
        return fetch_again(o)
    if pinned is None:
        return Plan(
            status=status_of(
                o,
                busy(Reason.FETCHING, "published; the template's revision is being set"),
                state=ParentState.PUBLISHED,
            )
        )
    if pinned != status.revision and status.state is ParentState.READY:
        message = f"{o.users.total} user(s) depend on it; new disks take revision {pinned}"
        return Plan(status=status_of(o, good(Reason.READY, message), state=ParentState.READY))
    if pinned != status.revision and decides(o.parent, o.template):
        verdict = busy(Reason.FETCHING, "published; it becomes the template's revision")
        return Plan(status=status_of(o, verdict, state=ParentState.PUBLISHED))
    if pinned != status.revision:
        message = f"the source served {status.revision}, but the template's revision is {pinned}"
        return Plan(
            status=status_of(o, stalled(Reason.REVISION_MISMATCH, message), state=ParentState.FAILED,
                           failure="RevisionMismatch", permanent=True)
        )  # fmt: skip
    since, seconds = unused(o)
    message = f"{o.users.total} user(s) depend on it" if o.users else "nobody uses it"
    return Plan(
        status=status_of(o, good(Reason.READY, message), state=ParentState.READY, unused_since=since),
        again_after=seconds,
    )
