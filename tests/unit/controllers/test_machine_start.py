"""The steps to a machine's start."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.controllers.landscape import Bind
from goldpool.controllers.naming import FIRST_USE_ANNOTATION, MADE_FOR_ANNOTATION, RETRY_ANNOTATION
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Create, Delete, PatchStatus, Record
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Placement, Rejection, RejectionReason, Unplaceable
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    a_blank_volume,
    a_condition,
    a_lease,
    a_machine,
    a_node,
    a_parent,
    a_pinned_template,
    a_root_of,
    a_volume,
    ago,
)
from tests.unit.controllers.machines import MINE, PODS, a_claim, a_disk, a_ready_disk, observed
from tests.unit.controllers.reading import (
    effects_of,
    field,
    is_stalled,
    message,
    names,
    only,
    reason,
)

BY_REF = {"rootVolume": {"volumeRef": {"name": "web-1-root"}}}
PLACED = Placement(
    (DiskPlacement("root", "std-a.node-1", "std-a", "node-1", "golden-ssd.node-1", "golden-ssd"),),
    ("node-1",),
)
NOWHERE = Unplaceable((Rejection("std-a.node-1", RejectionReason.USED_LIMIT, "91 % used"),))


def a_stalled(reason: str = "VolumeFailed", message: str = "no") -> list[Obj]:
    return [
        a_condition(status="False", reason=reason, message=message),
        a_condition("Stalled", reason=reason, message=message),
    ]


def with_root(root: Obj | None, machine: Obj | None = None, **changes: Any) -> Any:
    return observed(machine, a_disk(root), **changes)


def failed(
    failure: str = "IOError", machine: Obj | None = None, *, stalled: bool = False, **more: Any
) -> Obj:
    at = {"storageID": "v-aaaaaaaa", "location": "std-a.node-1", "parentLocation": "golden-ssd.node-1"}
    told = a_stalled(failure) if stalled else [a_condition(status="False", reason=failure, message="no")]
    return a_root_of(machine or a_machine(), status=at | {"failure": failure, "conditions": told}, **more)


def test_the_finalizer_comes_before_the_first_write() -> None:
    assert names(plan(with_root(None, a_machine(finalizers=[])))) == ["AddFinalizer"]


# -- the root volume


@pytest.mark.parametrize(
    ("wanted", "allowed", "refusal"),
    [
        (None, (), None),
        ("fast", ("slow", "fast"), None),
        ("fast", ("slow", "calm"), "fast is not allowed here; allowed is one of slow, calm"),
        ("fast", (), "fast is not allowed here; allowed is none"),
    ],
)
def test_a_machine_names_only_priority_classes_that_are_allowed(
    wanted: str | None, allowed: tuple[str, ...], refusal: str | None
) -> None:
    machine = a_machine(spec={"priorityClassName": wanted} if wanted else {})
    seen = plan(with_root(None, machine, pods=replace(PODS, allowed_priority_classes=allowed)))
    assert (reason(seen) == "PriorityClassNotAllowed") is (refusal is not None)
    if refusal is not None:
        assert refusal in message(seen)
        assert is_stalled(seen)
        assert not seen.effects


@pytest.mark.parametrize(
    ("keys", "allowed", "refused"),
    [
        ([], (), ""),
        (["gpu"], ("gpu", "fast"), ""),
        (["gpu", "other"], ("gpu",), "to tolerate other is not allowed here; allowed is one of gpu"),
        ([""], ("gpu",), "to tolerate every taint is not allowed here"),
        (["gpu"], (), "to tolerate gpu is not allowed here; allowed is none"),
        (["", "gpu"], ("*",), ""),
    ],
)
def test_a_machine_tolerates_only_what_is_allowed(
    keys: list[str], allowed: tuple[str, ...], refused: str
) -> None:
    machine = a_machine(spec={"tolerations": [{"key": key, "operator": "Exists"} for key in keys]})
    seen = plan(with_root(None, machine, pods=replace(PODS, allowed_tolerations=allowed)))
    assert (reason(seen) == "TolerationNotAllowed") is bool(refused)
    if refused:
        assert refused in message(seen)
        assert is_stalled(seen)
        assert not seen.effects


def test_a_root_volume_is_made_for_this_very_machine() -> None:
    root = {
        "templateRef": {"name": "debian-12"},
        "size": "20Gi",
        "poolTags": ["fast"],
        "reclaimPolicy": "Retain",
    }
    made = only(plan(with_root(None, a_machine(spec={"rootVolume": root}))), Create).obj
    assert made["metadata"]["name"] == "web-1-root"
    assert made["metadata"]["annotations"] == {MADE_FOR_ANNOTATION: MINE}
    assert made["metadata"]["finalizers"]
    assert made["spec"] == {
        "type": "Root",
        "size": "20Gi",
        "source": {"templateRef": {"name": "debian-12"}},
        "reclaimPolicy": "Retain",
        "poolTags": ["fast"],
    }


@pytest.mark.parametrize(
    ("template", "expected", "stalled"),
    [
        (None, "TemplateNotFound", False),
        (a_pinned_template(deleting=True), "TemplateDeleting", True),
        (a_pinned_template(status={"conditions": a_stalled()}), "TemplateFailed", True),
    ],
)
def test_no_root_volume_is_made_of_a_template_that_cannot_serve(
    template: Obj | None, expected: str, stalled: bool
) -> None:
    found = plan(with_root(None, template=Template.read(template) if template else None))
    assert (found.effects, reason(found), is_stalled(found)) == ((), expected, stalled)


@pytest.mark.parametrize("owner", ["", "uid-of-an-earlier-web-1"])
def test_a_namesake_that_was_not_made_for_this_machine_is_refused(owner: str) -> None:
    root = a_volume(made=True, annotations={MADE_FOR_ANNOTATION: owner} if owner else {})
    found = plan(with_root(root))
    assert (found.effects, reason(found), is_stalled(found)) == ((), "VolumeNameTaken", True)
    assert "spec.rootVolume.volumeRef" in message(found)


def test_unless_the_machine_names_it() -> None:
    found = plan(with_root(a_volume(made=True), a_machine(spec=BY_REF)))
    assert names(found) == ["PatchStatus", "Create"]  # marked used, and claimed


@pytest.mark.parametrize(
    "disks",
    [
        (a_disk(None),),
        (a_disk(a_volume(made=True, deleting=True)),),
        (a_ready_disk(), a_disk(None, name="data", root=False, volume_name="web-1-data")),
        (a_ready_disk(), a_disk(a_blank_volume(made=True, deleting=True), name="data", root=False)),
    ],
    ids=["no root", "root going", "no data", "data going"],
)
def test_a_machine_waits_for_volumes_that_are_not_there_or_going(disks: Any) -> None:
    found = plan(observed(a_machine(spec=BY_REF), *disks))
    assert (found.effects, reason(found)) == ((), "VolumeNotFound")


@pytest.mark.parametrize("strategy", ["Always", "Halted"])
def test_a_root_volume_that_the_machine_has_booted_from_is_never_made_anew(strategy: str) -> None:
    booted = a_machine(spec={"runStrategy": strategy}, status={"firstStartTime": "2026-01-01T00:00:00Z"})
    found = plan(observed(booted, a_disk(None)))
    assert found.effects == ()
    assert reason(found) == ("VolumeLost" if strategy == "Always" else "Halted")


def test_one_volume_cannot_be_two_disks() -> None:
    twice = a_disk(a_root_of(a_machine(), made=True), name="data", root=False)
    found = plan(observed(a_machine(), a_ready_disk(), twice))
    assert (found.effects, reason(found)) == ((), "VolumeInUse")


def test_a_claim_that_is_in_the_way_of_a_deletion_is_given_back() -> None:
    machine = a_machine()
    data = a_blank_volume(made=True, deleting=True)
    going = a_disk(data, name="data", root=False, lease=a_claim(data))
    found = plan(observed(machine, a_ready_disk(machine), going))
    assert only(found, Delete).name == "volume-uid-web-1-data"
    root = a_root_of(machine, made=True, deleting=True)
    assert only(plan(observed(machine, a_disk(root, lease=a_claim(root)))), Delete).resource is r.LEASE


# -- places


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
    assert field(found, "phase") == "Provisioning"


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
    assert message(found) == "placed on node-1 with a fallback's parent"
    assert field(found, "fallbackPool") is None, "not bound yet"
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


# -- volumes, host, pause


@pytest.mark.parametrize(
    ("root", "expected", "stalled"),
    [
        (a_root_of(a_machine()), "WaitingForVolumes", False),
        (a_root_of(a_machine(), made=True, spec={"storageID": "v-bbbbbbbb"}), "WaitingForVolumes", False),
        (a_root_of(a_machine(), status={"conditions": a_stalled("VolumeRestored")}), "VolumeFailed", True),
    ],
    ids=["not made", "made for an earlier binding", "stalled"],
)
def test_a_machine_waits_until_its_disks_are_made(root: Obj, expected: str, stalled: bool) -> None:
    found = plan(with_root(root))
    assert (found.effects, reason(found), is_stalled(found)) == ((), expected, stalled)


def test_a_child_is_never_started_over_another_revision() -> None:
    other = type(a_ready_disk().parent).read(a_parent(status={"revision": OTHER_REVISION}))  # type: ignore[union-attr]
    found = plan(observed(None, a_ready_disk(parent=other)))
    assert (found.effects, reason(found), is_stalled(found)) == ((), "WrongDisk", True)


@pytest.mark.parametrize("missing", [{"mount": None}, {"parent": None}, {"parent_mount": None}])
def test_a_child_is_never_started_without_its_parent_or_place(missing: Obj) -> None:
    found = plan(observed(None, a_ready_disk(**missing)))
    assert (found.effects, reason(found)) == ((), "WaitingForVolumes")


@pytest.mark.parametrize("state", ["Pending", "Fetching", "Failed"])
def test_a_machine_whose_parent_is_being_fetched_anew_waits_for_it(state: str) -> None:
    parent = Parent.read(a_parent(status={"state": state, "revision": REVISION}))
    found = plan(observed(None, a_ready_disk(parent=parent)))
    assert (found.effects, reason(found)) == ((), "WaitingForParent")


def test_a_claim_that_was_given_up_with_its_host_is_told_with_the_way_out() -> None:
    root = a_root_of(a_machine(), made=True, status={"firstUsedTime": ago(30)})
    lease = a_lease(
        root,
        holder="uid-of-another",
        holder_name="team-a/old",
        annotations={"goldpool.io/abandoned": "node-3"},
    )
    told = message(plan(observed(None, a_disk(root, lease=lease))))
    assert "given up on node node-3" in told
    assert f"delete Lease goldpool-data/{lease['metadata']['name']}" in told


@pytest.mark.parametrize(
    ("node", "expected", "told"),
    [
        (None, "WaitingForHost", "was deleted"),
        (a_node(ready=False), "WaitingForHost", "is not ready"),
        (a_node(cordoned=True), "HostCordoned", "kubectl uncordon node-1"),
    ],
)
def test_a_pinned_machine_waits_for_its_host_outside_the_avoid_set(
    node: Any, expected: str, told: str
) -> None:
    found = plan(observed(host_node=node))
    assert (found.effects, reason(found), field(found, "avoid")) == ((), expected, [])
    assert told in message(found)


@pytest.mark.parametrize(
    ("restarts", "since", "left"),
    [(None, 0, None), (1, 4, 1), (1, 5, None), (3, 15, 5), (3, 20, None), (20, 299, 1), (20, 300, None)],
)
def test_a_guest_that_keeps_ending_is_started_after_longer_and_longer_pauses(
    restarts: int | None, since: int, left: int | None
) -> None:
    found = plan(
        observed(
            a_machine(status={"restarts": restarts, "startTime": ago(since), "firstStartTime": ago(900)})
        )
    )
    assert found.again_after == left
    assert reason(found) == ("Starting" if left is None else "Restarting")


# -- the claim


def test_a_volume_that_another_machine_holds_is_waited_for() -> None:
    root = a_root_of(a_machine(), made=True)
    held = a_disk(root, lease=a_lease(root, holder="uid-web-2", holder_name="team-a/web-2"))
    found = plan(observed(None, held))
    assert (found.effects, reason(found)) == ((), "VolumeInUse")
    assert "team-a/web-2" in message(found)


def test_one_held_volume_and_none_is_claimed() -> None:
    data = a_blank_volume(made=True)
    held = a_disk(data, name="data", root=False, lease=a_lease(data, holder="uid-web-2"))
    found = plan(observed(None, a_disk(a_root_of(a_machine(), made=True)), held))
    assert (found.effects, reason(found)) == ((), "VolumeInUse")


def test_a_volume_is_marked_used_and_claimed_before_the_pod() -> None:
    found = plan(with_root(a_root_of(a_machine(), made=True)))
    assert names(found) == ["PatchStatus", "Create"]
    mark, lease = only(found, PatchStatus), only(found, Create)
    assert (mark.resource_version, mark.status) == ("1", {"firstUsedTime": ago(0)})
    assert lease.resource is r.LEASE
    assert lease.obj["metadata"]["name"] == "volume-uid-web-1-root"
    assert lease.obj["spec"] == {"holderIdentity": MINE}
    assert FIRST_USE_ANNOTATION in lease.obj["metadata"]["annotations"]


def test_the_claim_on_a_disk_that_others_used_before_does_not_pretend_to_be_the_first() -> None:
    found = plan(with_root(a_root_of(a_machine(), made=True, status={"firstUsedTime": ago(9999)})))
    assert names(found) == ["Create"]
    assert FIRST_USE_ANNOTATION not in only(found, Create).obj["metadata"]["annotations"]


def test_a_claim_that_is_kept_from_a_failed_start_is_marked_again() -> None:
    root = a_root_of(a_machine(), made=True)
    assert names(plan(observed(None, a_disk(root, lease=a_claim(root))))) == ["PatchStatus"]


def test_then_the_pod_is_made() -> None:
    found = plan(observed(a_machine(status={"ended": "QemuFailed: x", "firstStartTime": ago(900)})))
    assert only(found, Create).resource is r.POD
    assert (field(found, "startTime"), field(found, "ended"), reason(found)) == (ago(0), None, "Starting")
