"""What a failed or lost copy comes to: tried again at its time, or a way out for a person."""

from datetime import timedelta
from typing import Final

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.progress import NONE
from goldpool.controllers.parent.retention import is_of_another_revision, unused
from goldpool.controllers.parent.status import status_of, unchanged
from goldpool.controllers.verdict import busy, moment, stalled, timestamp
from goldpool.dispatch.outcome import Failed
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import EventKind, Plan, Record
from goldpool.planning.backoff import delay

LOST: Final = "the copy is not at its location any more"


def failed(o: Observed, failure: Failed, attempt: int, operation: str) -> Plan:
    failures = (o.parent.status.failures or 0) + 1
    pause = delay(failures, o.jitter, first=o.base_seconds, longest=o.cap_seconds)
    verdict = (
        stalled(Reason.SOURCE_INVALID, failure.message)
        if failure.permanent
        else busy(Reason.FETCH_FAILED, failure.message)
    )
    status = status_of(
        o, verdict, state=ParentState.FAILED, attempt=attempt, failures=failures, failure=str(failure.reason),
        permanent=failure.permanent, **NONE,
        next_retry_time=None if failure.permanent else timestamp(o.now + timedelta(seconds=pause + 1)),
    )  # fmt: skip
    told = Record(o.raw, EventKind.WARNING, str(failure.reason), "Fetch", failure.message)
    return Plan(
        effects=(told,),
        status=status,
        afterwards=(Settle(operation),),
        again_after=None if failure.permanent else pause + 1,
    )


def after_failure(o: Observed) -> Plan:
    """Tried again at its time if somebody wants it, at once when the retry annotation has a new value."""
    status = o.parent.status
    asked = o.template.metadata.annotations.get(RETRY_ANNOTATION) if o.template else None
    again = asked is not None and asked != status.retry
    left = (moment(status.next_retry_time) - o.now).total_seconds() if status.next_retry_time else 0.0
    if not again and is_of_another_revision(o):
        since, seconds = unused(o)
        return Plan(status=unchanged(o, unused_since=since), again_after=seconds)
    if not again and (status.permanent or left > 0):
        return Plan(status=unchanged(o), again_after=left if left > 0 else None)
    return Plan(
        status=status_of(
            o, busy(Reason.FETCHING, "the fetch is tried again"), state=ParentState.PENDING,
            attempt=(status.attempt or 1) + 1, retry=asked, failure=None, permanent=None, next_retry_time=None,
            failures=None if again else status.failures, fetched_on=None,
        ),
        again_after=0,
    )  # fmt: skip


def fetch_again(o: Observed) -> Plan:
    """Under the same name: the template's revision is pinned, so what is published is what its children were made over."""
    message = f"{LOST}; the same bytes are fetched again for {o.users.total} user(s)"
    told = Record(o.raw, EventKind.WARNING, Reason.PARENT_LOST, "Inspect", message)
    return Plan(
        effects=(told,),
        status=status_of(
            o, busy(Reason.PARENT_LOST, message), state=ParentState.PENDING,
            attempt=(o.parent.status.attempt or 1) + 1, published_time=None, **NONE,
        ),
        again_after=0,
    )  # fmt: skip
