"""A transfer's progress as the copy's status shows it. Pure."""

from typing import Any, Final

from goldpool.api.model import human_bytes, short_bytes, short_seconds
from goldpool.api.parent import ParentState
from goldpool.contracts.report import Progress
from goldpool.kube.port import Obj

NONE: Final[dict[str, Any]] = dict.fromkeys(("progress", "done", "expected", "rate", "eta"))
"""No transfer goes on."""
_FIGURES: Final = frozenset({*NONE, "mirror"})


def shown(progress: Progress) -> dict[str, Any]:
    """Fields of the status. What the server did not say is left out: an unknown total is no 0 %."""
    done, total, rate = progress.done_bytes, progress.total_bytes, progress.rate
    return {
        "progress": f"{_amount(done, total)} {short_bytes(rate)}/s"
        if rate is not None
        else _amount(done, total),
        "done": done,
        "expected": total,
        "rate": rate,
        "eta": short_seconds((total - done) / rate) if total is not None and rate and total >= done else None,
        "mirror": progress.mirror or None,
    }


def sentence(progress: Progress | None) -> str:
    if progress is None:
        return "nothing fetched"
    of = f" of {human_bytes(progress.total_bytes)}" if progress.total_bytes else ""
    return f"{human_bytes(progress.done_bytes)}{of} fetched"


def but_for_progress(parent: Obj) -> object:
    """All of a copy that others may decide by. The figures of its transfer change every other second, and nobody does."""
    metadata = {k: v for k, v in parent["metadata"].items() if k not in {"resourceVersion", "managedFields"}}
    status = {k: v for k, v in (parent.get("status") or {}).items() if k not in _FIGURES}
    if status.get("state") == ParentState.FETCHING:
        conditions = status.pop("conditions", ())
        status["ready"] = [(c["type"], c["status"], c["reason"]) for c in conditions]
    return metadata, parent["spec"], status


def _amount(done: int, total: int | None) -> str:
    return f"{min(done * 100 // total, 100)}%" if total else short_bytes(done)
