"""What the pod of a Job says. Read from its container's state, never from its phase or the Job's condition."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from goldpool.contracts.model import CONTRACT_VERSION, Misread
from goldpool.contracts.report import Report
from goldpool.kube.port import Obj

JOB_NAME: Final = "batch.kubernetes.io/job-name"
JOB_UID: Final = "batch.kubernetes.io/controller-uid"
_IMAGE_REASONS: Final = frozenset(
    {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError"}
)


@dataclass(frozen=True, slots=True)
class Unscheduled:
    """No node took it; ``message`` is the scheduler's."""

    message: str


@dataclass(frozen=True, slots=True)
class Starting:
    """On its node, its container not started: a volume or an image may be missing. ``reason`` is the kubelet's."""

    reason: str
    message: str

    @property
    def lacks_image(self) -> bool:
        return self.reason in _IMAGE_REASONS


@dataclass(frozen=True, slots=True)
class Executing:
    """Its container runs."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Its container will not run any more. ``report`` is None when it left none; ``why`` then says what is known."""

    report: Report | None
    why: str = ""


PodState = Unscheduled | Starting | Executing | Stopped


def read_pod(pod: Obj) -> PodState:
    """``terminated`` is seen 1.1 s before phase Succeeded, often while the phase is still Pending (jobs.md §1)."""
    status = pod.get("status") or {}
    states: list[dict[str, Any]] = [c.get("state") or {} for c in status.get("containerStatuses") or ()]
    if states and all("terminated" in state for state in states):
        return _stopped(states[0]["terminated"])
    if any("running" in state for state in states):
        return Executing()
    if status.get("phase") in {"Failed", "Succeeded"}:
        # Rejected by the kubelet (OutOfpods) or evicted before its start: there never was a container.
        return Stopped(
            None, _joined(status.get("reason"), status.get("message")) or "rejected by the kubelet"
        )
    if not (pod.get("spec") or {}).get("nodeName"):
        return Unscheduled(_scheduler_says(status))
    waiting: dict[str, str] = next((state["waiting"] for state in states if "waiting" in state), {})
    return Starting(waiting.get("reason", ""), waiting.get("message", ""))


def has_stopped(pod: Obj) -> bool:
    """Nothing of this pod writes any more. One that no node ever took, and none will, has not started either."""
    match read_pod(pod):
        case Stopped():
            return True
        case Unscheduled():
            return bool(pod["metadata"].get("deletionTimestamp"))
        case _:
            return False


def job_of(pod: Obj) -> tuple[str, str] | None:
    """(name, UID) of the Job that made the pod; None if no Job did."""
    labels = pod["metadata"].get("labels") or {}
    name, uid = labels.get(JOB_NAME), labels.get(JOB_UID)
    return (name, uid) if name and uid else None


def jobs_stopped(job_pods: Iterable[Obj]) -> bool:
    """A Job whose pod nobody has seen yet may still get one."""
    every = list(job_pods)
    return bool(every) and all(has_stopped(pod) for pod in every)


def _stopped(terminated: dict[str, Any]) -> Stopped:
    ended = _joined(terminated.get("reason"), f"exit code {terminated.get('exitCode')}")
    message = terminated.get("message", "")
    if not message:
        return Stopped(None, f"{ended}, no report")
    try:
        report = Report.from_json(message)
    except Misread:
        # Above 4,096 bytes the head is lost, without a mark (jobs.md §3).
        return Stopped(None, f"{ended}, unreadable report: {message[:80]!r}")
    if report.version != CONTRACT_VERSION:
        return Stopped(None, f"{ended}, report of contract version {report.version}")
    return Stopped(report)


def _scheduler_says(status: dict[str, Any]) -> str:
    conditions = status.get("conditions") or ()
    scheduled: dict[str, str] = next((c for c in conditions if c.get("type") == "PodScheduled"), {})
    return scheduled.get("message", "")


def _joined(*parts: str | None) -> str:
    return ": ".join(part for part in parts if part)
