"""What a pod's status proves, and what it does not."""

from typing import Any

import pytest

from goldpool.contracts.machine import Ended, Exit
from goldpool.controllers.virtualmachine.evidence import (
    ended_of,
    exit_text,
    never_opened_disks,
    proven_stopped,
    unschedulable,
    waiting_reason,
)
from goldpool.controllers.virtualmachine.pod import pinned_host
from goldpool.kube.port import Obj
from goldpool.planning.snapshot import NodeView
from tests.unit.controllers.builders import (
    a_blank_volume,
    a_container,
    a_node,
    a_pod,
    a_terminated,
    a_volume,
    ago,
)
from tests.unit.controllers.machines import a_disk

LOST = a_node(ready=False)
OUT_OF_SERVICE = a_node(ready=False, out_of_service=True)
BOTH = [a_terminated(), a_terminated()]


def a_pod_of_two(containers: list[Obj]) -> Obj:
    pod = a_pod(containers=containers)
    pod["spec"]["containers"] = [{"name": "machine"}, {"name": "sidecar"}]
    return pod


def failed(why: str = "", **more: Any) -> Obj:
    return a_pod(status={"phase": "Failed", "reason": why}, **more)


@pytest.mark.parametrize(
    ("pod", "node", "proven"),
    [
        # the kubelet reported every container terminated
        (a_pod(containers=[a_terminated()]), a_node(), True),
        (a_pod(containers=[a_terminated()]), LOST, True),
        (a_pod_of_two(BOTH), a_node(), True),
        (a_pod_of_two(BOTH[:1]), a_node(), False),
        (a_pod_of_two([a_terminated(), a_container()]), a_node(), False),
        (a_pod(containers=[a_container()]), a_node(), False),
        (a_pod(containers=[a_container("waiting")]), a_node(), False),
        (a_pod(containers=[{"name": "machine"}]), a_node(), False),
        (a_pod(), a_node(), False),
        # phase alone proves nothing: the node controller writes it for a lost node
        (failed(), LOST, False),
        (failed("NodeLost"), LOST, False),
        (failed("Evicted", containers=[a_container()]), a_node(), False),
        (a_pod(status={"phase": "Succeeded"}), LOST, False),
        # never bound
        (a_pod(node=""), None, False),
        (a_pod(node="", deleting=True), None, True),
        (a_pod(node="", status={"phase": "Failed"}), None, True),
        # rejected by the kubelet before any container
        (failed("OutOfcpu"), a_node(), True),
        (failed("NodeAffinity"), a_node(), True),
        (failed("UnexpectedAdmissionError"), a_node(), True),
        (failed("OutOfcpu", containers=[a_container()]), a_node(), False),
        (a_pod(status={"phase": "Pending", "reason": "OutOfcpu"}), a_node(), False),
        # an administrator's word
        (a_pod(containers=[a_container()], deleting=True), OUT_OF_SERVICE, True),
        (a_pod(containers=[a_container()]), OUT_OF_SERVICE, False),
        (a_pod(containers=[a_container()], deleting=True), LOST, False),
        (a_pod(containers=[a_container()], deleting=True), None, False),
    ],
)
def test_pod_gone_is_not_process_gone(pod: Obj, node: NodeView | None, proven: bool) -> None:
    assert proven_stopped(pod, node) is proven


def said(exit_: Exit) -> list[Obj]:
    return [a_terminated(Ended(reason=exit_, message="why").to_json())]


@pytest.mark.parametrize(
    ("pod", "untouched"),
    [
        (a_pod(node=""), True),
        (a_pod(), True),
        (failed("OutOfcpu"), True),
        (a_pod(containers=said(Exit.WRONG_DISK)), True),
        (a_pod(containers=said(Exit.DISK_MISSING)), True),
        (a_pod(containers=[a_terminated(startedAt=None)]), True),
        (a_pod(containers=said(Exit.QEMU_FAILED)), False),
        (a_pod(containers=said(Exit.GUEST_SHUTDOWN)), False),
        (a_pod(containers=said(Exit.STOPPED)), False),
        (a_pod(containers=[a_terminated("killed before it could say anything")]), False),
    ],
)
def test_disks_are_untouched_only_if_qemu_cannot_have_run(pod: Obj, untouched: bool) -> None:
    assert never_opened_disks(pod) is untouched


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (a_pod(containers=said(Exit.QEMU_FAILED)), "QemuFailed: why"),
        (a_pod(containers=[a_terminated("gibberish", exitCode=1)]), "Error: exit code 1"),
        (a_pod(containers=[a_terminated(reason="OOMKilled", exitCode=137)]), "OOMKilled: exit code 137"),
        (a_pod(status={"reason": "OutOfcpu", "message": "no CPU"}), "OutOfcpu: no CPU"),
        (a_pod(), "NeverStarted: the pod did not start"),
    ],
)
def test_why_a_pod_ended(pod: Obj, text: str) -> None:
    assert exit_text(pod) == text


def test_a_runtimes_last_word_is_read_from_the_terminated_container() -> None:
    assert ended_of(a_pod(containers=said(Exit.KILLED))) == Ended(reason=Exit.KILLED, message="why")
    assert ended_of(a_pod(containers=[a_container(startedAt=ago(1))])) is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, None),
        ({"type": "PodScheduled", "status": "True"}, None),
        ({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}, "Unschedulable"),
        ({"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}, "0/3 nodes"),
        ({"type": "Ready", "status": "False"}, None),
    ],
)
def test_the_schedulers_word(condition: Obj | None, expected: str | None) -> None:
    assert unschedulable(a_pod(status={"conditions": [condition] if condition else []})) == expected


def test_what_a_container_waits_for() -> None:
    pulling = a_container("waiting", reason="ImagePullBackOff", message="no such image")
    assert waiting_reason(a_pod(containers=[pulling])) == "ImagePullBackOff: no such image"
    assert waiting_reason(a_pod()) == ""


@pytest.mark.parametrize(
    ("hosts", "expected"), [(["", ""], ""), (["node-1", ""], "node-1"), (["", "node-2"], "node-2"), ([], "")]
)
def test_any_disk_on_a_host_pins_the_machine(hosts: list[str], expected: str) -> None:
    disks = [a_disk(a_volume(spec={"placement": {"pool": "std-a", "host": host}})) for host in hosts]
    assert pinned_host([*disks, a_disk(None), a_disk(a_blank_volume(bound=False))]) == expected
