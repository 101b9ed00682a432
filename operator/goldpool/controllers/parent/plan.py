"""What a parent needs next."""

from datetime import timedelta
from typing import Any, Final

from goldpool.api.conditions import Reason
from goldpool.api.model import human_bytes
from goldpool.api.parent import ParentState, ParentStatus
from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import DeleteParent, Fetch
from goldpool.contracts.source import Source
from goldpool.controllers.abandonment import way_out
from goldpool.controllers.backing import HOST_AWAY_SECONDS, tolerations_of
from goldpool.controllers.checksum import checksum
from goldpool.controllers.naming import (
    FINALIZER,
    REMOVING_ANNOTATION,
    RETRY_ANNOTATION,
    OperationIds,
)
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.verdict import (
    Verdict,
    blocked,
    busy,
    conditions,
    good,
    moment,
    named,
    stalled,
    timestamp,
)
from goldpool.dispatch.outcome import Failed, Running, Succeeded
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.engine.plan import AddFinalizer, Delete, EventKind, Patch, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.port import Key
from goldpool.planning.backoff import delay
from goldpool.planning.retention import Keep, Retire, judge

_LOST: Final = "the copy is not at its location any more"


def plan(o: Observed) -> Plan:
    """Fetch, publish, keep, retire. Bytes go only after the copy was marked Retiring and asked about once more."""
    if FINALIZER not in o.parent.metadata.finalizers:
        # Its own removal takes the finalizer off first: for a moment it stands there without, still Retiring.
        if o.parent.deleting or o.parent.status.state is ParentState.RETIRING:
            return Plan(effects=() if o.parent.deleting else (_delete(o),))
        return Plan(effects=(AddFinalizer(r.PARENT, o.raw, FINALIZER),))
    if o.parent.status.state is ParentState.RETIRING:
        return _retire(o)
    if (why := reason_to_go(o)) is not None:
        if o.users:
            if o.parent.deleting:
                return Plan(status=_status(o, blocked(_names(o)), state=o.parent.status.state))
            if o.template is None or o.pool is None:
                if o.lost:
                    return Plan(
                        status=_status(o, stalled(Reason.PARENT_LOST, f"{_LOST}, and its template is gone"))
                    )
                # Nothing to fetch from or to; what is there is kept for its users.
                return Plan(status=_unchanged(o))
        else:
            # A guarded write: a volume that binds here meanwhile is seen by the witnesses of the next pass.
            return Plan(
                status=_status(o, busy(Reason.RETIRING, why), state=ParentState.RETIRING),
                afterwards=_call_off(o),
                again_after=0,
            )
    match o.parent.status.state:
        case None | ParentState.PENDING | ParentState.FETCHING:
            return _fetch(o)
        case ParentState.PUBLISHED | ParentState.READY:
            return _keep(o)
        case _:
            return _after_failure(o)


def reason_to_go(o: Observed) -> str | None:
    """Why this copy should not be; None while it should. Users are asked about separately."""
    status = o.parent.status
    published = status.revision is not None
    if o.parent.deleting:
        return "deletion was asked for"
    if o.template is None or o.template.deleting:
        return "the template is being deleted"
    if o.pool is None or o.pool.deleting or o.location is None or o.location.deleting:
        return "the pool is being deleted"
    if o.source_hash != o.parent.spec.source_hash:
        return "the template's source has changed"
    differs = published and o.template.status.revision and status.revision != o.template.status.revision
    if differs and status.state is ParentState.READY:
        return "the template has another revision"
    if differs and status.state is not ParentState.FAILED:
        return None
    wanted = o.prepared or o.waiting > 0
    if o.given_up:
        return "its location was given up"
    if o.lost and not wanted:
        return "its bytes are gone and nobody needs them"
    if status.state is ParentState.FAILED and not wanted and not status.permanent:
        return "the fetch failed and nobody waits for it"
    kept = status.state is ParentState.READY or _is_of_another_revision(o)
    if kept and not wanted and isinstance(judged(o), Retire) and status.unused_since:
        if o.parent.spec.fallback:
            return "it is a fallback on an ordinary pool, and nobody uses it any more"
        return "nobody has used the copy for spec.retention"
    return None


