"""How a Parent is fetched, published and kept."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from goldpool.contracts.report import FailureReason, Fetched, Progress
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.parent import plan
from goldpool.dispatch.outcome import Failed, Outcome, Pending, Running, Succeeded
from goldpool.engine.plan import Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    NOW,
    OTHER_REVISION,
    REVISION,
    a_location,
    a_parent,
    a_pinned_template,
    a_template,
    a_volume,
    ago,
)
from tests.unit.controllers.parents import observed
from tests.unit.controllers.reading import (
    asked,
    field,
    is_ready,
    is_stalled,
    message,
    names,
    only,
    reason,
    settled,
)

FETCHED = Fetched(
    revision=REVISION, file_bytes=1 << 30, virtual_bytes=2 << 30, mirror="https://mirror.example/a"
)
REFUSED = Failed(FailureReason.SOURCE_REFUSED, "404 from the mirror", permanent=False)
WRONG = Failed(FailureReason.CHECKSUM_MISMATCH, "sha256 is another", permanent=True)
NEW = {"state": None, "revision": None}


def new(**status: Any) -> Obj:
    return a_parent(status={"state": "Pending", "attempt": None} | status)


def fetching(outcome: Outcome | None = None, **status: Any) -> Any:
    return observed(a_parent(status={"state": "Fetching", "attempt": 1} | status), fetch=outcome)


def failed(**status: Any) -> Obj:
    last = {"state": "Failed", "attempt": 1, "failures": 1, "failure": "SourceRefused"}
    return a_parent(status=last | status)


def test_the_finalizer_comes_before_the_first_operation() -> None:
    assert names(plan(observed(a_parent(finalizers=[], status={"state": "Pending"})))) == ["AddFinalizer"]


def test_a_new_copy_is_fetched_to_its_location() -> None:
    template = a_template(spec={"checksum": "{SHA-256}" + "C" * 64})
    parent = a_parent(status={"state": "Pending"})
    found = plan(observed(parent, template=template, source_hash=parent["spec"]["sourceHash"]))
    fetch = asked(found)
    assert (fetch.kind, fetch.parent, fetch.location) == ("Fetch", "debian-12-aaaaaaaa", "golden-ssd.node-1")
    assert fetch.source.urls == ("https://mirror.example/debian-12.qcow2",)
    assert (fetch.checksums[0].algorithm, fetch.checksums[0].hex) == ("sha256", "c" * 64)
    assert (fetch.revision, fetch.template_uid) == (None, "uid-debian-12")
    assert (field(found, "state"), field(found, "attempt"), field(found, "fetchedOn")) == (
        "Fetching",
        1,
        "node-1",
    )


def test_a_known_revision_binds_every_further_copy() -> None:
    assert asked(plan(observed(new(), template=a_pinned_template()))).revision == REVISION


@pytest.mark.parametrize("obstacle", [{"host": None}, {"location_ready": False}, {"mount": None}])
def test_nothing_is_asked_of_a_location_that_is_not_ready(obstacle: dict[str, Any]) -> None:
    found = plan(observed(new(), **obstacle))
    assert (found.effects, reason(found), field(found, "state")) == ((), "WaitingForHost", "Pending")


def test_an_unanswered_fetch_is_asked_for_again_and_that_is_asking_once() -> None:
    assert asked(plan(fetching(Pending()))).id == asked(plan(fetching(None))).id


def test_a_running_fetch_shows_its_progress() -> None:
    progress = Progress(done_bytes=256 << 20, total_bytes=1 << 30, mirror="https://mirror.example/a")
    found = plan(fetching(Running(progress)))
    assert found.effects == ()
    assert (field(found, "progress"), field(found, "done"), field(found, "expected")) == (
        "25%",
        "256Mi",
        "1Gi",
    )
    assert field(plan(fetching(Running())), "progress") is None


def test_what_is_known_of_a_transfer_stays_until_more_is_known() -> None:
    """A new leader has not read the pod's log yet."""
    found = plan(fetching(Running(), progress="25%", done=256 << 20))
    assert (field(found, "progress"), field(found, "done")) == ("25%", "256Mi")


