"""How a Volume is bound and its disk made."""

from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.template import Template
from goldpool.controllers.landscape import Bind
from goldpool.controllers.volume import plan
from goldpool.dispatch.outcome import Outcome, Pending, Running, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    GIB,
    OTHER_REVISION,
    REVISION,
    a_blank_volume,
    a_condition,
    a_location,
    a_parent,
    a_pinned_template,
    a_volume,
    ago,
)
from tests.unit.controllers.reading import (
    asked,
    effects_of,
    field,
    is_ready,
    is_reconciling,
    is_stalled,
    message,
    names,
    only,
    reason,
    settled,
)
from tests.unit.controllers.volumes import DIRECT, FULL, HERE, NAMED, NOWHERE, TAKEN, a_place, observed


def test_the_finalizer_comes_before_everything_else() -> None:
    assert names(plan(observed(a_volume(bound=False, finalizers=[])))) == ["AddFinalizer"]


def test_the_finalizer_comes_with_the_binding_in_one_write() -> None:
    found = plan(observed(a_volume(bound=False, finalizers=["other/one"], version="77"), direct=DIRECT))
    patch = only(found, Bind).patch
    assert patch.patch["metadata"] == {"finalizers": ["other/one", "goldpool.io/protected"]}
    assert (patch.resource_version, names(found)) == ("77", ["Bind"])
    again = plan(observed(a_volume(bound=False), direct=DIRECT))
    assert "metadata" not in only(again, Bind).patch.patch


# -- the binding


def test_without_a_place_of_its_own_a_volume_waits_for_its_first_machine() -> None:
    found = plan(observed(a_volume(bound=False)))
    assert (found.effects, reason(found)) == ((), "WaitingForFirstConsumer")
    assert not is_ready(found)
    assert not is_reconciling(found)


@pytest.mark.parametrize(("age", "says"), [(0, None), (2, None), (3, "WaitingForFirstConsumer")])
def test_made_for_a_machine_it_leaves_its_first_write_to_that_machine(age: int, says: str | None) -> None:
    volume = a_volume(bound=False, annotations={"goldpool.io/made-for": "uid-web-1"}, created=ago(age))
    found = plan(observed(volume))
    assert found.effects == ()
    assert (found.status and reason(found), found.again_after) == (says, None if says else 3 - age)


def test_with_pool_and_host_given_it_is_bound_at_once_by_one_guarded_write() -> None:
    found = plan(observed(a_volume(bound=False, version="77"), direct=DIRECT))
    patch = only(found, Bind).patch
    assert patch.resource_version == "77"
    assert patch.patch["spec"] == {
        "placement": {
            "pool": "std-a",
            "host": "node-1",
            "parentPool": "golden-ssd",
            "volumeUID": "uid-web-1-root",
        },
        "storageID": "v-freshtok",
    }


def test_without_its_template_a_volume_is_not_bound() -> None:
    found = plan(observed(a_volume(bound=False), template=None))
    assert (found.effects, reason(found)) == ((), "TemplateNotFound")


def test_a_wish_that_nothing_fits_is_explained() -> None:
    found = plan(observed(a_volume(bound=False), direct=NOWHERE))
    assert (found.effects, reason(found), message(found)) == ((), "NotPlaceable", NOWHERE.sentence())


# -- the parent


def test_a_child_waits_for_its_parent() -> None:
    found = plan(observed())
    assert (found.effects, reason(found), field(found, "phase")) == (
        (),
        "WaitingForParent",
        "WaitingForParent",
    )
    assert (field(found, "location"), field(found, "parentLocation")) == ("std-a.node-1", "golden-ssd.node-1")


@pytest.mark.parametrize(
    "parent",
    [
        a_parent(status={"state": "Fetching"}),
        a_parent(status={"state": "Published"}),
        a_parent(status={"state": "Retiring"}),
        a_parent(deleting=True),
        a_parent(status={"revision": OTHER_REVISION}),
    ],
    ids=["fetching", "published", "retiring", "deleted", "of another revision"],
)
def test_only_a_ready_copy_of_the_templates_revision_becomes_a_parent(parent: Obj) -> None:
    found = plan(observed(candidates=[parent]))
    assert (found.effects, field(found, "parent")) == ((), None)


def test_the_parent_is_named_before_anything_is_made_of_it() -> None:
    found = plan(observed(candidates=[a_parent()]))
    assert (found.effects, found.again_after) == ((), 0)
    assert (field(found, "parent"), field(found, "revision")) == ("debian-12-aaaaaaaa", REVISION)


