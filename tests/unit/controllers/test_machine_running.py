"""A machine with a pod: what is shown, when it is given up, and what its end leads to."""

from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.contracts.machine import Ended, Exit
from goldpool.controllers.naming import STOPPED_FINALIZER
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Create, Delete, PatchStatus, RemoveFinalizer
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    REVISION,
    a_container,
    a_machine,
    a_node,
    a_parent,
    a_pod,
    a_root_of,
    a_terminated,
    ago,
)
from tests.unit.controllers.machines import a_claim, a_disk, a_ready_disk, observed, running
from tests.unit.controllers.reading import (
    effects_of,
    field,
    is_ready,
    is_stalled,
    message,
    names,
    only,
    reason,
)

BOOTED = {"firstStartTime": ago(600)}
UNSCHEDULABLE = {
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]
}


def said(exit_: Exit, message: str = "") -> str:
    return Ended(reason=exit_, message=message).to_json()


def ended(exit_: Exit | None = None, **details: Any) -> Obj:
    return a_pod(containers=[a_terminated(said(exit_) if exit_ else "", **details)])


def followed(pod: Obj, strategy: str = "Always", *, status: Obj | None = None, **changes: Any) -> Any:
    machine = a_machine(spec={"runStrategy": strategy}, status=running(pod) | (status or {}))
    return observed(machine, *changes.pop("disks", ()), pod=pod, **changes)


# -- shown


def test_running_means_that_the_pod_is_ready() -> None:
    found = plan(followed(a_pod(ready=True)))
    assert (reason(found), is_ready(found), field(found, "phase")) == ("Running", True, "Running")
    assert (field(found, "firstStartTime"), field(found, "host")) == (ago(0), "node-1")
    assert plan(followed(a_pod(ready=True), status=BOOTED)).effects == ()


@pytest.mark.parametrize(
    ("pod", "status", "changes", "expected", "phase"),
    [
        (a_pod(created=ago(5)), {}, {}, "Starting", "Starting"),
        (a_pod(created=ago(5), containers=[a_container()]), {}, {}, "Starting", "Starting"),
        (a_pod(containers=[a_container()]), BOOTED, {}, "GuestPaused", "Paused"),
        (a_pod(), BOOTED, {}, "Starting", "Starting"),
        (a_pod(), BOOTED, {"pod_node": a_node(ready=False)}, "HostLost", "HostLost"),
        (a_pod(), BOOTED, {"pod_node": None}, "HostLost", "HostLost"),
        (a_pod(deleting=True, containers=[a_container()]), BOOTED, {}, "Stopping", "Stopping"),
        (a_pod(deleting=True), BOOTED, {"pod_node": a_node(ready=False)}, "HostLost", "HostLost"),
    ],
)
def test_what_a_machine_with_a_pod_says(
    pod: Obj, status: Obj, changes: Any, expected: str, phase: str
) -> None:
    found = plan(followed(pod, status=status, **changes))
    assert (found.effects, reason(found), field(found, "phase")) == ((), expected, phase)


def test_a_lost_host_starts_nothing_elsewhere_and_says_why() -> None:
    for pod in (a_pod(), a_pod(deleting=True), a_pod(containers=[a_container()])):
        found = plan(followed(pod, status=BOOTED, pod_node=a_node(ready=False)))
        assert (found.effects, found.afterwards) == ((), ())
        assert "out-of-service" in message(found)


def test_a_guest_over_a_parent_that_is_lost_runs_and_says_so() -> None:
    lost = Parent.read(a_parent(status={"state": "Pending", "revision": REVISION}))
    found = plan(followed(a_pod(ready=True), status=BOOTED, disks=(a_ready_disk(parent=lost),)))
    assert (reason(found), is_ready(found)) == ("Running", True)
    assert "reads may fail: Parent debian-12-aaaaaaaa" in message(found)


def test_a_deleted_node_is_told_from_one_that_is_silent() -> None:
    found = plan(followed(a_pod(), status=BOOTED, pod_node=None, pod_node_known=False))
    assert (reason(found), found.effects) == ("HostLost", ())
    assert "node node-1 was deleted" in message(found)