@pytest.mark.parametrize(
    "outcome", [Failed(FailureReason.SOURCE_REFUSED, "404", False), Succeeded(fetched=FETCHED)]
)
def test_nothing_goes_on_at_a_rate_after_the_transfer(outcome: Failed | Succeeded) -> None:
    found = plan(fetching(outcome, rate=1000, eta="3s"))
    assert (field(found, "rate"), field(found, "eta")) == (None, None)


def test_what_was_fetched_is_published_but_not_ready_before_the_template_says_so() -> None:
    found = plan(fetching(Succeeded(fetched=FETCHED)))
    assert (field(found, "state"), field(found, "revision")) == ("Published", REVISION)
    assert (field(found, "size"), field(found, "virtualSize"), field(found, "publishedTime")) == (
        "1Gi",
        "2Gi",
        ago(0),
    )
    assert not is_ready(found)
    assert settled(found) == ["fetch/debian-12-aaaaaaaa/1"]


def test_a_success_that_brought_nothing_is_another_attempt() -> None:
    found = plan(fetching(Succeeded()))
    assert (field(found, "state"), field(found, "attempt"), found.again_after) == ("Pending", 2, 0)
    assert settled(found) == ["fetch/debian-12-aaaaaaaa/1"]


@pytest.mark.parametrize(
    ("pinned", "state", "ready"),
    [(None, "Published", False), (REVISION, "Ready", True), (OTHER_REVISION, "Failed", False)],
)
def test_only_the_templates_revision_is_ready(pinned: str | None, state: str, ready: bool) -> None:
    template = a_pinned_template(status={"revision": pinned})
    found = plan(observed(a_parent(status={"state": "Published"}), template=template))
    assert (field(found, "state"), is_ready(found)) == (state, ready)
    assert is_stalled(found) is (state == "Failed")


def test_a_copy_of_other_bytes_says_so_and_stays_failed() -> None:
    other = a_pinned_template(status={"revision": OTHER_REVISION})
    found = plan(observed(a_parent(status={"state": "Published"}), template=other))
    assert (reason(found), field(found, "failure"), field(found, "permanent")) == (
        "RevisionMismatch", "RevisionMismatch", True,
    )  # fmt: skip
    still = a_parent(status={"state": "Failed", "failure": "RevisionMismatch", "permanent": True})
    assert field(plan(observed(still, template=other)), "state") == "Failed"


# -- failures


def test_a_transient_failure_is_tried_again_at_a_time() -> None:
    found = plan(fetching(REFUSED))
    assert (field(found, "state"), field(found, "failures"), field(found, "failure")) == (
        "Failed",
        1,
        "SourceRefused",
    )
    assert (reason(found), message(found), is_stalled(found)) == ("FetchFailed", "404 from the mirror", False)
    assert field(found, "nextRetryTime") is not None
    assert found.again_after is not None
    assert (only(found, Record).reason, settled(found)) == ("SourceRefused", ["fetch/debian-12-aaaaaaaa/1"])


