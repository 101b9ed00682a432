"""Conditions as kstatus reads them."""

from datetime import timedelta

import pytest

from goldpool.api.conditions import Condition, Reason
from goldpool.controllers.verdict import (
    Verdict,
    blocked,
    busy,
    conditions,
    good,
    moment,
    seconds_since,
    stalled,
    timestamp,
    waiting,
)
from tests.unit.controllers.builders import NOW, ago

LATER = NOW + timedelta(minutes=5)


def told(verdict: Verdict, previous: list[Condition] | None = None) -> dict[str, Condition]:
    found = conditions(verdict, previous=previous or [], generation=7, now=LATER)
    return {c.type: c for c in found}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (good(Reason.READY, "there"), {"Ready": "True"}),
        (busy(Reason.FETCHING, "half"), {"Ready": "False", "Reconciling": "True"}),
        (waiting(Reason.WAITING_FOR_CONSUMER, "for a machine"), {"Ready": "False"}),
        (stalled(Reason.SOURCE_INVALID, "wrong"), {"Ready": "False", "Stalled": "True"}),
        (blocked("1 volume"), {"Ready": "False", "Reconciling": "True", "DeletionBlocked": "True"}),
    ],
)
def test_reconciling_and_stalled_are_there_only_while_true_and_never_both(
    verdict: Verdict, expected: dict[str, str]
) -> None:
    assert {kind: str(c.status) for kind, c in told(verdict).items()} == expected


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    before = conditions(busy(Reason.FETCHING, "10 %"), previous=[], generation=1, now=NOW)
    after = told(busy(Reason.FETCH_FAILED, "refused"), before)
    assert after["Ready"].last_transition_time == timestamp(NOW)
    assert (after["Ready"].reason, after["Ready"].message) == ("FetchFailed", "refused")


def test_a_condition_that_turns_gets_a_new_time() -> None:
    before = conditions(busy(Reason.FETCHING, "10 %"), previous=[], generation=1, now=NOW)
    assert told(good(Reason.READY, "there"), before)["Ready"].last_transition_time == timestamp(LATER)


def test_every_condition_names_the_generation_it_is_about() -> None:
    assert {c.observed_generation for c in told(stalled(Reason.FAILED, "no")).values()} == {7}


@pytest.mark.parametrize(("length", "kept"), [(1024, 1024), (1025, 1024), (5000, 1024)])
def test_a_message_never_exceeds_what_the_schema_takes(length: int, kept: int) -> None:
    message = told(busy(Reason.FETCHING, "x" * length))["Ready"].message
    assert len(message) == kept
    assert message.endswith("…") is (length > 1024)


def test_times_are_whole_seconds_of_utc_and_read_back() -> None:
    assert timestamp(NOW.replace(microsecond=999_999)) == "2026-05-01T12:00:00Z"
    assert moment(timestamp(NOW)) == NOW


def test_what_never_happened_is_infinitely_long_ago() -> None:
    assert seconds_since(None, NOW) == float("inf")
    assert seconds_since(ago(90), NOW) == 90
