"""What a failed or lost copy comes to: tried again at its time, or a way out for a person."""

from datetime import timedelta
from typing import Any, Final

from goldpool.api.conditions import Reason
from goldpool.api.parent import TRIED_HOSTS, ParentState
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.progress import NONE
from goldpool.controllers.parent.retention import is_of_another_revision, is_wanted, unused
from goldpool.controllers.parent.status import answers, status_of, unchanged
from goldpool.controllers.verdict import busy, moment, stalled, timestamp
from goldpool.dispatch.outcome import Failed
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import EventKind, Plan, Record
from goldpool.planning.backoff import delay

LOST: Final = "the copy is not at its location any more"


HOST_MATTERS: Final = frozenset(
    {
        FailureReason.SOURCE_UNREACHABLE,
        FailureReason.SOURCE_REFUSED,
        FailureReason.ADDRESS_REFUSED,
        FailureReason.TLS_FAILED,
        FailureReason.TRANSFER_INCOMPLETE,
        FailureReason.NOT_MOUNTED,
        FailureReason.IO_ERROR,
        FailureReason.LOST,
    }
)
"""What another host of a Shared pool may not meet: its way to the source, its mount, its disk cache, its life."""


def failed(o: Observed, failure: Failed, attempt: int, operation: str) -> Plan:
    """The next host of a Shared pool at once, three of them at most; then, or where there is no other host, a pause."""
    status = o.parent.status
    failures = (status.failures or 0) + 1
    found: dict[str, Any] = {
        **NONE, **answers(failure), "failures": failures, "failure": str(failure.reason),
        "failed_generation": o.template.metadata.generation if o.template else None,
    }  # fmt: skip
    told = Record(o.raw, EventKind.WARNING, str(failure.reason), "Fetch", failure.message)
    tried = _tried_hosts(o)
    if (host := _another_host(o, failure, tried)) is not None:
        message = f"{tried[-1]}: {failure.message}; {host} is next"
        return Plan(
            effects=(told,),
            status=status_of(
                o, busy(Reason.FETCH_FAILED, message), state=ParentState.PENDING, attempt=attempt + 1,
                tried_hosts=tried, fetched_on=None, **found,
            ),
            afterwards=(Settle(operation),),
            again_after=0,
        )  # fmt: skip
    if failure.permanent:
        return Plan(
            effects=(told,),
            status=status_of(
                o, stalled(Reason.SOURCE_INVALID, failure.message), state=ParentState.FAILED, attempt=attempt,
                permanent=True, next_retry_time=None, tried_hosts=tried, **found,
            ),
            afterwards=(Settle(operation),),
            again_after=0 if _asked_anew(o) else None,
        )  # fmt: skip
    pause = delay(failures, o.jitter, first=o.base_seconds, longest=o.cap_seconds) + 1
    return Plan(
        effects=(told,),
        status=status_of(
            o, busy(Reason.FETCH_FAILED, failure.message), state=ParentState.FAILED, attempt=attempt,
            permanent=False, next_retry_time=timestamp(o.now + timedelta(seconds=pause)), tried_hosts=tried, **found,
        ),
        afterwards=(Settle(operation),),
        again_after=0 if _asked_anew(o) else pause,
    )  # fmt: skip


def _tried_hosts(o: Observed) -> list[str]:
    """Of a Shared pool, where a host is a choice."""
    status = o.parent.status
    if o.parent.spec.host or status.fetched_on is None:
        return []
    return [*status.tried_hosts, status.fetched_on][-TRIED_HOSTS:]


def _another_host(o: Observed, failure: Failed, tried: list[str]) -> str | None:
    """None too when nobody waits for the copy any more: then it goes."""
    may = not failure.permanent and failure.reason in HOST_MATTERS and 0 < len(tried) < TRIED_HOSTS
    if not may or not is_wanted(o):
        return None
    return next((host for host in o.hosts if host not in tried), None)


def after_failure(o: Observed) -> Plan:
    """Tried again at its time if somebody wants it, at once when a person did something about it: a new value of the retry
    annotation, or an edit of the template (of another Secret, say; one of the source makes another copy)."""
    status = o.parent.status
    again = _asked_anew(o) or _edited(o)
    left = (moment(status.next_retry_time) - o.now).total_seconds() if status.next_retry_time else 0.0
    if not again and is_of_another_revision(o):
        since, seconds = unused(o)
        return Plan(status=unchanged(o, unused_since=since), again_after=seconds)
    if not again and (status.permanent or left > 0):
        return Plan(status=unchanged(o), again_after=left if left > 0 else None)
    return Plan(
        status=status_of(
            o, busy(Reason.FETCHING, "the fetch is tried again"), state=ParentState.PENDING,
            attempt=(status.attempt or 1) + 1, retry=_asked(o), failure=None, permanent=None, next_retry_time=None,
            failed_generation=None,
            failures=None if again else status.failures, fetched_on=None, tried_hosts=[],
        ),
        again_after=0,
    )  # fmt: skip


def _asked_anew(o: Observed) -> bool:
    """Also while the fetch went on that has just failed."""
    asked = _asked(o)
    return asked is not None and asked != o.parent.status.retry


def _asked(o: Observed) -> str | None:
    return o.template.metadata.annotations.get(RETRY_ANNOTATION) if o.template else None


def _edited(o: Observed) -> bool:
    then = o.parent.status.failed_generation
    return o.template is not None and then is not None and then != o.template.metadata.generation


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
