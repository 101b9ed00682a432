"""What becomes of an operation, from the asking to its end."""

import pytest

from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.report import (
    TERMINATION_MESSAGE_LIMIT,
    Adopted,
    FailureReason,
    Fetched,
    Probed,
    Progress,
)
from goldpool.contracts.source import MirrorResult
from goldpool.dispatch.book import Book
from goldpool.dispatch.outcome import Ended, Failed, Pending, Running, Succeeded
from goldpool.dispatch.record import JobKind
from goldpool.dispatch.settings import Limits
from goldpool.kube.port import Key
from tests.unit.dispatch.books import LATER, LIMITS, a_book, end, ids
from tests.unit.dispatch.builders import (
    REVISION,
    a_blank,
    a_deletion,
    a_fetch,
    a_probe,
    a_report,
    a_request,
    a_source_probe,
    an_adoption,
)


def test_asking_twice_is_asking_once() -> None:
    book = a_book(a_blank("v-1"), a_blank("v-1"))
    (start,) = book.take(LATER)
    book.ask(a_request(a_blank("v-1")), LATER)
    assert book.take(2 * LATER) == []
    end(book, start, 3 * LATER)
    book.ask(a_request(a_blank("v-1")), 3 * LATER)
    assert book.take(4 * LATER) == []
    assert book.outcome("create-v-1") == Succeeded()


def test_the_newest_request_counts_while_it_waits() -> None:
    book = a_book(a_blank("v-1"))
    book.ask(a_request(a_blank("v-1"), host="node-2"), 0.0)
    (start,) = book.take(LATER)
    assert start.record.lane.host == "node-2"


def test_outcomes_follow_the_operation() -> None:
    book = a_book(a_blank("v-1"))
    assert book.outcome("create-v-0") is None
    assert book.outcome("create-v-1") == Pending()
    (start,) = book.take(LATER)
    assert book.outcome("create-v-1") == Running(None)
    end(book, start, 2 * LATER, failed={0: FailureReason.POOL_FULL})
    assert book.outcome("create-v-1") == Failed(FailureReason.POOL_FULL, "so", False)
    book.settle("create-v-1")
    assert book.outcome("create-v-1") is None


def test_an_end_wakes_all_who_asked() -> None:
    book = a_book()
    for owner in ("one", "two"):
        book.ask(a_request(a_blank("v-1"), owner=owner), 0.0)
    (start,) = book.take(LATER)
    owners = book.ended(start.record.name, a_report(1), LATER)
    assert owners == {Key("Volume", "team-a", "one"), Key("Volume", "team-a", "two")}


def test_a_result_brings_its_locations_facts_and_what_was_fetched() -> None:
    facts = LocationFacts(location="gold-1", state=LocationState.OK, total_bytes=10, free_bytes=5)
    fetched = Fetched(revision=REVISION, file_bytes=1, virtual_bytes=2)
    book = a_book(a_fetch("p-1", "gold-1"))
    (start,) = book.take(LATER)
    report = a_report(1).replace(locations=(facts,), fetched=fetched)
    book.ended(start.record.name, report, LATER)
    assert book.outcome("fetch-p-1-1") == Succeeded(facts, fetched)


def test_asking_a_source_brings_what_it_serves_and_what_each_mirror_said() -> None:
    probed = Probed(mirror="https://mirror.example/debian.qcow2", size=7)
    mirrors = (MirrorResult(mirror="https://dead.example/x", reason="SourceUnreachable", message="refused"),)
    book = a_book(a_source_probe(number=1), a_source_probe(number=2))
    good, bad = book.take(LATER)
    told = a_report(1).replace(probed=probed, mirrors=mirrors)
    book.ended(good.record.name, told, LATER)
    book.ended(
        bad.record.name,
        a_report(1, failed={0: FailureReason.SOURCE_UNREACHABLE}).replace(mirrors=mirrors),
        LATER,
    )
    assert book.outcome("probe-source-debian-1") == Succeeded(probed=probed, mirrors=mirrors)
    failed = book.outcome("probe-source-debian-2")
    assert isinstance(failed, Failed)
    assert (failed.mirrors, failed.permanent) == (mirrors, False)


@pytest.mark.parametrize("good", [True, False], ids=["delivered", "failed"])
def test_a_transfer_brings_what_its_mirrors_answered(good: bool) -> None:
    book = a_book(a_fetch("p-1"))
    (start,) = book.take(LATER)
    results = (MirrorResult(mirror="http://h/a", reason="SourceRefused"),)
    report = a_report(1, failed={} if good else {0: FailureReason.SOURCE_REFUSED})
    book.ended(start.record.name, report.replace(mirrors=results, mirrors_total=12), LATER)
    outcome = book.outcome("fetch-p-1-1")
    assert isinstance(outcome, Succeeded if good else Failed)
    assert (outcome.mirrors, outcome.mirrors_total) == (results, 12)


