"""The bookkeeping of operations: what waits, what is in which Job, what came of it. Pure: no I/O, no clock.

``now`` is any clock that never goes back, in seconds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from goldpool.contracts.report import PERMANENT, FailureReason, Progress, Report
from goldpool.dispatch.alone import goes_alone, has_room, kind_of, name_of
from goldpool.dispatch.entries import Entry, Flight
from goldpool.dispatch.forming import Batch, Gathering, form_batch
from goldpool.dispatch.manifest import size_of
from goldpool.dispatch.outcome import Ended, Failed, Outcome, Pending, Running
from goldpool.dispatch.record import JobKind, JobRecord, Lane, lane_of, recorded, slot_names
from goldpool.dispatch.reports import outcomes_of
from goldpool.dispatch.request import Request
from goldpool.dispatch.settings import Limits
from goldpool.kube.port import Key


@dataclass(frozen=True, slots=True)
class Start:
    """A Job to be created now."""

    record: JobRecord
    requests: tuple[Request, ...]


OnEnd = Callable[[str, Ended, float], None]
"""Told of each operation that ended: its kind, how, and how many seconds ago it was first asked for (or found)."""


class Book:
    """No operation is in two Jobs at once, nor two operations on one object, nor one on a parent and one on its child.
    Whatever is asked for ends, if each Job ends."""

    def __init__(self, limits: Limits, ended: OnEnd = lambda *_: None) -> None:
        self._limits = limits
        self._on_end = ended
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[Lane, dict[str, None]] = {}
        self._alone: dict[str, None] = {}
        self._flights: dict[str, Flight] = {}
        self._blocked: dict[str, float] = {}
        self._groups = 0

    # --- what controllers say

    def ask(self, request: Request, now: float) -> None:
        """The newest request counts while it waits; an operation in flight, or ended and unsettled, is not touched."""
        entry = self._entries.get(request.id)
        if entry is None:
            entry = self._entries[request.id] = Entry(request.id, now)
            entry.job = next((f.record.name for f in self._flights.values() if f.carries(request.id)), None)
            self._take_request(entry, request)
            if entry.job is None:
                self._queue(entry, now)
        elif entry.waiting and entry.request != request:
            self._unqueue(entry)
            self._take_request(entry, request)
            self._queue(entry, now)
        else:
            self._take_request(entry, request)

    def settle(self, operation_id: str) -> None:
        """Forgotten. One that is in flight goes on, and its result is nobody's; only a transfer is called off."""
        entry = self._entries.pop(operation_id, None)
        if entry is not None and entry.waiting:
            self._unqueue(entry)

    def outcome(self, operation_id: str) -> Outcome | None:
        entry = self._entries.get(operation_id)
        if entry is None:
            return None
        if entry.ended is not None:
            return entry.ended
        return Pending() if entry.job is None else Running(entry.progress)

    # --- what is to be done

    def take(self, now: float) -> list[Start]:
        """The Jobs that may start now. From here on their operations are in flight."""
        self._blocked = {name: again for name, again in self._blocked.items() if again > now}
        starts = [start for lane in [*self._waiting] for start in self._take_from(lane, now)]
        for entry in [self._entries[operation_id] for operation_id in self._alone]:
            assert entry.request is not None
            operation = entry.request.operation
            if self._may_start_alone(entry, now):
                starts.append(self._launch(name_of(operation), kind_of(operation), [entry]))
        return starts

    def removable(self, now: float) -> list[str]:
        """Jobs that nobody needs any more: all they did is settled, or has been kept here for long enough; or a transfer
        nobody wants any longer, which would hold its names for hours."""
        return [
            name
            for name, flight in self._flights.items()
            if (self._unneeded(flight, now) if flight.over else self._is_unwanted(flight))
        ]

    def forget_old(self, now: float) -> None:
        """Drops outcomes that nobody settled for so long that nobody will."""
        for entry in [*self._entries.values()]:
            if entry.ended_at is not None and now - entry.ended_at >= self._limits.keep_seconds:
                del self._entries[entry.id]

    def next_time(self, now: float) -> float | None:
        """When ``take`` or ``removable`` may have more to say though nothing is told to the book."""
        times: list[float] = [time for time in self._blocked.values() if time > now]
        for lane in self._waiting:
            if any(name not in self._flights for name in slot_names(lane)):
                times += self._batch(lane, now).times
            linger = self._limits.linger_seconds
            flights = (self._flights[name] for name in slot_names(lane) if name in self._flights)
            times += [flight.over_at + linger for flight in flights if flight.over_at is not None]
        times += [
            flight.over_at + self._limits.unclaimed_seconds
            for flight in self._flights.values()
            if flight.over_at is not None and not self._awaits_its_owner(flight)
        ]
        times += [self._entries[fetch].not_before for fetch in self._alone]
        return min((time for time in times if time > now), default=None)

    # --- what became of Jobs

    def refused(self, name: str, again: float) -> None:
        """The Job was not created: its operations wait again, and the name is not tried before ``again``."""
        self._blocked[name] = again
        flight = self._flights.pop(name)
        for entry in self._carried(flight):
            self._queue(entry, entry.asked_at)

    def adopt(self, record: JobRecord, now: float) -> None:
        """A Job that is there though this book did not start it. Its operations are in flight; those nobody asks for
        again are dropped with it."""
        self._flights[record.name] = Flight(record)
        for operation in record.operations:
            entry = self._entries.get(operation.id)
            if entry is None:
                entry = self._entries[operation.id] = Entry(operation.id, now, recorded=operation)
            elif entry.waiting:
                self._unqueue(entry)
            elif entry.job is not None:
                continue
            entry.job = record.name
            entry.owners.add(operation.owner)

    def ended(self, name: str, report: Report | None, now: float, why: str = "") -> set[Key]:
        """The Job's container terminated, with this report. Returns whom to wake."""
        flight = self._flights[name]
        if flight.over:
            flight.stopped = True
            return set()
        flight.over_at, flight.stopped = now, True
        owners: set[Key] = set()
        unknown: list[Entry] = []
        outcomes = outcomes_of(report, flight.record)
        for index, operation in enumerate(flight.record.operations):
            entry = self._entries.get(operation.id)
            if entry is None or entry.job != name:
                continue
            if (outcome := outcomes.get(index)) is None:
                unknown.append(entry)
                continue
            self._end(entry, outcome, now)
            owners |= entry.owners
        return owners | self._lose(unknown, len(flight.record.operations), now, why)

    def give_up(self, name: str, reason: FailureReason, message: str, now: float) -> set[Key]:
        """The Job will say nothing in time: its operations fail. Its names stay claimed until it is gone."""
        flight = self._flights[name]
        if flight.over:
            return set()
        flight.over_at, flight.given_up = now, True
        owners: set[Key] = set()
        for entry in self._carried(flight):
            self._end(entry, Failed(reason, message, reason in PERMANENT), now)
            owners |= entry.owners
        return owners

    def gone(self, name: str, now: float) -> set[Key]:
        """No such Job any more, and nothing of it runs: the slot is free. Without a result before, that is a loss."""
        if name not in self._flights:
            return set()
        owners = self.ended(name, None, now, "the Job was deleted")
        del self._flights[name]
        return owners

    def progressed(self, name: str, progress: Progress) -> set[Key]:
        """Whom to wake: nobody if nothing changed."""
        owners: set[Key] = set()
        for entry in self._carried(self._flights[name]):
            if entry.progress != progress:
                entry.progress = progress
                owners |= entry.owners
        return owners

    def flight(self, name: str) -> Flight | None:
        return self._flights.get(name)

    def flights(self) -> Iterable[Flight]:
        return [*self._flights.values()]

    def waiting(self) -> int:
        """Operations that are in no Job yet."""
        return sum(len(ids) for ids in self._waiting.values()) + len(self._alone)

    # --- inside

    def _take_request(self, entry: Entry, request: Request) -> None:
        entry.request = request
        entry.owners.add(request.owner)
        entry.recorded = recorded(request)
        entry.size = size_of(request.operation)

    def _queue(self, entry: Entry, now: float) -> None:
        assert entry.request is not None
        entry.job = None
        mount = entry.request.mount
        identity = len(mount.identity.to_json()) if mount is not None else 0
        if entry.size + identity + 100 > self._limits.batch_bytes:
            text = f"{entry.size} bytes, a Job takes {self._limits.batch_bytes}"
            self._end(entry, Failed(FailureReason.UNSUPPORTED, text, True), now)
        elif goes_alone(entry.request.operation):
            self._alone[entry.id] = None
        else:
            self._waiting.setdefault(lane_of(entry.request), {})[entry.id] = None

    def _end(self, entry: Entry, outcome: Ended, now: float) -> None:
        entry.end(outcome, now)
        assert entry.recorded is not None
        self._on_end(entry.recorded.kind, outcome, now - entry.asked_at)

    def _unqueue(self, entry: Entry) -> None:
        assert entry.request is not None
        self._alone.pop(entry.id, None)
        lane = lane_of(entry.request)
        members = self._waiting.get(lane)
        if members is not None:
            members.pop(entry.id, None)
            if not members:
                del self._waiting[lane]

    def _batch(self, lane: Lane, now: float) -> Batch:
        entries = [self._entries[operation_id] for operation_id in self._waiting.get(lane, ())]
        alone = not any(name in self._flights for name in slot_names(lane))
        limits = self._limits
        gathering = Gathering(limits.gather_seconds, limits.gather_seconds)
        if not alone:
            gathering = Gathering(limits.second_gather_seconds, limits.second_longest_seconds)
        in_flight = [flight.record.claims for flight in self._flights.values() if not flight.stopped]
        return form_batch(entries, in_flight, limits, gathering, now)

    def _may_start_alone(self, entry: Entry, now: float) -> bool:
        assert entry.request is not None
        operation, lane = entry.request.operation, lane_of(entry.request)
        conflict = any(
            entry.claims.conflict_with(f.record.claims) for f in self._flights.values() if not f.stopped
        )
        ready = entry.not_before <= now and self._free(name_of(operation), now)
        return ready and not conflict and has_room(kind_of(operation), lane, self.flights(), self._limits)

    def _take_from(self, lane: Lane, now: float) -> Iterator[Start]:
        for name in slot_names(lane):
            # Formed anew for the second slot: the first one's operations are in flight by then.
            if self._free(name, now) and (batch := self._batch(lane, now)).due(now):
                yield self._launch(name, JobKind.SLOT, batch.entries)

    def _free(self, name: str, now: float) -> bool:
        return name not in self._flights and self._blocked.get(name, now) <= now

    def _launch(self, name: str, kind: JobKind, entries: list[Entry]) -> Start:
        requests = tuple(entry.request for entry in entries if entry.request is not None)
        for entry in entries:
            self._unqueue(entry)
            entry.job, entry.progress = name, None
        record = JobRecord(name, kind, lane_of(requests[0]), tuple(recorded(r) for r in requests))
        self._blocked.pop(name, None)
        self._flights[name] = Flight(record)
        return Start(record, requests)

    def _carried(self, flight: Flight) -> list[Entry]:
        found = (self._entries.get(operation.id) for operation in flight.record.operations)
        return [entry for entry in found if entry is not None and entry.job == flight.record.name]

    def _is_unwanted(self, flight: Flight) -> bool:
        return flight.record.kind is not JobKind.SLOT and not self._carried(flight)

    def _unneeded(self, flight: Flight, now: float) -> bool:
        assert flight.over_at is not None
        if flight.given_up or not self._carried(flight):
            return True
        if self._awaits_its_owner(flight):
            return False
        # A controller that never settles must not hold a slot that others need: the outcome is kept here, and
        # after a crash the operation is asked for again, which is the same as asking once.
        contended = flight.record.lane in self._waiting
        patience = self._limits.linger_seconds if contended else self._limits.unclaimed_seconds
        return now - flight.over_at >= patience

    def _awaits_its_owner(self, flight: Flight) -> bool:
        """What a transfer's source said stands in its Job alone, and whoever asked for it will write it down. One that was
        found, and that nobody asks for, may be of a copy that is gone, or that counts another attempt by now."""
        if flight.record.kind is not JobKind.FETCH:
            return False
        return any(entry.request is not None for entry in self._carried(flight))

    def _lose(self, entries: list[Entry], batch: int, now: float, why: str) -> set[Key]:
        """In halves, so that one poison operation ends up alone; alone it is tried once more, then it fails."""
        owners: set[Key] = set()
        again: list[Entry] = []
        for entry in entries:
            entry.losses += 1
            entry.losses_alone += batch == 1
            if entry.request is None:
                # Found in a Job and asked for by nobody since: whoever still needs it asks again.
                del self._entries[entry.id]
                owners |= entry.owners
            elif entry.losses_alone >= 2:
                self._end(
                    entry, Failed(FailureReason.LOST, f"no result in two Jobs of its own: {why}", False), now
                )
                owners |= entry.owners
            else:
                again.append(entry)
        middle = (len(again) + 1) // 2
        for half in (again[:middle], again[middle:]):
            self._groups += 1
            for entry in half:
                entry.group = self._groups
                entry.not_before = now + self._limits.lost_delay_seconds * min(entry.losses, 10)
                self._queue(entry, now)
        return owners
