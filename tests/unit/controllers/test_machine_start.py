"""The steps to a machine's start."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.controllers.naming import FIRST_USE_ANNOTATION, MADE_FOR_ANNOTATION
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Create, Delete, PatchStatus
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
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
from tests.unit.controllers.machines import (
    BY_REF,
    MINE,
    PODS,
    a_claim,
    a_disk,
    a_ready_disk,
    a_stalled,
    observed,
    with_root,
)
from tests.unit.controllers.reading import (
    field,
    is_stalled,
    message,
    names,
    only,
    reason,
)


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
    assert (names(seen) == ["Create"]) is (refusal is None)
    if refusal is not None:
        assert reason(seen) == "PriorityClassNotAllowed"
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
    assert (names(seen) == ["Create"]) is not bool(refused)
    if refused:
        assert reason(seen) == "TolerationNotAllowed"
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
    ("root", "conditions", "silent"),
    [
        (None, [], True),
        (None, [a_condition(status="False", reason="Planning")], False),
        (a_root_of(a_machine(), created=ago(0)), [], True),
        (a_root_of(a_machine(), created=ago(2)), [], False),
        (a_root_of(a_machine(), created=ago(0)), [a_condition(status="False", reason="Planning")], False),
        (
            a_root_of(
                a_machine(),
                created=ago(0),
                status={"conditions": [a_condition(status="False", reason="Creating")]},
            ),
            [],
            False,
        ),
    ],
    ids=["no root", "no root, spoke", "bound", "bound and late", "bound, spoke", "volume spoke"],
)
def test_a_new_machine_leaves_the_first_word_to_its_volume(
    root: Obj | None, conditions: list[Obj], silent: bool
) -> None:
    """Of three writes in 60 ms the last says it all; a volume that says nothing for a second is not waited for."""
    found = plan(with_root(root, a_machine(status={"conditions": conditions})))
    assert (found.status is None) is silent
    assert not silent or (found.again_after or 0) > 0
    assert silent or reason(found) == "WaitingForVolumes"


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
    assert found.again_after == (left if left is not None else 0)
    assert names(found) == (["Create"] if left is None else [])
    assert left is None or reason(found) == "Restarting"


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
    assert (found.status, found.again_after) == (None, 0), "the next pass sees the pod, and says so"
