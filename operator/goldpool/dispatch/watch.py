"""One Job of ours as the dispatcher sees it: which pod, in what state, since when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.dispatch.pods import PodState, Starting, Stopped, Unscheduled, job_of, read_pod
from goldpool.dispatch.settings import DispatchSettings
from goldpool.kube.port import Obj

_LATE_FACTOR: Final = 3
"""A pod whose kubelet names no obstacle may just be slow: images being unpacked, a hundred pods at once."""


@dataclass(frozen=True, slots=True)
class Late:
    """Why a Job is given up. ``certain``: the kubelet or the scheduler said so, time alone did not."""

    reason: FailureReason
    message: str


@dataclass(slots=True)
class Watched:
    """``uid`` tells this Job from an earlier one of the same name. ``state`` is None before its pod was seen."""

    name: str
    uid: str
    since: float
    """When ``state`` began, on the dispatcher's clock."""
    pod: Obj | None = None
    state: PodState | None = None
    pod_gone: bool = False
    removing: bool = False
    following: bool = False
    examined_at: float = float("-inf")

    def sees(self, pod: Obj, now: float) -> None:
        """Takes the pod's newest state. A pod of another Job of this name is none of it."""
        if job_of(pod) != (self.name, self.uid):
            return
        state = read_pod(pod)
        if type(state) is not type(self.state):
            self.since = now
        self.pod, self.state = pod, state

    def loses(self, pod: Obj) -> None:
        """That pod was deleted; what it said last counts."""
        if self.pod is not None and self.pod["metadata"]["uid"] == pod["metadata"]["uid"]:
            self.pod_gone = True

    def due_at(self, settings: DispatchSettings) -> float | None:
        """When to look (again) whether it is late."""
        begins = self._late_from(settings)
        return max(begins, self.examined_at + settings.retry_seconds) if begins is not None else None

    def _late_from(self, settings: DispatchSettings) -> float | None:
        match self.state:
            case Starting():
                return self.since + settings.start_seconds
            case Unscheduled():
                return self.since + settings.schedule_seconds
            case _:
                return None

    def host_lost(self, settings: DispatchSettings, wall: datetime) -> Late | None:
        """A pod outlives its deletion only if no kubelet carries it out (jobs.md §5: its process may run on)."""
        if self.pod is None or isinstance(self.state, Stopped):
            return None
        deleted = self.pod["metadata"].get("deletionTimestamp")
        if deleted is None:
            return None
        # deletionTimestamp lies in the future by the grace period.
        overdue = (wall - datetime.fromisoformat(deleted)).total_seconds()
        if overdue < settings.host_lost_seconds:
            return None
        host = self.pod["spec"].get("nodeName", "")
        return Late(
            FailureReason.LOST,
            f"host {host} does not answer: its pod outlived its deletion by {overdue:.0f} s",
        )

    def late(self, obstacle: str, settings: DispatchSettings, now: float) -> Late | None:
        """Why its operations fail now, or None to wait on. ``obstacle`` is the kubelet's last FailedMount, if any."""
        begins = self._late_from(settings)
        if begins is None or now < begins:
            return None
        match self.state:
            case Unscheduled(message):
                return Late(FailureReason.LOST, f"no node took the Job's pod: {message}")
            case Starting() as starting if starting.lacks_image:
                return Late(
                    FailureReason.LOST, f"the Job's image is absent: {starting.reason} {starting.message}"
                )
            case Starting() as starting:
                patience = settings.start_seconds * (1 if obstacle else _LATE_FACTOR)
                if now < self.since + patience:
                    return None
                said = obstacle or starting.message or starting.reason or "the kubelet gave no reason"
                return Late(
                    FailureReason.NOT_MOUNTED,
                    f"the Job did not start within {patience:g} s, the path is missing or not mounted: {said}",
                )
            case _:
                return None
