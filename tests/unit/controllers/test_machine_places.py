"""Where a machine's disks are placed, and what becomes of places that failed."""

from dataclasses import replace

import pytest

from goldpool.api.template import Template
from goldpool.controllers.landscape import Bind
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Record
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Placement
from tests.unit.controllers.builders import (
    a_blank_volume,
    a_machine,
    a_pinned_template,
    a_root_of,
    ago,
)
from tests.unit.controllers.machines import (
    NOWHERE,
    PLACED,
    a_disk,
    a_stalled,
    failed,
    observed,
    with_root,
)
from tests.unit.controllers.reading import (
    effects_of,
    field,
    is_stalled,
    message,
    names,
    only,
    reason,
)


def test_all_disks_without_a_place_are_bound_in_one_plan() -> None:
    machine = a_machine()
    data = a_disk(a_blank_volume(bound=False), name="data", root=False)
    both = Placement((*PLACED.disks, DiskPlacement("data", "std-b.node-1", "std-b", "node-1")), ("node-1",))
    found = plan(observed(machine, a_disk(a_root_of(machine, bound=False)), data, placement=both))
    root, other = effects_of(found, Bind)
    assert root.patch.patch["spec"] == {
        "placement": {
            "pool": "std-a",
            "host": "node-1",
            "parentPool": "golden-ssd",
            "volumeUID": "uid-web-1-root",
        },
        "storageID": "v-token000",
    }
    assert other.patch.patch["spec"]["storageID"] == "v-token001"
    assert root.patch.resource_version == "1"
    assert (found.status, found.again_after) == (None, 1.0), "the volumes say more, and say it soon"


@pytest.mark.parametrize(
    "status",
    [
        {"rejections": [{"reason": "UsedLimit", "count": 1}]},
        {"avoid": [{"location": "std-b.node-1", "reason": "IOError", "time": ago(60)}], "retry": "1"},
    ],
)
def test_a_placement_that_ends_what_was_recorded_says_so_at_once(status: Obj) -> None:
    machine = a_machine(status=status)
    found = plan(observed(machine, a_disk(a_root_of(machine, bound=False)), placement=PLACED))
    assert field(found, "phase") == "Provisioning"
    assert not field(found, "rejections")
    assert not field(found, "avoid")


@pytest.mark.parametrize(
    ("hosts", "local", "pinned"),
    [
        (("node-1",), frozenset(), ""),  # one feasible host may be chance
        (("node-1",), frozenset({"golden-ssd.node-1"}), "node-1"),
        (("node-1", "node-2"), frozenset(), ""),
    ],
)
def test_on_a_shared_pool_only_bytes_on_a_host_tie_the_machine_to_it(
    hosts: tuple[str, ...], local: frozenset[str], pinned: str
) -> None:
    shared = Placement((DiskPlacement("root", "nfs", "nfs", "", "golden-ssd.node-1", "golden-ssd"),), hosts)
    found = plan(with_root(a_root_of(a_machine(), bound=False), placement=shared, local_parents=local))
    assert only(found, Bind).patch.patch["spec"]["placement"]["host"] == pinned


def test_nothing_that_fits_is_explained_by_counts() -> None:
    found = plan(with_root(a_root_of(a_machine(), bound=False), placement=NOWHERE))
    assert effects_of(found, Bind) == []
    assert (reason(found), message(found)) == ("NotPlaceable", NOWHERE.sentence())
    assert field(found, "rejections") == [{"reason": "UsedLimit", "count": 1, "example": "91 % used"}]


@pytest.mark.parametrize(
    ("template", "expected"),
    [(None, "TemplateNotFound"), (Template.read(a_pinned_template(deleting=True)), "TemplateDeleting")],
)
def test_a_disk_is_not_placed_without_its_template(template: Template | None, expected: str) -> None:
    disk = a_disk(a_root_of(a_machine(), bound=False), template=template)
    found = plan(observed(None, disk, placement=PLACED))
    assert (found.effects, reason(found)) == ((), expected)


def test_a_machine_that_is_served_by_a_fallback_says_so() -> None:
    [disk] = PLACED.disks
    beside = replace(disk, parent_location=disk.location, parent_pool=disk.pool, fallback=True)
    found = plan(with_root(a_root_of(a_machine(), bound=False), placement=Placement((beside,), PLACED.hosts)))
    assert only(found, Record).note == (
        "placed on node-1: root in std-a with its parent beside it as a fallback"
    )
    root = a_root_of(a_machine())
    assert field(plan(with_root(root)), "fallbackPool") is None
    root["spec"]["placement"]["parentPool"] = root["spec"]["placement"]["pool"]
    assert field(plan(with_root(root)), "fallbackPool") == "std-a"
    assert field(plan(with_root(root)), "goldenPool") is None


def test_a_place_that_failed_is_avoided_and_the_disk_bound_anew() -> None:
    found = plan(with_root(failed(), placement=PLACED))
    assert only(found, Bind).patch.patch["spec"]["storageID"] == "v-token000"
    [entry] = field(found, "avoid")
    assert (entry["location"], entry["pool"], entry["host"], entry["reason"]) == (
        "std-a.node-1", "std-a", "node-1", "IOError",
    )  # fmt: skip
    assert field(found, "plans") == 1