def _is_of_another_revision(o: Observed) -> bool:
    """It is told for as long as an unused copy would stay: nobody learns more from it later."""
    status = o.parent.status
    return status.state is ParentState.FAILED and status.failure == Reason.REVISION_MISMATCH


def judged(o: Observed) -> Keep | Retire:
    return judge(o.parent, o.template, o.users, o.copies, o.volumes, now=o.now)


def _fetch(o: Observed) -> Plan:
    status, name = o.parent.status, o.parent.metadata.name
    attempt = status.attempt or 1
    operation = OperationIds.fetch(name, attempt)
    match o.fetch:
        case Succeeded(fetched=fetched) if fetched is not None:
            found = {
                "revision": fetched.revision,
                "size": fetched.file_bytes,
                "virtual_size": fetched.virtual_bytes,
                "mirror": fetched.mirror,
                "published_time": timestamp(o.now),
                "progress": "100%",
                "done": fetched.file_bytes,
                "expected": fetched.file_bytes,
                "failures": None,
                "failure": None,
                "permanent": None,
            }
            verdict = busy(Reason.FETCHING, "verified and published; not the template's revision yet")
            told = Record(
                o.raw, EventKind.NORMAL, "Published", "Fetch",
                f"fetched {human_bytes(fetched.file_bytes)} from {fetched.mirror} to {o.parent.spec.location}",
            )  # fmt: skip
            return Plan(
                effects=(told,),
                status=_status(o, verdict, state=ParentState.PUBLISHED, **found),
                afterwards=(Settle(operation),),
                # Where another copy has decided the revision already, nothing else would wake this one.
                again_after=0,
            )
        case Succeeded():
            return Plan(
                status=_status(o, busy(Reason.FETCHING, "the fetch ended without a result; it is done again"),
                               state=ParentState.PENDING, attempt=attempt + 1),
                afterwards=(Settle(operation),), again_after=0,
            )  # fmt: skip
        case Failed():
            return _failed(o, o.fetch, attempt, operation)
        case Running(progress=progress):
            done = progress.done_bytes if progress else None
            total = progress.total_bytes if progress else None
            text = f"{done * 100 // total}%" if done is not None and total else None
            amount = human_bytes(done) if done is not None else "nothing"
            of = f" of {human_bytes(total)}" if total else ""
            return Plan(
                status=_status(
                    o, busy(Reason.FETCHING, f"{amount}{of} fetched"), state=ParentState.FETCHING, attempt=attempt,
                    progress=text, done=done, expected=total, fetched_on=status.fetched_on or o.host,
                    mirror=progress.mirror or None if progress else None,
                )
            )  # fmt: skip
        case _:
            return _ask_fetch(o, attempt, operation)


def _ask_fetch(o: Observed, attempt: int, operation: str) -> Plan:
    assert o.template is not None
    assert o.pool is not None
    if o.host is None or o.mount is None or not o.location_ready:
        why = f"location {o.parent.spec.location} is not ready"
        return Plan(
            status=_status(o, busy(Reason.WAITING_FOR_HOST, why), state=ParentState.PENDING, attempt=attempt),
            again_after=HOST_AWAY_SECONDS,
        )
    spec = o.template.spec
    request = Request(
        operation=Fetch(
            id=operation,
            location=o.parent.spec.location,
            parent=o.parent.metadata.name,
            template=o.parent.spec.template,
            template_uid=o.parent.spec.template_uid,
            format=ImageFormat(spec.format),
            source=Source(urls=(spec.source.url,)),
            checksums=(checksum(spec.checksum),) if spec.checksum else (),
            revision=o.template.status.revision,
            policy=o.policy,
        ),
        mount=o.mount,
        host=o.host,
        owner=Key("Parent", "", o.parent.metadata.name),
        tolerations=tolerations_of(o.pool.spec.tolerations),
    )
    status = _status(
        o, busy(Reason.FETCHING, f"waiting for a fetch Job on {o.host}"), state=ParentState.FETCHING,
        attempt=attempt, fetched_on=o.host, next_retry_time=None,
    )  # fmt: skip
    return Plan(effects=(Ask(request),), status=status)