def test_each_adoption_hears_what_it_found() -> None:
    book = a_book(an_adoption("v-1"), an_adoption("v-2"))
    (start,) = book.take(LATER)
    found = Adopted(index=1, virtual_bytes=1, parent="p-1", revision=REVISION)
    book.ended(start.record.name, a_report(2).replace(adopted=(found,)), LATER)
    assert book.outcome("adopt-v-1") == Succeeded()
    assert book.outcome("adopt-v-2") == Succeeded(adopted=found)


def test_so_many_adoptions_go_together_as_a_report_can_tell_of() -> None:
    book = a_book(*(an_adoption(f"v-{n}") for n in range(40)), a_blank("v-other"))
    starts = book.take(LATER)
    assert [len(start.requests) for start in starts] == [LIMITS.adoptions, LIMITS.adoptions]
    longest = tuple(
        Adopted(index=n, virtual_bytes=1 << 60, parent="p" * 63, revision=REVISION)
        for n in range(LIMITS.adoptions)
    )
    facts = LocationFacts(location="l" * 63, state=LocationState.OK, total_bytes=1 << 60, free_bytes=1 << 60)
    report = a_report(LIMITS.adoptions).replace(adopted=longest, locations=(facts,) * 2)
    assert len(report.to_json()) <= TERMINATION_MESSAGE_LIMIT


def test_a_job_is_removable_once_all_it_did_is_settled() -> None:
    book = a_book(a_blank("v-1"), a_blank("v-2"))
    (start,) = book.take(LATER)
    end(book, start, LATER)
    book.settle("create-v-1")
    assert book.removable(LATER) == []
    book.settle("create-v-2")
    assert book.removable(LATER) == [start.record.name]


def test_an_unsettled_result_gives_up_its_slot_only_to_those_who_wait() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    end(book, start, LATER)
    late = LATER + LIMITS.linger_seconds
    assert book.removable(late) == []
    book.ask(a_request(a_blank("v-2")), LATER)
    assert book.next_time(LATER + 1) == late
    assert book.removable(late) == [start.record.name]
    book.gone(start.record.name, late)
    assert book.outcome("create-v-1") == Succeeded()  # the outcome is kept


def test_a_result_that_nobody_settles_keeps_no_job_but_is_kept_itself() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    end(book, start, LATER)
    late = LATER + LIMITS.unclaimed_seconds
    assert book.next_time(LATER) == late, "nothing is told to the book until then"
    assert book.removable(late - 0.1) == []
    assert book.removable(late) == [start.record.name]
    book.gone(start.record.name, late)
    assert book.outcome("create-v-1") == Succeeded()


def test_a_found_job_that_ended_and_nobody_asks_for_goes() -> None:
    """As a probe's: the next operator asks for one of another time."""
    (start,) = a_book(a_probe()).take(LATER)
    book = Book(LIMITS)
    book.adopt(start.record, LATER)
    assert book.next_time(LATER) is None
    book.ended(start.record.name, a_report(1), LATER)
    late = LATER + LIMITS.unclaimed_seconds
    assert book.next_time(LATER) == late
    assert book.removable(late) == [start.record.name]


def test_a_transfers_result_waits_for_whoever_wants_it() -> None:
    book = a_book(a_fetch())
    (start,) = book.take(LATER)
    end(book, start, LATER)
    assert book.removable(LATER + LIMITS.unclaimed_seconds) == []


def test_a_transfer_that_was_found_and_nobody_asks_for_does_not_hold_its_job_for_long() -> None:
    """Its copy is gone, or counts another attempt: an operator died between the two."""
    (start,) = a_book(a_fetch()).take(LATER)
    book = a_book()
    book.adopt(start.record, LATER)
    end(book, start, LATER)
    late = LATER + LIMITS.unclaimed_seconds
    assert (book.next_time(LATER), book.removable(LATER)) == (late, [])
    assert book.removable(late) == [start.record.name]
    book.gone(start.record.name, late)
    outcome = book.outcome(start.record.operations[0].id)
    assert isinstance(outcome, Succeeded)  # whoever comes late still hears of it


def test_a_transfer_that_was_found_and_is_asked_for_waits_for_whoever_asks() -> None:
    (start,) = a_book(a_fetch()).take(LATER)
    book = a_book()
    book.adopt(start.record, LATER)
    book.ask(a_request(a_fetch()), LATER)
    end(book, start, LATER)
    assert book.next_time(LATER) is None
    assert book.removable(LATER + LIMITS.unclaimed_seconds) == []


