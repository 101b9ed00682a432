"""What goes together into a Job, and when."""

import pytest

from goldpool.contracts.operations import Operation
from goldpool.contracts.report import FailureReason
from goldpool.dispatch.outcome import Failed, Pending
from goldpool.dispatch.settings import Limits
from tests.unit.dispatch.books import LATER, LIMITS, MANY, a_book, end, ids
from tests.unit.dispatch.builders import (
    a_blank,
    a_child,
    a_deletion,
    a_fetch,
    a_parent_deletion,
    a_probe,
    a_request,
    an_initialization,
)


def test_a_burst_is_gathered_until_it_ends() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(MANY)))
    nearly = LIMITS.burst_quiet_seconds * 0.9
    over = nearly + LIMITS.burst_quiet_seconds
    assert book.take(nearly) == []
    book.ask(a_request(a_blank("v-late")), nearly)
    assert book.take(over * 0.99) == []
    assert book.next_time(nearly) == pytest.approx(over)
    assert [len(start.requests) for start in book.take(over)] == [MANY + 1]


def test_a_burst_that_does_not_end_waits_no_longer_than_that() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(MANY)))
    now, asked = 0.0, MANY
    while now + 0.1 < LIMITS.burst_seconds:
        now, asked = now + 0.1, asked + 1
        book.ask(a_request(a_blank(f"v-{asked}")), now)
        assert book.take(now) == []
    assert [len(start.requests) for start in book.take(LIMITS.burst_seconds)] == [asked]


def test_a_full_job_does_not_wait_for_the_end_of_its_burst() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(LIMITS.operations)))
    assert [len(start.requests) for start in book.take(0.0)] == [LIMITS.operations]


def test_fewer_than_a_burst_wait_for_nobody() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(MANY - 1)))
    assert [len(start.requests) for start in book.take(LIMITS.gather_seconds)] == [MANY - 1]


def test_what_is_asked_together_goes_together() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(5)))
    assert [len(start.requests) for start in book.take(LATER)] == [5]


def test_it_gathers_before_a_job_of_one_operation() -> None:
    book = a_book(a_blank("v-1"))
    assert book.take(LIMITS.gather_seconds / 2) == []
    assert book.next_time(0.0) == LIMITS.gather_seconds
    book.ask(a_request(a_blank("v-2")), LIMITS.gather_seconds / 2)
    assert [ids(start) for start in book.take(LIMITS.gather_seconds)] == [["create-v-1", "create-v-2"]]


def test_it_gathers_for_longer_beside_another_job() -> None:
    book = a_book(a_blank("v-1"))
    assert book.take(LATER)
    book.ask(a_request(a_blank("v-2")), LATER)
    assert book.take(LATER + LIMITS.gather_seconds) == []
    assert book.take(LATER + LIMITS.second_gather_seconds)


def test_beside_another_job_it_gathers_while_they_keep_coming() -> None:
    book = a_book(a_blank("v-1"))
    assert book.take(LATER)
    nearly = LATER + LIMITS.second_gather_seconds * 0.9
    book.ask(a_request(a_blank("v-2")), LATER)
    book.ask(a_request(a_blank("v-3")), nearly)
    assert book.take(LATER + LIMITS.second_gather_seconds) == []
    assert book.next_time(nearly) == pytest.approx(nearly + LIMITS.second_gather_seconds)
    assert [ids(start) for start in book.take(nearly + LIMITS.second_gather_seconds)] == [
        ["create-v-2", "create-v-3"]
    ]


def test_beside_another_job_those_that_keep_coming_wait_no_longer_than_that() -> None:
    book = a_book(a_blank("v-0"))
    assert book.take(LATER)
    now, asked, over = LATER, 0, LATER + LIMITS.second_longest_seconds
    while now + 0.15 < over:
        asked += 1
        book.ask(a_request(a_blank(f"v-{asked}")), now)
        assert book.take(now) == []
        now += 0.15
    assert asked < LIMITS.burst_operations
    assert [len(start.requests) for start in book.take(over)] == [asked]