@pytest.mark.parametrize(("out_of_service", "deletes"), [(True, True), (False, False)])
def test_only_an_administrators_taint_lets_a_lost_hosts_pod_go(out_of_service: bool, deletes: bool) -> None:
    """With effect NoSchedule nobody else deletes the pod."""
    node = a_node(ready=False, out_of_service=out_of_service)
    found = plan(followed(a_pod(containers=[a_container()]), status=BOOTED, pod_node=node))
    assert bool(effects_of(found, Delete)) is deletes
    assert effects_of(found, RemoveFinalizer) == []
    assert reason(found) == "HostLost"


def test_an_eviction_is_told() -> None:
    evicted = {
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
    }
    pod = a_pod(deleting=True, containers=[a_container()], status=evicted)
    found = plan(followed(pod, status=BOOTED))
    assert message(found) == "evicted (EvictionByEvictionAPI): the guest is shutting down"


@pytest.mark.parametrize(
    ("exit_", "deleting", "restarts"),
    [
        (Exit.STOPPED, True, None),
        (Exit.KILLED, True, None),
        (Exit.STOPPED, False, 1),
        (Exit.QEMU_FAILED, True, 1),
        (Exit.GUEST_SHUTDOWN, False, 1),
    ],
)
def test_an_eviction_is_no_failing_of_the_guest(exit_: Exit, deleting: bool, restarts: int | None) -> None:
    pod = a_pod(deleting=deleting, containers=[a_terminated(said(exit_))])
    found = plan(followed(pod, status=BOOTED))
    assert field(found, "restarts") == restarts


# -- asked to stop


@pytest.mark.parametrize(
    ("strategy", "maintenance", "stops"),
    [("Halted", "", True), ("Always", "std-a", True), ("Always", "", False), ("Once", "", False)],
)
def test_a_pod_that_should_not_run_is_deleted_and_its_end_awaited(
    strategy: str, maintenance: str, stops: bool
) -> None:
    pod = a_pod(ready=True)
    found = plan(followed(pod, strategy, status=BOOTED, maintenance=maintenance))
    assert bool(effects_of(found, Delete)) is stops
    assert not stops or (only(found, Delete).uid, reason(found)) == (pod["metadata"]["uid"], "Stopping")


@pytest.mark.parametrize("pod", [a_pod(deleting=True, containers=[a_container()])])
def test_claims_are_kept_until_the_pod_is_gone(pod: Obj) -> None:
    assert plan(followed(pod, "Halted", status=BOOTED)).effects == ()


def test_only_a_halted_machine_without_a_pod_gives_back_its_claims() -> None:
    found = plan(
        observed(
            a_machine(spec={"runStrategy": "Halted"}, status=BOOTED | {"ended": "Stopped", "restarts": 3})
        )
    )
    assert only(found, Delete).name == "volume-uid-web-1-root"
    assert (reason(found), is_ready(found), field(found, "phase")) == ("Halted", True, "Stopped")
    assert (field(found, "ended"), field(found, "restarts")) == (None, None)


def test_never_another_machines_claim() -> None:
    disk = a_disk(
        a_root_of(a_machine(), made=True), lease=a_claim(a_root_of(a_machine()), holder="uid-web-2")
    )
    assert plan(observed(a_machine(spec={"runStrategy": "Halted"}), disk)).effects == ()


# -- a start that takes too long


@pytest.mark.parametrize(
    ("age", "status", "gives_up"),
    [(29, UNSCHEDULABLE, False), (30, UNSCHEDULABLE, True), (119, {}, False), (120, {}, True)],
)
def test_a_first_start_has_a_deadline(age: int, status: Obj, gives_up: bool) -> None:
    pod = a_pod(node="" if status else "node-1", created=ago(age), status=status)
    found = plan(followed(pod))
    assert bool(effects_of(found, Delete)) is gives_up
    assert found.again_after == (None if gives_up else (30 if status else 120) - age)
    assert reason(found) == ("StartFailed" if gives_up else "WaitingForHost" if status else "Starting")
    assert field(found, "plans") == (1 if gives_up else None)


