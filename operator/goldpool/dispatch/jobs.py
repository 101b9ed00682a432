"""The requests the dispatcher makes, each against the server itself and never a cache."""

from collections.abc import AsyncIterator, Sequence

from goldpool.dispatch import manifest, record
from goldpool.dispatch.book import Start
from goldpool.dispatch.pods import JOB_NAME, has_stopped, job_of, jobs_stopped
from goldpool.dispatch.settings import DispatchSettings
from goldpool.kube.port import Conflict, KubeApi, KubeError, NotFound, Obj, Propagation
from goldpool.kube.resources import EVENT, JOB, POD


class Jobs:
    """Storage Jobs and their pods in the data namespace."""

    def __init__(self, kube: KubeApi, settings: DispatchSettings) -> None:
        self._kube = kube
        self._settings = settings
        self._namespace = settings.namespace

    async def create(self, start: Start) -> Obj:
        """Raises AlreadyExists: the name is the mutex."""
        return await self._kube.create(JOB, manifest.job(start.record, start.requests, self._settings))

    async def get(self, name: str) -> Obj | None:
        try:
            return await self._kube.get(JOB, name, self._namespace)
        except NotFound:
            return None

    async def delete(self, name: str, uid: str, *, background: bool) -> bool:
        """True if this very Job is on its way out, or was gone already. False: try again."""
        propagation = Propagation.BACKGROUND if background else Propagation.FOREGROUND
        try:
            await self._kube.delete(JOB, name, self._namespace, uid=uid, propagation=propagation)
        except (NotFound, Conflict):
            return True
        except KubeError:
            return False
        return True

    async def every(self) -> tuple[Sequence[Obj], Sequence[Obj]]:
        """All our Jobs, and then their pods, so that no Job is missing whose pod was seen."""
        jobs = await self._kube.list(JOB, self._namespace, labels=record.SELECTOR)
        return jobs, await self._kube.list(POD, self._namespace, labels=record.SELECTOR)

    async def unfinished_pods(self, job: str) -> list[str]:
        """Pods of any Job of this name, earlier ones too, that may still run."""
        return [pod["metadata"]["name"] for pod in await self._pods(job) if not has_stopped(pod)]

    async def left_of(self, job: str) -> tuple[Obj | None, Sequence[Obj]]:
        found = await self.get(job)
        return found, await self._pods(job)

    async def failed_mount(self, pod: str) -> str:
        """The kubelet's last word on why a volume is missing: it stands only in an Event (jobs.md §7)."""
        try:
            events = await self._kube.list(EVENT, self._namespace, fields=f"regarding.name={pod}")
        except KubeError:
            return ""  # without it the wait is longer and the message shorter, nothing else
        notes = [event.get("note", "") for event in events if event.get("reason") == "FailedMount"]
        return notes[-1] if notes else ""

    async def users_of(self, name_on_disk: str) -> list[str]:
        jobs, pods = await self.every()
        return [
            job["metadata"]["name"] for job in jobs if _uses(job, name_on_disk) and not _stopped(job, pods)
        ]

    def follow_log(self, pod: str) -> AsyncIterator[str]:
        return self._kube.follow_pod_log(pod, self._namespace)

    async def _pods(self, job: str) -> Sequence[Obj]:
        return await self._kube.list(POD, self._namespace, labels=f"{JOB_NAME}={job}")


def _uses(job: Obj, name: str) -> bool:
    try:
        return any(operation.uses(name) for operation in record.read_record(job).operations)
    except ValueError:
        return True  # what cannot be read may use anything


def _stopped(job: Obj, pods: Sequence[Obj]) -> bool:
    own = (job["metadata"]["name"], job["metadata"]["uid"])
    return jobs_stopped(pod for pod in pods if job_of(pod) == own)


def has_ended(job: Obj) -> bool:
    """By the Job controller's word: seconds late, but it outlives the pod."""
    status = job.get("status") or {}
    conditions = status.get("conditions") or ()
    return bool(status.get("failed")) or any(
        c.get("type") in {"Failed", "Complete"} and c.get("status") == "True" for c in conditions
    )