def _failed(o: Observed, failure: Failed, attempt: int, operation: str) -> Plan:
    failures = (o.parent.status.failures or 0) + 1
    pause = delay(failures, o.jitter, first=o.base_seconds, longest=o.cap_seconds)
    verdict = (
        stalled(Reason.SOURCE_INVALID, failure.message)
        if failure.permanent
        else busy(Reason.FETCH_FAILED, failure.message)
    )
    status = _status(
        o, verdict, state=ParentState.FAILED, attempt=attempt, failures=failures, failure=str(failure.reason),
        permanent=failure.permanent, progress=None, done=None, expected=None,
        next_retry_time=None if failure.permanent else timestamp(o.now + timedelta(seconds=pause + 1)),
    )  # fmt: skip
    told = Record(o.raw, EventKind.WARNING, str(failure.reason), "Fetch", failure.message)
    return Plan(
        effects=(told,),
        status=status,
        afterwards=(Settle(operation),),
        again_after=None if failure.permanent else pause + 1,
    )


def _after_failure(o: Observed) -> Plan:
    """Tried again at its time if somebody wants it, at once when the retry annotation has a new value."""
    status = o.parent.status
    asked = o.template.metadata.annotations.get(RETRY_ANNOTATION) if o.template else None
    again = asked is not None and asked != status.retry
    left = (moment(status.next_retry_time) - o.now).total_seconds() if status.next_retry_time else 0.0
    if not again and _is_of_another_revision(o):
        since, seconds = _unused(o)
        return Plan(status=_unchanged(o, unused_since=since), again_after=seconds)
    if not again and (status.permanent or left > 0):
        return Plan(status=_unchanged(o), again_after=left if left > 0 else None)
    return Plan(
        status=_status(
            o, busy(Reason.FETCHING, "the fetch is tried again"), state=ParentState.PENDING,
            attempt=(status.attempt or 1) + 1, retry=asked, failure=None, permanent=None, next_retry_time=None,
            failures=None if again else status.failures, fetched_on=None,
        ),
        again_after=0,
    )  # fmt: skip


def _keep(o: Observed) -> Plan:
    assert o.template is not None
    status = o.parent.status
    pinned = o.template.status.revision
    if o.lost:
        return _fetch_again(o)
    if pinned is None:
        return Plan(
            status=_status(
                o,
                busy(Reason.FETCHING, "published; the template's revision is being set"),
                state=ParentState.PUBLISHED,
            )
        )
    if pinned != status.revision:
        message = f"the source served {status.revision}, but the template's revision is {pinned}"
        return Plan(
            status=_status(o, stalled(Reason.REVISION_MISMATCH, message), state=ParentState.FAILED,
                           failure="RevisionMismatch", permanent=True)
        )  # fmt: skip
    since, seconds = _unused(o)
    message = f"{o.users.total} volume(s) depend on it" if o.users else "nobody uses it"
    return Plan(
        status=_status(o, good(Reason.READY, message), state=ParentState.READY, unused_since=since),
        again_after=seconds,
    )


def _unused(o: Observed) -> tuple[str | None, float | None]:
    """(since when nobody uses it, for the status; after how many seconds to look again)"""
    verdict = judged(o)
    since = verdict.unused_since if o.waiting == 0 else None
    left = (
        (verdict.retire_time - o.now).total_seconds()
        if isinstance(verdict, Keep) and verdict.retire_time
        else None
    )
    if isinstance(verdict, Retire):
        # No retention: this pass only records since when, and nothing else would bring the next one.
        left = 0.0
    return timestamp(since) if since else None, max(left, 1.0) if left is not None else None