def test_a_guest_that_does_not_run_yet_is_looked_at_again() -> None:
    """What its log says of the reason brings no event."""
    found = plan(followed(a_pod(containers=[a_container()], created=ago(10))))
    assert (reason(found), found.again_after) == ("Starting", 5)


@pytest.mark.parametrize(
    ("waits", "age", "said"),
    [
        ({"reason": "ContainerCreating"}, 1, "the pod is starting"),
        ({"reason": "PodInitializing"}, 1, "the pod is starting"),
        ({"reason": "ErrImagePull", "message": "no"}, 1, "the pod is starting (ErrImagePull: no)"),
        ({"reason": "ContainerCreating"}, 120, "the pod is starting (ContainerCreating)"),
    ],
)
def test_only_what_hinders_a_start_is_named(waits: Obj, age: int, said: str) -> None:
    """Each change of the sentence is a write, which every start would pay for."""
    assert (
        message(plan(followed(a_pod(containers=[a_container("waiting", **waits)], created=ago(age))))) == said
    )


@pytest.mark.parametrize("status", [UNSCHEDULABLE, {}])
def test_after_its_first_boot_a_machine_only_waits(status: Obj) -> None:
    found = plan(followed(a_pod(created=ago(9999), status=status), status=BOOTED))
    assert (found.effects, found.again_after) == ((), None)


def test_one_start_that_took_too_long_counts_once() -> None:
    """The pod's end is another pass, and so is the same pass after a crash."""
    pod = a_pod(created=ago(200))
    once = plan(followed(pod))
    known = {"plans": field(once, "plans"), "avoid": field(once, "avoid"), "ended": field(once, "ended")}
    assert field(plan(followed(pod, status=known)), "plans") == 1
    refused = a_pod(deleting=True, status={"phase": "Failed", "reason": "OutOfcpu"})
    assert field(plan(followed(refused, status=known)), "plans") == 1


# -- the end


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (ended(Exit.GUEST_SHUTDOWN), "GuestShutdown"),
        (ended(reason="OOMKilled", exitCode=137), "OOMKilled: exit code 137"),
        (ended(), "Error: exit code 0"),
    ],
)
def test_the_end_is_recorded_before_the_pod_goes_and_its_finalizer_goes_last(pod: Obj, text: str) -> None:
    found = plan(followed(pod, status=BOOTED))
    assert effects_of(found, Delete) == []
    assert [type(e) for e in found.afterwards] == [Delete, RemoveFinalizer]
    assert found.afterwards[1].finalizer == STOPPED_FINALIZER  # type: ignore[attr-defined]
    assert field(found, "ended") == text


def test_a_guest_that_ended_is_counted_once_per_pod() -> None:
    found = plan(followed(ended(), status=BOOTED | {"startTime": ago(10), "restarts": 2}))
    assert field(found, "restarts") == 3
    again = BOOTED | {"startTime": ago(10), "restarts": 3, "ended": field(found, "ended")}
    assert field(plan(followed(ended(), status=again)), "restarts") == 3


def test_a_guest_that_ran_for_a_minute_begins_to_count_anew() -> None:
    assert (
        field(plan(followed(ended(), status=BOOTED | {"startTime": ago(61), "restarts": 7})), "restarts") == 1
    )


def test_the_end_of_an_earlier_pod_is_not_taken_for_a_new_ones() -> None:
    """The pass that made the pod may have crashed before it wrote its status."""
    stale = {"podRef": None, "ended": "GuestShutdown", "firstStartTime": ago(900)}
    found = plan(followed(a_pod(ready=True), "RerunOnFailure", status=stale))
    assert (reason(found), field(found, "ended")) == ("Running", None)


