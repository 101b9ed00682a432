"""What holds for the book whatever is asked and however Jobs end."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from goldpool.contracts.operations import Operation
from goldpool.contracts.report import FailureReason
from goldpool.dispatch.book import Book, Start
from goldpool.dispatch.claims import claims_of, needs_root
from goldpool.dispatch.manifest import batch_json
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.record import JobKind
from goldpool.dispatch.settings import Limits
from tests.unit.dispatch.builders import (
    a_blank,
    a_child,
    a_deletion,
    a_fetch,
    a_parent_deletion,
    a_probe,
    a_report,
    a_request,
    a_source_probe,
    an_initialization,
)

LIMITS = Limits(
    operations=5,
    batch_bytes=1500,
    fetches_per_host=1,
    fetches_per_pool=2,
    fetches=2,
    source_probes_per_host=1,
    source_probes=2,
)
HOSTS = st.sampled_from(["node-1", "node-2"])
LOCATIONS = st.sampled_from(["loc-1", "loc-2"])
VOLUMES = st.sampled_from([f"v-{n}" for n in range(12)])
PARENTS = st.sampled_from(["p-1", "p-2", "p-3"])

OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(a_child, VOLUMES, PARENTS, LOCATIONS),
    st.builds(a_child, VOLUMES, PARENTS, LOCATIONS),
    st.builds(a_blank, VOLUMES, LOCATIONS),
    st.builds(a_deletion, VOLUMES, LOCATIONS),
    st.builds(a_parent_deletion, PARENTS, LOCATIONS),
    st.builds(a_fetch, PARENTS, LOCATIONS, st.integers(1, 2)),
    st.builds(a_probe, LOCATIONS),
    st.builds(a_source_probe, st.sampled_from(["debian", "alpine", "fedora"]), st.integers(1, 2)),
    st.builds(an_initialization, LOCATIONS),
)


class Operator(RuleBasedStateMachine):
    """A controller that asks and settles, and a cluster in which Jobs end in every way."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.book = Book(LIMITS)
        self.now = 0.0
        self.running: dict[str, Start] = {}
        """Whose process may run."""
        self.there: set[str] = set()
        """Job names that are taken."""
        self.asked: dict[str, Any] = {}

    @rule(operation=OPERATIONS, host=HOSTS)
    def ask(self, operation: Operation, host: str) -> None:
        request = a_request(operation, host=host)
        self.asked.setdefault(operation.id, request)
        self.book.ask(request, self.now)

    @rule(target=jobs, seconds=st.sampled_from([0.001, 0.05, 0.5, 10.0]))
    def take(self, seconds: float) -> Any:
        self.now += seconds
        starts = self.book.take(self.now)
        for start in starts:
            assert start.record.name not in self.there
            self.there.add(start.record.name)
            self.running[start.record.name] = start
            self.check_batch(start)
        return multiple(*starts)

    def check_batch(self, start: Start) -> None:
        operations = [request.operation for request in start.requests]
        assert 1 <= len(operations) <= LIMITS.operations
        assert len(batch_json(start.requests)) <= LIMITS.batch_bytes
        assert len({(r.host, r.mount and r.mount.location) for r in start.requests}) == 1
        assert len(operations) == 1 or not any(needs_root(operation) for operation in operations)
        assert start.record.kind is JobKind.SLOT or len(operations) == 1

    @rule(start=consumes(jobs), data=st.data())
    def end(self, start: Start, data: st.DataObject) -> None:
        if self.running.get(start.record.name) is not start:
            return
        count = len(start.requests)
        fates = data.draw(st.lists(st.sampled_from("dfu"), min_size=count, max_size=count))
        failed = {i: FailureReason.IO_ERROR for i, fate in enumerate(fates) if fate == "f"}
        unknown = {i for i, fate in enumerate(fates) if fate == "u"}
        del self.running[start.record.name]
        self.book.ended(start.record.name, a_report(count, failed=failed, unknown=unknown), self.now)

    @rule(start=consumes(jobs))
    def lose(self, start: Start) -> None:
        if self.running.get(start.record.name) is start:
            del self.running[start.record.name]
            self.book.ended(start.record.name, None, self.now)

    @rule(start=consumes(jobs))
    def delete_job(self, start: Start) -> None:
        if self.running.get(start.record.name) is start:
            del self.running[start.record.name]
            self.there.discard(start.record.name)
            self.book.gone(start.record.name, self.now)

    @rule(start=jobs)
    def give_up(self, start: Start) -> None:
        if self.running.get(start.record.name) is start:
            self.book.give_up(start.record.name, FailureReason.NOT_MOUNTED, "so", self.now)

    @rule(start=consumes(jobs))
    def refuse(self, start: Start) -> None:
        flight = self.book.flight(start.record.name)
        if self.running.get(start.record.name) is start and flight is not None and not flight.over:
            del self.running[start.record.name]
            self.there.discard(start.record.name)
            self.book.refused(start.record.name, self.now + 1)

    @rule()
    def settle_all_ended(self) -> None:
        for operation_id in [*self.asked]:
            if isinstance(self.book.outcome(operation_id), Succeeded | Failed):
                self.settle(operation_id)

    @rule(data=st.data())
    def settle_early(self, data: st.DataObject) -> None:
        if self.asked:
            self.settle(data.draw(st.sampled_from(sorted(self.asked))))

    def settle(self, operation_id: str) -> None:
        del self.asked[operation_id]
        self.book.settle(operation_id)

    @rule()
    def clean_up(self) -> None:
        for name in self.book.removable(self.now):
            if name not in self.running:
                self.there.discard(name)
                self.book.gone(name, self.now)

    @invariant()
    def no_operation_is_in_flight_twice(self) -> None:
        carried = Counter(
            request.id
            for start in self.running.values()
            for request in start.requests
            if request.operation.kind != "Probe"  # a probe that was given up on may be asked for again
        )
        assert not carried or max(carried.values()) == 1

    @invariant()
    def nothing_in_flight_conflicts(self) -> None:
        claims = [claims_of(r.operation) for start in self.running.values() for r in start.requests]
        for index, one in enumerate(claims):
            assert not any(one.conflict_with(other) for other in claims[index + 1 :])

    @invariant()
    def transfers_stay_within_their_limits(self) -> None:
        hosts = Counter((s.record.kind, s.record.lane.host) for s in self.running.values())
        limits = {
            JobKind.FETCH: LIMITS.fetches_per_host,
            JobKind.PROBE: LIMITS.source_probes_per_host,
        }
        assert all(count <= limits.get(kind, count) for (kind, _), count in hosts.items())

    @invariant()
    def whatever_was_asked_is_known(self) -> None:
        assert all(self.book.outcome(operation_id) is not None for operation_id in self.asked)

    def teardown(self) -> None:
        """From any state, if each Job ends, then everything asked for ends, and no Job is left."""
        for _ in range(200):
            for start in [*self.running.values()]:
                del self.running[start.record.name]
                self.book.ended(start.record.name, a_report(len(start.requests)), self.now)
            self.settle_all_ended()
            self.clean_up()
            # The book itself must say when to look again, or a dispatcher would sleep for ever.
            soon = self.book.next_time(self.now)
            for start in self.book.take(soon if soon is not None else self.now):
                self.there.add(start.record.name)
                self.running[start.record.name] = start
            self.now = max(self.now, soon or 0.0)
            if not self.asked and not self.running:
                break
        assert not self.asked
        self.clean_up()
        assert not self.there


TestOperator = Operator.TestCase
TestOperator.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
