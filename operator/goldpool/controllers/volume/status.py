"""The status of a pass: what was, with what this pass found."""

from typing import Any

from goldpool.api.conditions import Reason
from goldpool.api.volume import Discarded
from goldpool.controllers.verdict import Verdict, conditions
from goldpool.controllers.volume.observed import Observed, given_up
from goldpool.dispatch.outcome import Succeeded


def left(o: Observed) -> list[Discarded]:
    """Old disks that may still be there. What a place that is gone for good keeps is garbage, known by its sidecar."""
    return [
        each.disk
        for each in o.discards
        if each.place is not None
        and each.place.node_known
        and not isinstance(each.outcome, Succeeded)
        and not given_up(o.volume, each.place)
    ]


def status_of(o: Observed, verdict: Verdict, **changes: Any) -> dict[str, Any]:
    before = o.volume.status
    return before.model_copy(
        update={
            "observed_generation": o.volume.metadata.generation,
            "phase": _phase(o, verdict),
            "conditions": conditions(
                verdict, previous=before.conditions, generation=o.volume.metadata.generation, now=o.now
            ),
            "first_used_time": None,
            "discards": left(o),
            **changes,
        }
    ).to_dict()


def _phase(o: Observed, verdict: Verdict) -> str:
    if o.volume.deleting:
        return "Terminating"
    if verdict.stalled:
        return "Lost" if verdict.reason is Reason.VOLUME_LOST else "Failed"
    match verdict.reason:
        case Reason.IN_USE:
            return "InUse"
        case Reason.BOUND:
            return "Ready"
        case Reason.PARENT_LOST:
            return "WaitingForParent"
        case Reason.WAITING_FOR_PARENT | Reason.CREATING:
            return str(verdict.reason)
        case _:
            return "Pending"