def test_of_a_failed_parent_the_golden_location_is_avoided() -> None:
    [entry] = field(plan(with_root(failed("ParentFailed"), placement=PLACED)), "avoid")
    assert (entry["location"], entry["pool"]) == ("golden-ssd.node-1", "golden-ssd")


def test_the_same_failure_counts_once() -> None:
    once = plan(with_root(failed(), placement=NOWHERE))
    machine = a_machine(status={"avoid": field(once, "avoid"), "plans": 1})
    assert field(plan(with_root(failed(machine=machine), machine, placement=NOWHERE)), "plans") == 1


@pytest.mark.parametrize("failure", ["IOError", "ParentFailed"])
def test_a_used_volume_is_never_bound_anew(failure: str) -> None:
    root = failed(failure)
    root["status"]["firstUsedTime"] = ago(60)
    assert effects_of(plan(with_root(root, placement=PLACED)), Bind) == []


@pytest.mark.parametrize("failure", ["TemplateFailed", "SizeTooSmall"])
def test_what_cannot_be_made_anywhere_stops_the_machine(failure: str) -> None:
    found = plan(with_root(failed(failure), placement=PLACED))
    assert (found.effects, is_stalled(found)) == ((), True)
    assert is_stalled(plan(with_root(failed("VolumeConflict", stalled=True), placement=PLACED)))


@pytest.mark.parametrize(("plans", "stops"), [(8, False), (9, True), (10, True)])
def test_after_ten_plans_the_machine_stops_and_names_the_remedy(plans: int, stops: bool) -> None:
    machine = a_machine(status={"plans": plans})
    found = plan(with_root(failed(machine=machine), machine, placement=PLACED))
    assert is_stalled(found) is stops
    assert not stops or (reason(found) == "TooManyPlans" and RETRY_ANNOTATION in message(found))


def test_ten_failed_starts_stop_the_machine_also_where_its_disks_can_go_nowhere_else() -> None:
    found = plan(observed(a_machine(status={"plans": 10})))
    assert (found.effects, reason(found)) == ((), "TooManyPlans")


def test_what_has_started_once_is_not_stopped_by_old_plans() -> None:
    found = plan(observed(a_machine(status={"plans": 10, "firstStartTime": ago(60)})))
    assert names(found) == ["Create"]


@pytest.mark.parametrize("change", ["spec", "annotation"])
def test_a_new_spec_or_retry_value_clears_what_failed(change: str) -> None:
    status = {
        "plans": 10,
        "avoid": [{"location": "std-a.node-1", "reason": "IOError", "time": ago(60)}],
        "restarts": 4,
    }
    machine = a_machine(generation=2, status=status | {"plannedGeneration": 1})
    if change == "annotation":
        machine = a_machine(annotations={RETRY_ANNOTATION: "now"}, status=status)
    found = plan(with_root(failed(machine=machine), machine, placement=PLACED))
    assert (field(found, "plans"), field(found, "avoid")) == (None, [])
    assert only(found, Bind)
    assert field(found, "restarts") == (4 if change == "spec" else None)


CONFLICT = "volumes/v-aaaaaaaa exists already: no volume of ours; nothing was touched"


def in_conflict(machine: Obj | None = None) -> Obj:
    """The name on disk is somebody else's."""
    return failed("VolumeConflict", stalled=True, machine=machine)


def test_a_name_that_is_taken_stops_the_machine_and_the_remedy_is_named() -> None:
    found = plan(with_root(in_conflict(), placement=PLACED))
    assert (found.effects, is_stalled(found)) == ((), True)
    assert RETRY_ANNOTATION in message(found)
    assert "delete" in message(found)


@pytest.mark.parametrize("change", ["spec", "annotation"])
def test_a_new_spec_or_retry_value_binds_it_anew_at_once(change: str) -> None:
    machine = a_machine(generation=2, status={"plannedGeneration": 1})
    if change == "annotation":
        machine = a_machine(annotations={RETRY_ANNOTATION: "now"})
    found = plan(with_root(in_conflict(machine), machine, placement=PLACED))
    assert only(found, Bind).bound.spec.storage_id != "v-aaaaaaaa"
    assert field(found, "avoid") == [], "the place was not at fault: it may be chosen again"
    assert not is_stalled(found)


@pytest.mark.parametrize("failure", ["TemplateFailed", "SizeTooSmall"])
def test_what_no_other_place_can_mend_is_not_tried_again(failure: str) -> None:
    machine = a_machine(annotations={RETRY_ANNOTATION: "now"})
    found = plan(with_root(failed(failure, machine=machine), machine, placement=PLACED))
    assert (effects_of(found, Bind), is_stalled(found)) == ([], True)


@pytest.mark.parametrize("reason_before", ["VolumeFailed", "VolumeNameTaken"])
def test_the_volumes_disappearance_gets_a_stalled_machine_going(reason_before: str) -> None:
    machine = a_machine(status={"phase": "Failed", "conditions": a_stalled(reason_before)})
    found = plan(observed(machine, a_disk(None)))
    assert names(found) == ["Create"]
    assert not is_stalled(found)