def _fetch_again(o: Observed) -> Plan:
    """Under the same name: the template's revision is pinned, so what is published is what its children were made over."""
    message = f"{_LOST}; the same bytes are fetched again for {o.users.total} volume(s)"
    told = Record(o.raw, EventKind.WARNING, Reason.PARENT_LOST, "Inspect", message)
    return Plan(
        effects=(told,),
        status=_status(
            o, busy(Reason.PARENT_LOST, message), state=ParentState.PENDING,
            attempt=(o.parent.status.attempt or 1) + 1, published_time=None, progress=None, done=None,
        ),
        again_after=0,
    )  # fmt: skip


def _retire(o: Observed) -> Plan:
    """Everybody was asked (``users`` is fresh here): one user, and the copy is kept after all. Once its removal was
    asked for there is no way back: a Job that was lost may have removed the bytes all the same."""
    name = o.parent.metadata.name
    operation = OperationIds.delete_parent(name)
    doomed = REMOVING_ANNOTATION in o.parent.metadata.annotations
    if o.users and not doomed:
        back = ParentState.READY if o.parent.status.revision else ParentState.PENDING
        verdict = blocked(_names(o)) if o.parent.deleting else busy(Reason.RETIRING, _names(o))
        return Plan(status=_status(o, verdict, state=back, unused_since=None), again_after=5)
    gone = (RemoveFinalizer(r.PARENT, o.raw, FINALIZER), _delete(o))
    if o.location is None or o.pool is None or o.mount is None or not o.node_known or o.given_up:
        # The host or the pool is gone for good; what is left there is known by its sidecar.
        return Plan(effects=gone)
    match o.removal:
        case Succeeded():
            return Plan(effects=gone, afterwards=(Settle(operation),))
        case Failed(message=message):
            return Plan(
                status=_status(o, busy(Reason.OPERATION_FAILED, message), state=ParentState.RETIRING),
                afterwards=(Settle(operation),),
                again_after=o.base_seconds * (1 + o.jitter),
            )
    if o.host is None:
        return Plan(
            status=_status(o, busy(Reason.WAITING_FOR_HOST, _host_awaited(o)), state=ParentState.RETIRING),
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
        effects=(*_call_off(o), Ask(request)),
        status=_status(o, busy(Reason.RETIRING, "its bytes are being removed"), state=ParentState.RETIRING),
    )


def _host_awaited(o: Observed) -> str:
    place = o.parent.spec.host or o.parent.spec.pool
    return "its host is not ready" + way_out(
        o.parent.metadata.annotations, place, f"storagelocation {o.parent.spec.location}"
    )


def _call_off(o: Observed) -> tuple[Settle, ...]:
    """A transfer that is under way would hold the name, and be a witness, for as long as it lasts."""
    fetch = OperationIds.fetch(o.parent.metadata.name, o.parent.status.attempt or 1)
    return (Settle(fetch),) if o.fetch is not None else ()


def _delete(o: Observed) -> Delete:
    return Delete(r.PARENT, o.parent.metadata.name, "", o.parent.metadata.uid)


def _names(o: Observed) -> str:
    return f"{o.users.total} user(s): {named(o.users)}"


def _unchanged(o: Observed, **changes: Any) -> dict[str, Any]:
    return o.parent.status.model_copy(update={"children": o.users.total, **changes}).to_dict()


def _status(o: Observed, verdict: Verdict, **changes: Any) -> dict[str, Any]:
    """What was, with what this pass found."""
    before = o.parent.status
    found = ParentStatus(
        conditions=conditions(
            verdict, previous=before.conditions, generation=o.parent.metadata.generation, now=o.now
        )
    )
    return before.model_copy(
        update={
            "observed_generation": o.parent.metadata.generation,
            "conditions": found.conditions,
            "children": o.users.total,
            "blockers": list(o.users.blockers) if o.parent.deleting else [],
            "blockers_total": o.users.total if o.parent.deleting else None,
            **changes,
        }
    ).to_dict()
