"""When a Parent should go, and how: marked first, everybody asked, bytes next, the object last."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.references import Blocker
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import REMOVING_ANNOTATION
from goldpool.controllers.parent import plan
from goldpool.controllers.world import left_behind
from goldpool.dispatch.outcome import Failed, Pending, Running, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Delete, Patch, RemoveFinalizer
from goldpool.kube.port import Obj
from goldpool.planning.references import Users
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    a_golden_pool,
    a_location,
    a_parent,
    a_pinned_template,
    a_pod,
    a_volume,
    ago,
)
from tests.unit.controllers.parents import observed
from tests.unit.controllers.reading import (
    asked,
    condition,
    effects_of,
    field,
    message,
    names,
    only,
    reason,
    settled,
)

LOST = Failed(FailureReason.LOST, "the Job was killed", permanent=False)
USER = a_volume(made=True)
A_POD = Users((Blocker(kind="Pod", name="web-1-pod"),), 1)

REASONS: dict[str, dict[str, Any]] = {
    "deletion was asked for": {"parent": a_parent(deleting=True)},
    "the template is gone": {"template": None},
    "the template is being deleted": {"template": a_pinned_template(deleting=True)},
    "the pool is being deleted": {"pool_object": a_golden_pool(deleting=True)},
    "the location is being deleted": {"location_object": a_location("golden-ssd", deleting=True)},
    "the source has changed": {"source_hash": "another"},
    "the template has another revision": {"template": a_pinned_template(status={"revision": OTHER_REVISION})},
    "nobody waits for a failed fetch": {"parent": a_parent(status={"state": "Failed"}), "prepared": False},
    "other bytes that nobody asked for during its retention": {
        "parent": a_parent(
            status={
                "state": "Failed",
                "failure": "RevisionMismatch",
                "permanent": True,
                "revision": OTHER_REVISION,
                "unusedSince": ago(3600),
            }
        ),
        "prepared": False,
    },
    "unused for its retention": {"parent": a_parent(status={"unusedSince": ago(3600)}), "prepared": False},
    "a fallback that nobody uses": {
        "parent": a_parent(spec={"fallback": True}, status={"unusedSince": ago(0)}),
        "prepared": False,
    },
}


GIVEN_UP = {"goldpool.io/abandon": "node-1"}


@pytest.mark.parametrize(
    ("parent", "location", "reachable", "given_up"),
    [
        (GIVEN_UP, {}, False, True),
        ({}, GIVEN_UP, False, True),
        ({}, {}, False, False),
        ({"goldpool.io/abandon": "node-2"}, {}, False, False),
        (GIVEN_UP, GIVEN_UP, True, False),
    ],
    ids=["itself", "with its location", "merely away", "another host", "its host answers"],
)
def test_a_copy_on_a_host_that_was_given_up_goes_without_it(
    parent: Obj, location: Obj, reachable: bool, given_up: bool
) -> None:
    where: dict[str, Any] = {
        "location_object": a_location("golden-ssd", ready=reachable, annotations=location),
        "host": "node-1" if reachable else None,
        "location_ready": reachable,
    }
    marked = plan(observed(a_parent(annotations=parent), **where))
    assert field(marked, "state") == ("Retiring" if given_up else "Ready")
    retiring = plan(observed(a_parent(status={"state": "Retiring"}, annotations=parent), **where))
    assert bool(effects_of(retiring, RemoveFinalizer)) is given_up


def test_a_copy_on_a_host_that_was_given_up_stays_while_it_has_children() -> None:
    found = plan(observed(a_parent(annotations=GIVEN_UP), volumes=[USER], host=None, location_ready=False))
    assert (field(found, "state"), found.effects) == ("Ready", ())


@pytest.mark.parametrize(
    ("pod", "is_left"),
    [
        (a_pod(), False),
        (a_pod(finalizers=[]), False),
        (a_pod(deleting=True), False),
        (a_pod(deleting=True, finalizers=[]), True),
    ],
    ids=["runs", "without the finalizer", "going", "released"],
)
def test_a_pod_that_only_a_lost_kubelet_could_take_away_is_no_witness(pod: Obj, is_left: bool) -> None:
    assert left_behind(pod) is is_left


def with_reason(why: str, **changes: Any) -> Any:
    found = {"parent": a_parent()} | REASONS[why] | changes
    o = observed(found.pop("parent"), **{k: v for k, v in found.items() if v is not None})
    return replace(o, template=None) if "template" in found and found["template"] is None else o


@pytest.mark.parametrize("why", REASONS)
def test_a_copy_without_a_purpose_is_marked_before_anything_is_removed(why: str) -> None:
    found = plan(with_reason(why))
    assert found.effects == ()
    assert (field(found, "state"), found.again_after) == ("Retiring", 0)


@pytest.mark.parametrize("why", [w for w in REASONS if w != "unused for its retention"])
def test_nothing_goes_while_a_volume_uses_it(why: str) -> None:
    found = plan(with_reason(why, volumes=(USER,)))
    assert effects_of(found, Delete) == []
    assert field(found, "state") != "Retiring"


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ({"unusedSince": ago(3599)}, {"prepared": False}),
        ({}, {"prepared": False}),
        ({"unusedSince": ago(9999)}, {"prepared": True}),
        ({"unusedSince": ago(9999)}, {"prepared": False, "volumes": (a_volume(),)}),
        ({"state": "Failed", "permanent": True}, {"prepared": False}),
    ],
    ids=["retained", "only now unused", "wanted ahead", "waited for", "a permanent failure is evidence"],
)
def test_a_copy_with_a_purpose_stays(status: Obj, changes: dict[str, Any]) -> None:
    changes.setdefault(
        "template",
        a_pinned_template(spec={"prepare": {"pools": ["golden-ssd"]}} if changes["prepared"] else {}),
    )
    assert field(plan(observed(a_parent(status=status), **changes)), "state") != "Retiring"


def test_the_last_copy_of_a_revision_that_a_volume_names_stays() -> None:
    orphan = a_volume(made=True, status={"parent": "a-copy-on-a-lost-host"}, spec={"placement": None})
    parent = a_parent(status={"unusedSince": ago(9999)})
    alone = plan(observed(parent, volumes=(orphan,), prepared=False))
    assert field(alone, "state") == "Ready"
    two = plan(observed(parent, volumes=(orphan,), copies=(a_parent("a-smaller-name"),), prepared=False))
    assert field(two, "state") == "Retiring"


# -- marked: everybody is asked


def retiring(parent: Obj | None = None, **changes: Any) -> Any:
    """The template is being deleted."""
    parent = parent or a_parent(status={"state": "Retiring"})
    return observed(parent, **({"template": a_pinned_template(deleting=True)} | changes))


LOST_THERE = a_location("golden-ssd", status={"missing": ["debian-12-aaaaaaaa"], "inspectedTime": ago(1)})
UNDECIDED = a_pinned_template(deleting=True, status={"revision": None})


@pytest.mark.parametrize(
    ("status", "changes", "back"),
    [
        ({}, {}, "Ready"),
        ({}, {"template": a_pinned_template(deleting=True, status={"revision": OTHER_REVISION})}, "Ready"),
        ({"revision": None, "publishedTime": None}, {}, "Pending"),
        ({"publishedTime": None}, {}, "Pending"),
        ({}, {"location_object": LOST_THERE}, "Published"),
        ({}, {"template": UNDECIDED}, "Published"),
        ({"revision": OTHER_REVISION, "failure": "RevisionMismatch", "permanent": True}, {}, "Published"),
    ],
    ids=[
        "ready",
        "of an earlier revision",
        "not fetched yet",
        "to be fetched again under its children",
        "missing at its location",
        "of no revision yet",
        "of other bytes than the template's",
    ],
)
def test_one_witness_and_the_copy_is_kept_as_what_it_was(
    status: Obj, changes: dict[str, Any], back: str
) -> None:
    """Ready only if it was: nobody may be made over bytes that are not there, or not the template's."""
    found = plan(retiring(a_parent(status={"state": "Retiring"} | status), users=A_POD, **changes))
    assert (found.effects, field(found, "state")) == ((), back)
    assert "Pod web-1-pod" in message(found)
    assert found.again_after is not None