def test_then_it_is_read_afresh_and_the_child_made() -> None:
    child = asked(plan(observed(a_volume(status=NAMED), fresh=a_parent())))
    assert (child.kind, child.storage_id, child.parent) == ("CreateChild", "v-aaaaaaaa", "debian-12-aaaaaaaa")
    assert (child.parent_location, child.revision) == ("golden-ssd.node-1", REVISION)
    assert (child.virtual_bytes, child.parent_virtual_bytes) == (20 * GIB, 2 * GIB)
    assert (child.owner.uid, child.id) == ("uid-web-1-root", "create/v-aaaaaaaa/0")


@pytest.mark.parametrize(
    "fresh",
    [
        None,
        a_parent(status={"state": "Retiring"}),
        a_parent(deleting=True),
        a_parent(status={"revision": OTHER_REVISION}),
        a_parent(status={"state": "Failed", "revision": REVISION}),
    ],
    ids=["gone", "retiring", "deleted", "of another revision", "failed"],
)
def test_a_parent_that_is_going_is_let_go_though_the_cache_says_it_is_ready(fresh: Obj | None) -> None:
    found = plan(observed(a_volume(status=NAMED), candidates=[a_parent()], fresh=fresh))
    assert effects_of(found, Ask) == []
    assert (field(found, "parent"), field(found, "revision"), reason(found)) == (
        None,
        None,
        "WaitingForParent",
    )


@pytest.mark.parametrize("creation", [Pending(), Running()])
@pytest.mark.parametrize("fresh", [None, a_parent(deleting=True), a_parent(status={"state": "Failed"})])
def test_but_not_while_a_disk_over_it_may_be_made(creation: Outcome, fresh: Obj | None) -> None:
    """What succeeds a moment later lies over this parent; a volume that names none would be no child."""
    found = plan(observed(a_volume(status=NAMED), candidates=[a_parent()], fresh=fresh, creation=creation))
    assert (field(found, "parent"), field(found, "revision")) == (NAMED["parent"], NAMED["revision"])
    assert reason(found) == "Creating"


def test_nor_once_a_disk_was_asked_for_while_its_bytes_are_there() -> None:
    """The first try may have been lost and have made the disk all the same. The deletion waits for the volume."""
    again = a_volume(status=NAMED | {"attempts": 1})
    assert asked(plan(observed(again, fresh=a_parent(deleting=True)))).parent == NAMED["parent"]


def test_a_volume_without_a_size_takes_its_templates() -> None:
    small = a_volume(spec={"size": None}, status=NAMED)
    assert asked(plan(observed(small, fresh=a_parent()))).virtual_bytes == 2 * GIB
    assert field(plan(observed(small, fresh=a_parent(), creation=Succeeded())), "capacity") == "2Gi"


def test_a_disk_smaller_than_its_template_is_refused() -> None:
    found = plan(observed(a_volume(spec={"size": "1Gi"}, status=NAMED), fresh=a_parent()))
    assert (found.effects, reason(found), is_stalled(found)) == ((), "SizeTooSmall", True)
    assert "1Gi" in message(found)
    assert "2Gi" in message(found)


def stalled_template() -> Template:
    return Template.read(
        a_pinned_template(status={"conditions": [a_condition("Stalled", message="bad checksum")]})
    )


@pytest.mark.parametrize(
    ("changes", "expected", "failure", "stalled"),
    [
        ({"template": None}, "TemplateNotFound", None, False),
        ({"template": stalled_template()}, "TemplateFailed", "TemplateFailed", True),
        ({"candidates": [a_parent(status={"state": "Failed"})]}, "ParentFailed", "ParentFailed", False),
    ],
)
def test_a_parent_that_cannot_come_is_told(
    changes: Any, expected: str, failure: str | None, stalled: bool
) -> None:
    found = plan(observed(**changes))
    assert (found.effects, reason(found), is_stalled(found)) == ((), expected, stalled)
    assert field(found, "failure") == failure


def test_a_template_that_is_deleted_makes_no_new_children() -> None:
    going = Template.read(a_pinned_template(deleting=True))
    found = plan(observed(template=going))
    assert (found.effects, reason(found)) == ((), "TemplateDeleting")


# -- the disk


@pytest.mark.parametrize("outcome", [None, Pending(), Running()])
def test_an_empty_disk_needs_no_parent(outcome: Any) -> None:
    blank = asked(plan(observed(a_blank_volume(), creation=outcome)))
    assert (blank.kind, blank.virtual_bytes, blank.storage_id) == ("CreateBlank", 20 * GIB, "v-aaaaaaaa")


