"""What a pass writes down of a copy."""

from typing import Any

from goldpool.api.parent import MIRRORS_SHOWN, MirrorStatus, ParentStatus
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.verdict import Verdict, conditions, named
from goldpool.dispatch.outcome import Failed, Succeeded


def status_of(o: Observed, verdict: Verdict, **changes: Any) -> dict[str, Any]:
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


def unchanged(o: Observed, **changes: Any) -> dict[str, Any]:
    return o.parent.status.model_copy(update={"children": o.users.total, **changes}).to_dict()


def users_named(o: Observed) -> str:
    return f"{o.users.total} user(s): {named(o.users)}"


def answers(outcome: Succeeded | Failed) -> dict[str, Any]:
    """What the mirrors of the last fetch said. A fetch that asked none found the copy there, or told nothing: what was
    known before stays."""
    if not outcome.mirrors:
        return {}
    shown = [
        MirrorStatus(mirror=one.mirror[:256], reason=one.reason, message=one.message, attempts=one.attempts)
        for one in outcome.mirrors[:MIRRORS_SHOWN]
    ]
    return {"mirrors": shown, "mirrors_total": max(outcome.mirrors_total, len(shown))}
