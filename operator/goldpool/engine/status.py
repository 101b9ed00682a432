"""When a status is worth a write: each one costs the server five milliseconds, even if it changes nothing."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

from goldpool.kube.port import Change, Obj

Status = dict[str, Any]


def normal(value: Any) -> Any:
    """Without ``None``: absent and null are the same to a reader, but server-side apply keeps a null."""
    if isinstance(value, dict):
        return {name: normal(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [normal(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class _Applied:
    desired: Status
    answered: Status


class StatusMemory:
    """Knows that a status needs no write: it equals what is there, or it is what was applied last and nobody touched
    the status since (the server fills in defaults, and others may own fields of it)."""

    def __init__(self) -> None:
        self._applied: dict[Hashable, _Applied] = {}

    def differs(self, owner: Hashable, desired: Status, obj: Obj, foreign: Collection[str] = ()) -> bool:
        """``desired`` is normalised. ``foreign`` names top-level fields that other controllers write."""
        current: Status = obj.get("status") or {}
        if desired == {name: value for name, value in current.items() if name not in foreign}:
            return False
        last = self._applied.get(owner)
        return last is None or last.desired != desired or last.answered != current

    def applied(self, owner: Hashable, desired: Status, answer: Obj) -> None:
        current: Status = answer.get("status") or {}
        if desired == current:
            self._applied.pop(owner, None)
        else:
            self._applied[owner] = _Applied(desired, current)

    def forget(self, owner: Hashable) -> None:
        self._applied.pop(owner, None)


def only_status_changed(change: Change) -> bool:
    if change.old is None or change.new is None:
        return False
    return _without_status(change.old) == _without_status(change.new)


def _without_status(obj: Obj) -> Obj:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {name: value for name, value in obj.items() if name != "status"} | {"metadata": metadata}