def test_pauses_grow_up_to_a_cap() -> None:
    pauses = [plan(fetching(REFUSED, failures=n)).again_after or 0 for n in (0, 1, 2, 20)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[2]
    assert pauses[3] <= 600 + 1


def test_a_permanent_failure_stalls_and_is_never_tried_again() -> None:
    found = plan(fetching(WRONG))
    assert (reason(found), is_stalled(found), field(found, "permanent")) == ("SourceInvalid", True, True)
    assert (found.again_after, field(found, "nextRetryTime")) == (None, None)
    later = observed(failed(permanent=True), now=NOW + timedelta(days=30))
    assert (plan(later).effects, field(plan(later), "state")) == ((), "Failed")


@pytest.mark.parametrize(
    ("due_in", "state"), [(60, "Failed"), (1, "Failed"), (0, "Pending"), (-60, "Pending")]
)
def test_the_next_attempt_waits_for_its_time(due_in: int, state: str) -> None:
    found = plan(observed(failed(nextRetryTime=ago(-due_in))))
    assert field(found, "state") == state
    assert found.again_after == max(due_in, 0)
    assert field(found, "attempt") == (2 if state == "Pending" else 1)


def test_an_edit_of_the_template_tries_at_once() -> None:
    """Of its Secret, say: the source itself is another copy."""
    failure = Failed(FailureReason.SECRET_MISSING, "no Secret", permanent=False)
    at_work = a_parent(status={"state": "Fetching"})
    first = plan(observed(at_work, fetch=failure, template=a_pinned_template(generation=3)))
    assert (field(first, "state"), field(first, "failedGeneration")) == ("Failed", 3)
    for status in ({"permanent": True}, {"nextRetryTime": ago(-60)}):
        parent = failed(**status, failedGeneration=3)
        same, edited = (observed(parent, template=a_pinned_template(generation=n)) for n in (3, 4))
        assert field(plan(same), "state") == "Failed"
        assert (field(plan(edited), "state"), field(plan(edited), "attempt")) == ("Pending", 2)
        assert field(plan(edited), "failedGeneration") is None


@pytest.mark.parametrize("status", [{"nextRetryTime": ago(-60)}, {"permanent": True}])
def test_a_new_value_of_the_retry_annotation_tries_at_once(status: Obj) -> None:
    template = a_template(annotations={RETRY_ANNOTATION: "2"})
    found = plan(observed(failed(**status), template=template))
    assert (field(found, "state"), field(found, "attempt"), field(found, "retry")) == ("Pending", 2, "2")
    assert (field(found, "failures"), field(found, "permanent")) == (None, None)


@pytest.mark.parametrize("failure", [REFUSED, WRONG])
@pytest.mark.parametrize(("heeded", "at_once"), [("1", True), ("2", False)])
def test_one_that_was_set_while_the_fetch_went_on_is_heard_when_that_has_failed(
    failure: Failed, heeded: str, at_once: bool
) -> None:
    """Nothing else would bring the next pass of a failure that is final."""
    at_work = a_parent(status={"state": "Fetching", "retry": heeded})
    template = a_template(annotations={RETRY_ANNOTATION: "2"})
    found = plan(observed(at_work, fetch=failure, template=template))
    assert field(found, "state") == "Failed"
    assert (found.again_after == 0) is at_once


def test_a_value_that_was_acted_on_is_not_acted_on_again() -> None:
    template = a_template(annotations={RETRY_ANNOTATION: "2"})
    assert field(plan(observed(failed(permanent=True, retry="2"), template=template)), "state") == "Failed"


def test_another_host_of_a_shared_pool_takes_the_next_turn() -> None:
    found = plan(observed(a_parent(host="", status={"state": "Pending", "attempt": 2}), host="node-2"))
    assert (asked(found).id, field(found, "fetchedOn")) == ("fetch/debian-12-aaaaaaaa/2", "node-2")


# -- kept


def test_a_copy_in_use_is_kept_and_counts_its_users() -> None:
    found = plan(observed(volumes=(a_volume(made=True),), prepared=False))
    assert (field(found, "state"), field(found, "children"), field(found, "unusedSince")) == (
        "Ready",
        1,
        None,
    )
    assert (found.effects, found.again_after) == ((), None)


def test_an_unused_copy_remembers_since_when() -> None:
    found = plan(observed(prepared=False))
    assert (field(found, "state"), field(found, "unusedSince"), found.again_after) == ("Ready", ago(0), 3600)


MISMATCH = {"state": "Failed", "failure": "RevisionMismatch", "permanent": True, "revision": OTHER_REVISION}


@pytest.mark.parametrize(
    ("unused_since", "wanted", "recorded", "again_after"),
    [
        (None, False, ago(0), 3600),
        (ago(600), False, ago(600), 3000),
        (ago(600), True, None, None),
    ],
)
def test_a_copy_of_another_revision_is_kept_for_its_retention_too(
    unused_since: str | None, wanted: bool, recorded: str | None, again_after: float | None
) -> None:
    parent = a_parent(status=MISMATCH | {"unusedSince": unused_since})
    template = a_pinned_template(spec={"prepare": {"pools": ["golden-ssd"] if wanted else []}})
    found = plan(observed(parent, template=template, prepared=wanted))
    assert (field(found, "state"), field(found, "unusedSince")) == ("Failed", recorded)
    assert (found.effects, found.again_after) == ((), again_after)


def test_a_use_in_between_starts_the_time_anew() -> None:
    found = plan(
        observed(a_parent(status={"unusedSince": ago(3000)}), volumes=(a_volume(made=True),), prepared=False)
    )
    assert field(found, "unusedSince") is None


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("Published", Succeeded(fetched=FETCHED)), ("Ready", Succeeded(fetched=FETCHED)), ("Failed", REFUSED)],
)
def test_what_was_recorded_by_an_operator_that_died_then_is_settled_by_the_next(
    state: str, outcome: Outcome
) -> None:
    later = ago(-60)
    copy = a_parent(status={"state": state, "attempt": 2, "nextRetryTime": later})
    assert settled(plan(observed(copy, fetch=outcome))) == ["fetch/debian-12-aaaaaaaa/2"]
    assert settled(plan(observed(copy))) == []