@pytest.mark.parametrize(
    ("strategy", "text", "expected"),
    [
        ("Always", "GuestShutdown", None),
        ("Always", "QemuFailed", None),
        ("RerunOnFailure", "GuestShutdown", "Succeeded"),
        ("RerunOnFailure", "Stopped", None),  # a drain is not the guest's wish
        ("RerunOnFailure", "QemuFailed", None),
        ("Once", "GuestShutdown", "Succeeded"),
        ("Once", "Stopped", "Succeeded"),
        ("Once", "QemuFailed", "Failed"),
        ("Halted", "QemuFailed", "Halted"),
    ],
)
def test_what_follows_an_end_is_the_run_strategys_word(
    strategy: str, text: str, expected: str | None
) -> None:
    """None: it is started again."""
    machine = a_machine(spec={"runStrategy": strategy}, status=BOOTED | {"ended": text})
    found = plan(observed(machine))
    assert bool(effects_of(found, Create)) is (expected is None)
    if expected is not None:
        assert (reason(found), is_stalled(found)) == (expected, expected == "Failed")


def test_maintenance_stops_a_machine_and_its_end_brings_it_back() -> None:
    machine = a_machine(spec={"runStrategy": "RerunOnFailure"}, status=BOOTED | {"ended": "Stopped"})
    assert reason(plan(observed(machine, maintenance="std-a"))) == "Maintenance"
    assert effects_of(plan(observed(machine)), Create)


# -- a start that failed


REFUSED = a_pod(status={"phase": "Failed", "reason": "OutOfcpu", "message": "no CPU left"})
NEVER_OPENED = [
    REFUSED,
    ended(Exit.DISK_MISSING),
    ended(Exit.WRONG_DISK),
    a_pod(containers=[a_terminated(startedAt=None)]),
]


@pytest.mark.parametrize("pod", NEVER_OPENED)
def test_a_first_start_that_opened_no_disk_gives_back_what_it_took_and_avoids_the_host(pod: Obj) -> None:
    found = plan(followed(pod))
    assert only(found, PatchStatus).status == {"firstUsedTime": None}
    [entry] = field(found, "avoid")
    assert (entry["host"], entry["pool"], entry["reason"], field(found, "plans")) == (
        "node-1",
        "",
        "StartFailed",
        1,
    )
    assert field(found, "firstStartTime") is None


@pytest.mark.parametrize("pod", NEVER_OPENED)
def test_a_disk_that_another_machine_used_before_is_never_given_back(pod: Obj) -> None:
    root = a_root_of(a_machine(), made=True, status={"firstUsedTime": ago(99999)})
    used = a_disk(root, lease=a_claim(root, first=False))
    machine = a_machine(status=running(pod))
    found = plan(observed(machine, used, pod=pod))
    assert effects_of(found, PatchStatus) == []
    assert field(found, "plans") == 1


@pytest.mark.parametrize("pod", [*NEVER_OPENED])
def test_after_the_first_boot_no_disk_is_given_back(pod: Obj) -> None:
    found = plan(followed(pod, status=BOOTED))
    assert effects_of(found, PatchStatus) == []
    assert (field(found, "plans"), field(found, "restarts")) == (None, 1)


@pytest.mark.parametrize(
    "pod", [ended(Exit.QEMU_FAILED), ended(Exit.GUEST_SHUTDOWN), ended(reason="OOMKilled")]
)
def test_a_guest_that_may_have_opened_its_disks_has_started(pod: Obj) -> None:
    found = plan(followed(pod))
    assert effects_of(found, PatchStatus) == []
    assert field(found, "firstStartTime") == ago(600)


def test_a_start_that_fails_at_the_only_place_counts_each_time() -> None:
    first = plan(followed(REFUSED))
    known = {"avoid": field(first, "avoid"), "plans": 1}
    another = a_pod(uid="uid-of-the-next", status={"phase": "Failed", "reason": "OutOfcpu"})
    machine = a_machine(status=running(REFUSED) | known | {"ended": None})
    found = plan(observed(machine, a_ready_disk(machine), pod=another))
    assert (field(found, "plans"), len(field(found, "avoid"))) == (2, 1)
    assert names(found)[0] == "PatchStatus"