def test_two_slots_and_no_more() -> None:
    book, now = a_book(a_blank("v-0")), LATER
    names = [start.record.name for start in book.take(now)]
    for number in range(1, 4):
        now += LATER
        book.ask(a_request(a_blank(f"v-{number}")), now)
        names += [start.record.name for start in book.take(now + LATER)]
        now += LATER
    assert len(names) == len(set(names)) == 2
    assert book.outcome("create-v-3") == Pending()


def test_a_batch_is_capped_by_count() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(450)))
    assert [len(start.requests) for start in book.take(LATER)] == [200, 200]
    assert book.waiting() == 50


def test_a_batch_is_capped_by_bytes() -> None:
    book = a_book(*(a_blank(f"v-{n}") for n in range(20)), limits=Limits(batch_bytes=2000))
    starts = book.take(LATER)
    assert all(1 < len(start.requests) < 20 for start in starts)


def test_what_fits_into_no_job_fails_at_once() -> None:
    book = a_book(a_fetch(url="https://mirror.example/" + "x" * 200_000))
    assert book.take(LATER) == []
    outcome = book.outcome("fetch-p-1-1")
    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.permanent) == (FailureReason.UNSUPPORTED, True)


def test_each_location_and_host_has_slots_of_its_own() -> None:
    book = a_book(a_blank("v-1", "loc-1"), a_blank("v-2", "loc-2"))
    book.ask(a_request(a_blank("v-3", "loc-1"), host="node-2"), 0.0)
    names = [start.record.name for start in book.take(LATER)]
    assert len(names) == len(set(names)) == 3


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (a_blank("v-1"), a_deletion("v-1"), False),
        (a_child("v-1", "p-1"), a_child("v-2", "p-1"), True),  # many children of one parent
        (a_child("v-1", "p-1"), a_parent_deletion("p-1"), False),
        (a_child("v-1", "p-1", "loc-2"), a_parent_deletion("p-1", "gold-1"), False),  # wherever they are
        (a_fetch("p-1", "gold-1"), a_parent_deletion("p-1", "gold-1"), False),
        (a_fetch("p-1", "gold-1"), a_child("v-1", "p-1"), False),
        (a_fetch("p-1", "gold-1"), a_fetch("p-1", "gold-1", attempt=2), False),
        (a_probe(number=1), a_probe(number=2), True),
        (a_probe(), an_initialization(), True),
        (a_blank("v-1"), an_initialization(), False),
        (a_blank("v-1"), a_blank("v-2"), True),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_what_may_be_in_flight_together(
    first: Operation, second: Operation, together: bool, reverse: bool
) -> None:
    one, two = (second, first) if reverse else (first, second)
    book = a_book(one)
    (start,) = book.take(LATER)
    book.ask(a_request(two), LATER)
    assert bool(book.take(2 * LATER)) is together
    end(book, start, 3 * LATER)
    assert together or [ids(later) for later in book.take(4 * LATER)] == [[two.id]]


def test_nobody_overtakes_what_waits_for_the_same_name() -> None:
    book = a_book(a_child("v-1", "p-1"))
    (start,) = book.take(LATER)
    book.ask(a_request(a_parent_deletion("p-1")), LATER)
    book.ask(a_request(a_child("v-2", "p-1")), LATER)
    assert book.take(2 * LATER) == []
    end(book, start, 3 * LATER)
    assert [ids(later) for later in book.take(4 * LATER)] == [["delete-p-1"]]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (a_probe(), an_initialization()),  # root works alone
        (a_blank("v-1"), a_deletion("v-2")),  # a cordoned host takes only one of them
    ],
)
def test_what_needs_another_kind_of_pod_goes_apart(one: Operation, two: Operation) -> None:
    book = a_book(one, two)
    assert [ids(start) for start in book.take(LATER)] == [[one.id], [two.id]]


def test_pools_with_other_tolerations_go_apart() -> None:
    book = a_book(a_blank("v-1"))
    book.ask(a_request(a_blank("v-2"), tolerations=({"key": "storage", "operator": "Exists"},)), 0.0)
    assert [len(start.requests) for start in book.take(LATER)] == [1, 1]
