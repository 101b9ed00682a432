"""What a pass writes down of a copy."""

from typing import Any

from goldpool.api.parent import ParentStatus
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.verdict import Verdict, conditions, named


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