def test_a_witness_of_a_deleted_copy_is_named_as_its_blocker() -> None:
    found = plan(retiring(a_parent(status={"state": "Retiring"}, deleting=True), users=A_POD))
    assert condition(found, "DeletionBlocked") is not None
    assert field(found, "blockersTotal") == 1


def doomed(**changes: Any) -> Any:
    """Nobody was found, and that was written down."""
    marked = a_parent(status={"state": "Retiring"}, annotations={REMOVING_ANNOTATION: "true"})
    return retiring(marked, **changes)


def test_that_nobody_was_found_is_written_down_before_the_removal_is_asked_for() -> None:
    found = plan(retiring())
    mark = only(found, Patch)
    assert names(found) == ["Patch"]
    assert (mark.resource_version, mark.patch) == (
        "1",
        {"metadata": {"annotations": {REMOVING_ANNOTATION: "true"}}},
    )
    assert found.again_after == 0


def test_then_the_bytes_are_removed() -> None:
    found = plan(doomed())
    assert (asked(found).kind, asked(found).parent) == ("DeleteParent", "debian-12-aaaaaaaa")
    assert (reason(found), field(found, "state")) == ("Retiring", "Retiring")


@pytest.mark.parametrize("outcome", [None, Pending(), Running()])
def test_once_asked_for_the_removal_goes_on_whoever_comes(outcome: Pending | Running | None) -> None:
    """Also after a Job that was lost, or a restart: the bytes may be gone. Who names the copy now reads it afresh, sees
    that it retires, and takes another."""
    found = plan(doomed(removal=outcome, users=A_POD))
    assert (asked(found).kind, field(found, "state")) == ("DeleteParent", "Retiring")