def test_a_host_that_is_not_ready_is_waited_for() -> None:
    found = plan(observed(a_blank_volume(), place=a_place(host=None)))
    assert (found.effects, reason(found)) == ((), "WaitingForHost")


def test_success_is_recorded_before_it_is_settled() -> None:
    found = plan(
        observed(a_volume(status=NAMED | {"failure": "IOError"}), fresh=a_parent(), creation=Succeeded())
    )
    assert (field(found, "createdTime"), field(found, "capacity"), field(found, "failure")) == (
        ago(0),
        "20Gi",
        None,
    )
    assert (is_ready(found), settled(found)) == (True, ["create/v-aaaaaaaa/0"])


def test_a_transient_failure_is_told_and_tried_again_as_another_attempt() -> None:
    found = plan(observed(a_blank_volume(status=HERE), creation=FULL))
    assert (field(found, "failure"), field(found, "attempts"), message(found)) == (
        "PoolFull",
        1,
        FULL.message,
    )
    assert (only(found, Record).reason, settled(found)) == ("PoolFull", ["create/v-aaaaaaaa/0"])
    assert found.again_after is not None
    assert not is_stalled(found)
    assert asked(plan(observed(a_blank_volume(status=HERE | {"attempts": 1})))).id == "create/v-aaaaaaaa/1"


def test_a_permanent_failure_stalls() -> None:
    found = plan(observed(a_blank_volume(status=HERE), creation=TAKEN))
    assert (is_stalled(found), field(found, "failure"), found.again_after) == (True, "VolumeConflict", None)


def test_and_stays_stalled_whatever_wakes_the_volume() -> None:
    failed = plan(observed(a_blank_volume(status=HERE), creation=TAKEN))
    assert failed.status is not None
    after = plan(observed(a_blank_volume(status=failed.status)))
    assert (after.effects, is_stalled(after), field(after, "failure")) == ((), True, "VolumeConflict")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"creation": FULL},
        {"candidates": [a_parent(status={"state": "Failed"})]},
        {"template": None},
        {"place": None},
    ],
)
def test_a_disk_that_was_made_is_never_made_again(changes: Any) -> None:
    found = plan(observed(a_volume(made=True), **changes))
    assert effects_of(found, Ask) == []
    assert (field(found, "createdTime"), is_ready(found)) == (ago(300), True)


def test_who_holds_it_is_shown() -> None:
    held = plan(observed(a_volume(made=True), holder="uid-web-1", holder_name="team-a/web-1"))
    assert (reason(held), field(held, "phase"), field(held, "usedBy")) == ("InUse", "InUse", "team-a/web-1")
    free = plan(observed(a_volume(made=True, status={"usedBy": "team-a/web-1"})))
    assert (reason(free), field(free, "phase"), field(free, "usedBy")) == ("Bound", "Ready", None)


@pytest.mark.parametrize("volume", [a_volume(made=True), a_volume(status=NAMED), a_volume(bound=False)])
def test_the_time_of_the_first_use_is_not_its_to_write(volume: Obj) -> None:
    volume["status"]["firstUsedTime"] = ago(60)
    assert field(plan(observed(volume, fresh=a_parent())), "firstUsedTime") is None


# -- lost

MISSED = {"missing": ["v-aaaaaaaa"], "inspectedTime": ago(60)}


def seen(**status: Any) -> Any:
    return a_place(location=StorageLocation.read(a_location(status=status)))


@pytest.mark.parametrize(
    ("place", "lost"),
    [
        (seen(**MISSED), True),
        (seen(missing=["v-another"], inspectedTime=ago(60)), False),
        (seen(missing=["v-aaaaaaaa"], inspectedTime=ago(900)), False),
        (a_place(), False),
    ],
    ids=["missing", "another is missing", "made since then", "nothing is missing"],
)
def test_a_disk_that_is_not_there_any_more_is_lost_and_never_made_anew(place: Any, lost: bool) -> None:
    found = plan(observed(a_volume(made=True, status={"createdTime": ago(600)}), place=place))
    assert found.effects == ()
    assert (reason(found), field(found, "phase")) == (("VolumeLost", "Lost") if lost else ("Bound", "Ready"))
    assert is_stalled(found) is lost


@pytest.mark.parametrize(
    ("state", "expected"), [("Ready", "Bound"), ("Pending", "ParentLost"), ("Fetching", "ParentLost")]
)
def test_a_child_whose_parent_is_fetched_again_says_so(state: str, expected: str) -> None:
    parent = Parent.read(a_parent(status={"state": state, "revision": REVISION}))
    found = plan(observed(a_volume(made=True), parent=parent))
    assert (reason(found), found.effects) == (expected, ())
