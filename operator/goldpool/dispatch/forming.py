"""Which of the waiting operations of a lane go together in its next Job. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from goldpool.contracts.operations import Adopt
from goldpool.dispatch.claims import Claims, allowed_on_cordoned, needs_root
from goldpool.dispatch.entries import Entry
from goldpool.dispatch.settings import Limits

_BATCH_OVERHEAD = 100
"""Bytes of a batch's JSON beside its operations and its identity."""


@dataclass(slots=True)
class Batch:
    """``due_at``: when it may start, None if nothing may. ``times``: when forming it again could give another one."""

    entries: list[Entry] = field(default_factory=list)
    due_at: float | None = None
    times: list[float] = field(default_factory=list)

    def due(self, now: float) -> bool:
        return self.due_at is not None and self.due_at <= now


@dataclass(frozen=True, slots=True)
class Gathering:
    """A Job starts when nothing was asked for ``quiet`` seconds, but ``longest`` after its first operation at the latest."""

    quiet: float
    longest: float


class _Taken:
    """Claims of what is in flight, of what was chosen, and of what waits in front: nobody overtakes those."""

    def __init__(self, in_flight: Iterable[Claims]) -> None:
        self._holds: set[str] = set()
        self._reads: set[str] = set()
        for claims in in_flight:
            self.add(claims)

    def add(self, claims: Claims) -> None:
        self._holds |= claims.holds
        self._reads |= claims.reads

    def conflicts_with(self, claims: Claims) -> bool:
        return not (
            self._holds.isdisjoint(claims.holds)
            and self._holds.isdisjoint(claims.reads)
            and self._reads.isdisjoint(claims.holds)
        )


def form_batch(
    waiting: Sequence[Entry], in_flight: Iterable[Claims], limits: Limits, gathering: Gathering, now: float
) -> Batch:
    """In the order asked. The first that may start decides which others can come along; a full batch is due at once,
    another one when it has gathered, and in a burst when that is over."""
    batch, taken = Batch(), _Taken(in_flight)
    size, full = 0, False
    for entry in waiting:
        late = entry.not_before > now
        if late:
            batch.times.append(entry.not_before)
        if late or taken.conflicts_with(entry.claims):
            taken.add(entry.claims)
            continue
        if not batch.entries:
            assert entry.request is not None
            mount = entry.request.mount
            size = _BATCH_OVERHEAD + (len(mount.identity.to_json()) if mount is not None else 0)
        elif not _go_together(batch.entries[0], entry):
            taken.add(entry.claims)
            continue
        if size + entry.size > limits.batch_bytes or len(batch.entries) >= _most(entry, limits):
            full = True
            break
        batch.entries.append(entry)
        taken.add(entry.claims)
        size += entry.size
        full = len(batch.entries) >= _most(entry, limits)
    if batch.entries:
        first = batch.entries[0]
        at_once = full or first.group != 0
        batch.due_at = now if at_once else _gathered_at(batch.entries, limits, gathering)
        batch.times.append(batch.due_at)
    return batch


def _gathered_at(entries: Sequence[Entry], limits: Limits, gathering: Gathering) -> float:
    first, last = entries[0].asked_at, max(entry.asked_at for entry in entries)
    burst = len(entries) >= limits.burst_operations
    now = Gathering(limits.burst_quiet_seconds, limits.burst_seconds) if burst else gathering
    return max(first + gathering.quiet, min(last + now.quiet, first + now.longest))


def _most(entry: Entry, limits: Limits) -> int:
    assert entry.request is not None
    return limits.adoptions if isinstance(entry.request.operation, Adopt) else limits.operations


def _go_together(first: Entry, other: Entry) -> bool:
    """One Job has one mount, one set of tolerations and one user. Root works alone."""
    one, two = first.request, other.request
    assert one is not None
    assert two is not None
    return (
        first.group == other.group
        and not needs_root(one.operation)
        and not needs_root(two.operation)
        and isinstance(one.operation, Adopt) == isinstance(two.operation, Adopt)
        and allowed_on_cordoned(one.operation) == allowed_on_cordoned(two.operation)
        and one.tolerations == two.tolerations
        and one.mount == two.mount
    )