@pytest.mark.parametrize("fetch", [Pending(), Running()])
def test_a_transfer_under_way_is_called_off(fetch: Pending | Running) -> None:
    unwanted = a_parent(status={"state": "Fetching", "revision": None})
    found = plan(observed(unwanted, template=a_pinned_template(deleting=True), fetch=fetch))
    assert (field(found, "state"), settled(found)) == ("Retiring", ["fetch/debian-12-aaaaaaaa/1"])


def test_only_when_the_bytes_are_gone_does_the_object_go() -> None:
    found = plan(doomed(removal=Succeeded()))
    assert names(found) == ["RemoveFinalizer", "Delete"]
    assert only(found, Delete).uid == "uid-debian-12-aaaaaaaa"
    assert settled(found) == ["delete-parent/debian-12-aaaaaaaa"]


def test_a_failed_removal_is_repeated() -> None:
    found = plan(doomed(removal=LOST))
    assert (found.effects, field(found, "state"), reason(found)) == ((), "Retiring", "OperationFailed")
    assert settled(found) == ["delete-parent/debian-12-aaaaaaaa"]
    assert found.again_after is not None


@pytest.mark.parametrize("gone", [{"location": None}, {"pool": None}, {"node_known": False}])
def test_a_place_that_is_gone_for_good_takes_the_object_with_it(gone: dict[str, Any]) -> None:
    found = plan(retiring(**gone))
    assert effects_of(found, RemoveFinalizer)
    assert not effects_of(found, Ask)


def test_a_host_that_is_merely_away_is_waited_for() -> None:
    found = plan(retiring(host=None))
    assert (found.effects, reason(found)) == ((), "WaitingForHost")


def test_between_its_finalizer_and_its_deletion_it_is_not_taken_up_again() -> None:
    found = plan(retiring(a_parent(status={"state": "Retiring"}, finalizers=[])))
    assert names(found) == ["Delete"]
    assert plan(retiring(a_parent(status={"state": "Retiring"}, finalizers=[], deleting=True))).effects == ()
