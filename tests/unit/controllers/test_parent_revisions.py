"""What becomes of copies while a template has two revisions."""

from typing import Any

import pytest

from goldpool.controllers.parent import Observed, plan
from goldpool.dispatch.outcome import Running
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    a_location,
    a_parent,
    a_pinned_template,
    a_volume,
    ago,
)
from tests.unit.controllers.parents import observed
from tests.unit.controllers.reading import asked, field, is_ready, message, reason, settled

MOVED_ON = a_pinned_template(status={"revision": OTHER_REVISION, "refetches": 1})
REFETCHING = a_pinned_template(
    status={"refetch": {"token": "t1", "since": ago(60), "why": "its size was 1"}},
    spec={"source": {"url": "https://mirror.example/debian-12.qcow2", "refreshPolicy": "Refetch"}},
)
CHILD = a_volume(made=True)


def earlier(**more: Any) -> Obj:
    """Ready, of the revision before."""
    return a_parent(**more)


def later(**changes: Any) -> Observed:
    return observed(earlier(), template=MOVED_ON, **changes)


def test_a_copy_of_an_earlier_revision_stays_ready_for_its_children() -> None:
    found = plan(later(volumes=(CHILD,)))
    assert (field(found, "state"), is_ready(found)) == ("Ready", True)
    assert OTHER_REVISION in message(found)


def test_without_children_it_goes_at_once_though_its_pool_is_prepared() -> None:
    found = plan(later(prepared=True))
    assert (field(found, "state"), reason(found)) == ("Retiring", "Retiring")


def test_the_last_copy_of_a_revision_that_a_volume_names_stays() -> None:
    """The volume's own copy was lost with its location."""
    named = a_volume(made=True, status={"parent": "p-gone", "parentLocation": "golden-ssd.node-9"})
    assert field(plan(later(volumes=(named,))), "state") == "Ready"
    of_another = a_volume(made=True, status={"parent": "p-gone", "revision": "c" * 64})
    assert field(plan(later(volumes=(of_another,))), "state") == "Retiring"


def test_lost_under_its_children_it_is_fetched_as_what_they_were_made_over() -> None:
    missing = a_location("golden-ssd", status={"missing": ["debian-12-aaaaaaaa"], "inspectedTime": ago(1)})
    found = plan(later(volumes=(CHILD,), location_object=missing))
    assert reason(found) == "ParentLost"
    pending = earlier(status={"state": "Pending", "attempt": 2, "revision": REVISION, "publishedTime": None})
    again = plan(observed(pending, template=MOVED_ON, volumes=(CHILD,)))
    assert asked(again).revision == REVISION


@pytest.mark.parametrize("state", ["Pending", "Fetching", "Failed"])
def test_what_was_not_fetched_yet_is_called_off(state: str) -> None:
    begun = a_parent(spec={"revision": REVISION}, status={"state": state, "attempt": 1})
    waiting = a_volume()
    gone = plan(observed(begun, template=MOVED_ON, fetch=Running()))
    assert field(gone, "state") == "Retiring"
    held = plan(observed(begun, template=MOVED_ON, fetch=Running(), volumes=(waiting,)))
    assert (field(held, "state"), reason(held)) == ("Pending", "RevisionMismatch")
    assert held.effects == ()
    assert settled(held) == ["fetch/debian-12-aaaaaaaa/1"]


# -- the copy that brings a new revision


def candidate(state: str, token: str = "t1", **more: Any) -> Obj:
    return a_parent("p-new", spec={"refetch": token, "revision": ""}, status={"state": state} | more)


def test_it_is_fetched_whatever_is_served() -> None:
    found = plan(observed(candidate("Pending"), template=REFETCHING, prepared=False))
    assert asked(found).revision is None


def test_published_it_waits_to_become_the_revision() -> None:
    new = candidate("Published", revision=OTHER_REVISION)
    found = plan(observed(new, template=REFETCHING))
    assert (field(found, "state"), field(found, "failure")) == ("Published", None)
    ready = plan(observed(new, template=MOVED_ON))
    assert field(ready, "state") == "Ready"


def test_failed_it_is_not_given_up_though_nobody_else_waits_for_it() -> None:
    new = candidate("Failed", failure="SourceUnreachable", nextRetryTime=ago(-60))
    assert field(plan(observed(new, template=REFETCHING, prepared=False)), "state") == "Failed"


@pytest.mark.parametrize("state", ["Fetching", "Published", "Failed"])
def test_called_off_it_goes(state: str) -> None:
    known = {"revision": OTHER_REVISION} if state == "Published" else {}
    found = plan(observed(candidate(state, token="t0", **known), template=REFETCHING))
    assert field(found, "state") == "Retiring"


def test_it_gives_way_to_a_copy_of_the_same_bytes_that_was_there_before() -> None:
    twin = candidate("Ready", revision=REVISION)
    pinned = a_pinned_template()
    assert field(plan(observed(twin, template=pinned, copies=(a_parent(),))), "state") == "Retiring"
    elsewhere = a_parent(host="node-2")
    assert field(plan(observed(twin, template=pinned, copies=(elsewhere,))), "state") == "Ready"
    assert field(plan(observed(a_parent(), template=pinned, copies=(twin,))), "state") == "Ready"