def test_an_outcome_that_nobody_settles_is_forgotten_in_the_end() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    end(book, start, LATER)
    book.forget_old(LATER + LIMITS.keep_seconds)
    assert book.outcome("create-v-1") is None
    assert book.removable(LATER) == [start.record.name]


def test_settling_what_is_in_flight_lets_it_go_on() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    book.settle("create-v-1")
    book.ask(a_request(a_deletion("v-1")), LATER)
    assert book.take(2 * LATER) == []  # v-1 is still being made
    end(book, start, 3 * LATER)
    assert book.removable(3 * LATER) == [start.record.name]
    assert book.take(4 * LATER)


def test_a_transfer_nobody_wants_any_longer_is_called_off() -> None:
    book = a_book(a_fetch("p-1"))
    (start,) = book.take(LATER)
    assert book.removable(LATER) == []
    book.settle("fetch-p-1-1")
    assert book.removable(LATER) == [start.record.name]


def test_a_settled_operation_in_flight_is_not_started_again() -> None:
    book = a_book(a_probe())
    (start,) = book.take(LATER)
    book.settle("probe-loc-1-1")
    book.ask(a_request(a_probe()), LATER)
    assert book.take(2 * LATER) == []
    end(book, start, 3 * LATER)
    assert book.outcome("probe-loc-1-1") == Succeeded()


def test_what_waits_can_be_withdrawn() -> None:
    book = a_book(a_blank("v-1"), a_fetch("p-1"))
    book.settle("create-v-1")
    book.settle("fetch-p-1-1")
    assert book.take(LATER) == []
    assert book.waiting() == 0


def test_a_lost_batch_is_tried_again_in_halves_until_the_poison_is_alone() -> None:
    book, now = a_book(*(a_blank(f"v-{n}") for n in range(8))), LATER
    sizes: list[int] = []
    for _ in range(40):
        now += 20.0
        for start in book.take(now):
            poisoned = "create-v-5" in ids(start)
            sizes += [len(start.requests)] if poisoned else []
            book.ended(start.record.name, None if poisoned else a_report(len(start.requests)), now)
            book.gone(start.record.name, now)
    assert sizes == [8, 4, 2, 1, 1]
    outcomes = {n: book.outcome(f"create-v-{n}") for n in range(8)}
    assert isinstance(failed := outcomes.pop(5), Failed)
    assert (failed.reason, failed.permanent) == (FailureReason.LOST, False)
    assert set(outcomes.values()) == {Succeeded()}


def test_what_a_report_does_not_name_is_tried_again() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(3)))
    (start,) = book.take(LATER)
    end(book, start, LATER, unknown={2})
    assert [book.outcome(f"create-v-{n}") for n in range(3)] == [Succeeded(), Succeeded(), Pending()]


@pytest.mark.parametrize(
    ("fetches", "started"),
    [
        ([("node-1", "gold-a"), ("node-1", "gold-b"), ("node-1", "gold-c")], 2),  # per host
        ([(f"node-{n}", "gold-a") for n in range(6)], 4),  # per pool
        ([(f"node-{n}", f"gold-{n}") for n in range(20)], 16),  # per cluster
    ],
)
def test_transfers_are_limited(fetches: list[tuple[str, str]], started: int) -> None:
    book = Book(LIMITS)
    for number, (host, pool) in enumerate(fetches):
        book.ask(a_request(a_fetch(f"p-{number}", f"loc-{number}"), host=host, pool=pool), 0.0)
    starts = book.take(LATER)
    assert len(starts) == started
    end(book, starts[0], LATER)
    assert len(book.take(LATER)) == 1


@pytest.mark.parametrize(("hosts", "started"), [(1, 4), (20, 8)])
def test_sources_are_asked_by_a_few_hosts_at_a_time_and_beside_transfers(hosts: int, started: int) -> None:
    book = a_book(*(a_fetch(f"p-{n}", f"loc-{n}") for n in range(2)))
    for number in range(20):
        book.ask(a_request(a_source_probe(number=number), host=f"node-{number % hosts + 1}"), 0.0)
    starts = book.take(LATER)
    assert sum(start.record.kind is JobKind.PROBE for start in starts) == started
    end(book, next(start for start in starts if start.record.kind is JobKind.PROBE), LATER)
    assert len(book.take(LATER)) == 1


