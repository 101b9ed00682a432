"""What a pod's status proves of the machine in it."""

from datetime import datetime
from typing import Final

from goldpool.contracts.machine import Ended, Exit
from goldpool.controllers.verdict import seconds_since
from goldpool.kube.port import Obj
from goldpool.planning.snapshot import NodeView

_REJECTED: Final = frozenset(
    {"NodeAffinity", "UnexpectedAdmissionError", "NodeShutdown", "AdmissionError", "PodOSNotSupported"}
)

ORDINARY_WAITS: Final = frozenset({"ContainerCreating", "PodInitializing"})
"""What every container waits for."""
BEGINNING_SECONDS: Final = 3
"""So young a container's guest is beginning to run, and nothing is asked about it."""


def proven_stopped(pod: Obj, node: NodeView | None) -> bool:
    """Whether none of the pod's processes can write any more: "pod gone" is not "process gone", and phase alone
    proves nothing. The kubelet reported every container terminated; or the pod was never bound; or the kubelet
    refused it; or an administrator said that the node is out of service."""
    status, spec = pod.get("status", {}), pod["spec"]
    containers = status.get("containerStatuses") or []
    if not spec.get("nodeName"):
        return status.get("phase") == "Failed" or "deletionTimestamp" in pod["metadata"]
    if len(containers) == len(spec["containers"]) and all(
        "terminated" in (c.get("state") or {}) for c in containers
    ):
        return True
    reason = status.get("reason", "")
    if (
        status.get("phase") == "Failed"
        and not containers
        and (reason in _REJECTED or reason.startswith("OutOf"))
    ):
        return True
    return node is not None and node.out_of_service and "deletionTimestamp" in pod["metadata"]


def never_opened_disks(pod: Obj) -> bool:
    """Of a stopped pod: QEMU cannot have run, so its disks are as they were."""
    containers = pod.get("status", {}).get("containerStatuses") or []
    if not pod["spec"].get("nodeName") or not containers:
        return True
    ended = ended_of(pod)
    if ended is not None:
        return ended.reason in {Exit.WRONG_DISK, Exit.DISK_MISSING}
    return all(not ((c.get("state") or {}).get("terminated") or {}).get("startedAt") for c in containers)


def ended_of(pod: Obj) -> Ended | None:
    """What the runtime said last; None when it could not (killed, node lost, never started)."""
    for container in pod.get("status", {}).get("containerStatuses") or []:
        message = ((container.get("state") or {}).get("terminated") or {}).get("message", "")
        try:
            return Ended.from_json(message)
        except ValueError:
            continue
    return None


def exit_text(pod: Obj) -> str:
    """For status.ended: the runtime's reason, or what the kubelet knows."""
    ended = ended_of(pod)
    if ended is not None:
        return f"{ended.reason}: {ended.message}" if ended.message else str(ended.reason)
    for container in pod.get("status", {}).get("containerStatuses") or []:
        terminated = (container.get("state") or {}).get("terminated")
        if terminated:
            return f"{terminated.get('reason', 'Error')}: exit code {terminated.get('exitCode')}"
    status = pod.get("status", {})
    return f"{status.get('reason') or 'NeverStarted'}: {status.get('message') or 'the pod did not start'}"[
        :1024
    ]


def is_ready(pod: Obj) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ())
    )


def is_executing(pod: Obj) -> bool:
    """Whether the kubelet said that the container runs."""
    return any(
        "running" in (c.get("state") or {}) for c in pod.get("status", {}).get("containerStatuses") or []
    )


def may_say_why(pod: Obj, host: NodeView | None, now: datetime) -> bool:
    """Whether to ask the pod's log why its guest does not run: a request to its kubelet, which a guest that has just begun
    is spared. On a host that does not answer the question would hold up the pass, and with it a worker, for as long as a
    request may take; and nothing is asked that a lost host decides."""
    if is_ready(pod) or host is None or not host.ready:
        return False
    states = (c.get("state") or {} for c in pod.get("status", {}).get("containerStatuses") or [])
    began = [state["running"].get("startedAt") for state in states if "running" in state]
    return any(seconds_since(moment, now) >= BEGINNING_SECONDS for moment in began)


def eviction(pod: Obj) -> str:
    """Why the pod is being evicted, as the condition's reason; empty when nobody evicts it."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return str(condition.get("reason") or "evicted")
    return ""


def unschedulable(pod: Obj) -> str | None:
    """The scheduler's message while it finds no node."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "unschedulable")
    return None


def waiting_reason(pod: Obj) -> str:
    """Why its container does not run, with the kubelet's words."""
    for container in pod.get("status", {}).get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "")) + (
                f": {waiting['message']}" if waiting.get("message") else ""
            )
    return ""