def test_a_settled_copy_needs_nothing_more() -> None:
    kept = plan(observed(a_parent(status={"unusedSince": ago(60)}), prepared=False))
    assert (kept.effects, kept.again_after, field(kept, "unusedSince")) == ((), 3540, ago(60))


# -- lost


def seen(missing: list[str], at: float = 60) -> Obj:
    return a_location("golden-ssd", status={"missing": missing, "inspectedTime": ago(at)})


LOST = seen(["debian-12-aaaaaaaa"])
CHILD = a_volume(made=True)


def test_a_copy_that_is_not_there_any_more_is_fetched_again_for_its_children_under_its_name() -> None:
    found = plan(observed(volumes=[CHILD], location_object=LOST, prepared=False))
    assert (field(found, "state"), field(found, "attempt")) == ("Pending", 2)
    assert (reason(found), field(found, "revision")) == ("ParentLost", REVISION)
    assert only(found, Record).reason == "ParentLost"
    again = a_parent(status=found.status | {"state": "Pending"} if found.status else {})
    fetch = asked(plan(observed(again, volumes=[CHILD], location_object=LOST, prepared=False)))
    assert (fetch.parent, fetch.revision) == ("debian-12-aaaaaaaa", REVISION)


def test_a_lost_copy_that_is_wanted_ahead_is_fetched_again_too() -> None:
    assert field(plan(observed(location_object=LOST, prepared=True)), "state") == "Pending"


def test_nobody_fetches_again_what_nobody_needs() -> None:
    found = plan(observed(location_object=LOST, prepared=False))
    assert field(found, "state") == "Retiring"


@pytest.mark.parametrize(
    "location",
    [seen([]), seen(["another"]), seen(["debian-12-aaaaaaaa"], at=900)],
    ids=["nothing is missing", "another is", "published since then"],
)
def test_a_copy_that_was_not_missed_stays(location: Obj) -> None:
    found = plan(observed(volumes=[CHILD], location_object=location))
    assert (field(found, "state"), reason(found)) == ("Ready", "Ready")


def test_without_its_template_a_lost_copy_can_only_say_so() -> None:
    found = plan(replace(observed(volumes=[CHILD], location_object=LOST), template=None))
    assert (reason(found), found.effects) == ("ParentLost", ())