def test_asking_a_source_is_called_off_like_a_transfer() -> None:
    book = a_book(a_source_probe())
    (start,) = book.take(LATER)
    book.settle("probe-source-debian-1")
    assert book.removable(LATER) == [start.record.name]


def test_a_transfer_takes_no_slot() -> None:
    book = a_book(a_fetch("p-1", "gold-1"), a_fetch("p-2", "gold-1"), a_probe("gold-1"))
    assert sorted(start.record.kind for start in book.take(LATER)) == ["fetch", "fetch", "slot"]


def test_progress_wakes_only_when_it_changed() -> None:
    book = a_book(a_fetch("p-1"))
    (start,) = book.take(LATER)
    progress = Progress(done_bytes=1, total_bytes=2)
    assert book.progressed(start.record.name, progress)
    assert not book.progressed(start.record.name, progress)
    assert book.outcome("fetch-p-1-1") == Running(progress)


def test_a_job_that_was_not_created_leaves_its_operations_waiting() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    book.refused(start.record.name, again=10.0)
    assert book.outcome("create-v-1") == Pending()
    (other,) = book.take(2.0)
    assert other.record.name != start.record.name  # the lane's other slot
    book.refused(other.record.name, again=11.0)
    assert book.take(3.0) == []
    assert book.next_time(3.0) == 10.0
    assert book.take(10.0)


def test_a_job_given_up_keeps_its_names_until_it_is_gone() -> None:
    book = a_book(a_blank("v-1"))
    (start,) = book.take(LATER)
    book.give_up(start.record.name, FailureReason.LOST, "host lost", LATER)
    assert book.outcome("create-v-1") == Failed(FailureReason.LOST, "host lost", False)
    assert book.removable(LATER) == [start.record.name]
    book.settle("create-v-1")
    book.ask(a_request(a_blank("v-1"), host="node-2"), LATER)
    assert book.take(2 * LATER) == []
    book.gone(start.record.name, 3 * LATER)
    assert book.take(4 * LATER)


def test_a_lost_host_does_not_use_up_the_pools_transfers() -> None:
    book = Book(Limits(fetches_per_pool=1, fetches_per_host=1))
    book.ask(a_request(a_fetch("p-1", "loc-1"), host="node-1"), 0.0)
    (start,) = book.take(LATER)
    book.give_up(start.record.name, FailureReason.LOST, "host lost", LATER)
    book.ask(a_request(a_fetch("p-2", "loc-1"), host="node-1"), LATER)
    book.ask(a_request(a_fetch("p-3", "loc-2"), host="node-2"), LATER)
    assert [ids(later) for later in book.take(2 * LATER)] == [["fetch-p-3-1"]]


def test_a_found_job_is_not_started_again() -> None:
    (start,) = a_book(a_blank("v-1")).take(LATER)
    book = a_book(a_blank("v-1"))  # asked before the Jobs were listed
    book.adopt(start.record, LATER)
    book.ask(a_request(a_blank("v-1")), LATER)
    assert book.take(2 * LATER) == []
    end(book, start, 3 * LATER)
    assert book.outcome("create-v-1") == Succeeded()


def test_what_was_found_lost_and_nobody_asks_for_is_dropped() -> None:
    (start,) = a_book(a_blank("v-1")).take(LATER)
    book = a_book()
    book.adopt(start.record, LATER)
    assert book.outcome("create-v-1") == Running(None)
    assert book.gone(start.record.name, LATER) == {Key("Volume", "team-a", "create-v-1")}
    assert book.outcome("create-v-1") is None


def test_each_end_is_told_once_with_its_kind_and_its_age() -> None:
    told: list[tuple[str, str, float]] = []

    def ended(kind: str, outcome: Ended, seconds: float) -> None:
        told.append((kind, type(outcome).__name__, seconds))

    book = Book(LIMITS, ended)
    for operation in (a_blank("v-1"), a_blank("v-2")):
        book.ask(a_request(operation), 0.0)
    [start] = book.take(LATER)
    end(book, start, 5.0, failed={1: FailureReason.IO_ERROR})
    end(book, start, 6.0)
    book.give_up(start.record.name, FailureReason.LOST, "late", 7.0)
    assert told == [("CreateBlank", "Succeeded", 5.0), ("CreateBlank", "Failed", 5.0)]


def test_the_end_of_an_operation_found_in_a_job_is_told_too() -> None:
    told: list[str] = []
    first = a_book(a_deletion("v-1"))
    [start] = first.take(LATER)
    second = Book(LIMITS, lambda kind, *_: told.append(kind))
    second.adopt(start.record, 0.0)
    end(second, start, 5.0)
    assert told == ["DeleteVolume"]
