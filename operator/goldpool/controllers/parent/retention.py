"""Whether a copy should be, and since when nobody needs it."""

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.verdict import timestamp
from goldpool.planning.retention import Keep, Retire, is_last_named_copy, judge
from goldpool.planning.revisions import decides


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
    if o.superseded:
        # A volume that lost its own copy may still find its revision here.
        last = is_last_named_copy(o.parent, o.copies, o.volumes)
        return None if last else "the template has another revision"
    if _has_twin(o):
        return "its location has another copy of the same bytes"
    if differs and status.state is not ParentState.FAILED:
        return None
    wanted = is_wanted(o)
    if o.given_up:
        return "its location was given up"
    if o.lost and not wanted:
        return "its bytes are gone and nobody needs them"
    if status.state is ParentState.FAILED and not wanted and not status.permanent:
        return "the fetch failed and nobody waits for it"
    kept = status.state is ParentState.READY or is_of_another_revision(o)
    if kept and not wanted and isinstance(judged(o), Retire) and status.unused_since:
        if o.parent.spec.fallback:
            return "it is a fallback on an ordinary pool, and nobody uses it any more"
        return "nobody has used the copy for spec.retention"
    return None


def is_wanted(o: Observed) -> bool:
    """Somebody waits for the copy, or is to find it there."""
    return o.prepared or o.waiting > 0 or (o.template is not None and decides(o.parent, o.template))


def _has_twin(o: Observed) -> bool:
    """The source was fetched anew and served what was there already. Only a copy made for that gives way."""
    own = o.parent
    return bool(own.spec.refetch) and any(
        other.metadata.name != own.metadata.name
        and other.spec.location == own.spec.location
        and other.status.state is ParentState.READY
        and not other.deleting
        and other.status.revision == own.status.revision
        and (not other.spec.refetch or other.metadata.name < own.metadata.name)
        for other in o.copies
    )


def is_of_another_revision(o: Observed) -> bool:
    """It is told for as long as an unused copy would stay: nobody learns more from it later."""
    status = o.parent.status
    return status.state is ParentState.FAILED and status.failure == Reason.REVISION_MISMATCH


def judged(o: Observed) -> Keep | Retire:
    return judge(o.parent, o.template, o.users, o.copies, o.volumes, now=o.now)


def unused(o: Observed) -> tuple[str | None, float | None]:
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
