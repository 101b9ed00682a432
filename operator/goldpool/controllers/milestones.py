"""What happened: how long things took to become ready, and how operations ended. Counted by the replica that leads."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry

from goldpool.api.parent import ParentState
from goldpool.controllers.verdict import moment
from goldpool.dispatch.outcome import Ended, Failed, Succeeded
from goldpool.engine.families import Family
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Obj

_READY_SECONDS = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0)
_OPERATION_SECONDS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

TIME_TO_READY = Family(
    "goldpool_time_to_ready_seconds", "histogram",
    "From an object's creation, which is known to the second, to a VirtualMachine's first Running or a Parent's first "
    "Ready. Machines whose spec was changed meanwhile are left out: they may have been halted on purpose.",
    ("kind",), _READY_SECONDS,
)  # fmt: skip
OPERATIONS = Family(
    "goldpool_operations_total", "counter",
    "Storage operations that ended, by kind and outcome: Succeeded, or the reason of the failure.",
    ("kind", "outcome"),
)  # fmt: skip
OPERATION_SECONDS = Family(
    "goldpool_operation_duration_seconds", "histogram",
    "From the first time an operation was asked for (by this process) to its end, waiting and losses included.",
    ("kind",), _OPERATION_SECONDS,
)  # fmt: skip
FETCHED = Family(
    "goldpool_fetched_bytes_total", "counter", "Bytes of parents that were fetched and published."
)
RESUMED = Family(
    "goldpool_fetch_resumed_bytes_total", "counter",
    "Bytes that downloads of published parents did not fetch again, because an earlier Job had left them on the pool.",
)  # fmt: skip


class Milestones:
    """A listener of the cache, and of the dispatcher's ends. ``leads`` says whether this replica counts."""

    def __init__(
        self, registry: CollectorRegistry, *, leads: Callable[[], bool], now: Callable[[], datetime]
    ) -> None:
        self._leads = leads
        self._now = now
        self._ready = TIME_TO_READY.histogram(registry)
        self._operations = OPERATIONS.counter(registry)
        self._seconds = OPERATION_SECONDS.histogram(registry)
        self._fetched = FETCHED.counter(registry)
        self._resumed = RESUMED.counter(registry)

    def observe(self, change: Change) -> None:
        """The cache's listener. Never blocks or raises."""
        if change.old is None or change.new is None or not self._leads():
            return
        if became_ready(change):
            created = moment(change.new["metadata"]["creationTimestamp"])
            seconds = max(0.0, (self._now() - created).total_seconds())
            self._ready.labels(change.resource.kind).observe(seconds)

    def ended(self, kind: str, outcome: Ended, seconds: float) -> None:
        """The dispatcher's ``ended``."""
        self._operations.labels(kind, outcome.reason if isinstance(outcome, Failed) else "Succeeded").inc()
        self._seconds.labels(kind).observe(seconds)
        if isinstance(outcome, Succeeded) and outcome.fetched is not None:
            self._fetched.inc(outcome.fetched.file_bytes)
            self._resumed.inc(outcome.fetched.resumed_bytes)


def became_ready(change: Change) -> bool:
    """For the first time; a machine whose spec nobody touched since it was made."""
    assert change.old is not None
    assert change.new is not None
    match change.resource:
        case r.VIRTUAL_MACHINE:
            first = _status(change.new, "firstStartTime") and not _status(change.old, "firstStartTime")
            return bool(first) and change.new["metadata"].get("generation") == 1
        case r.PARENT:
            before = {None, ParentState.PENDING, ParentState.FETCHING, ParentState.PUBLISHED}
            return (
                _status(change.new, "state") == ParentState.READY and _status(change.old, "state") in before
            )
    return False


def _status(obj: Obj, field: str) -> object:
    return (obj.get("status") or {}).get(field)
