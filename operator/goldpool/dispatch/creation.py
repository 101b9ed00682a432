"""Creating a Job whose name is the mutex: what came of it, as data."""

import asyncio
from dataclasses import dataclass

import structlog

from goldpool.dispatch import record
from goldpool.dispatch.book import Start
from goldpool.dispatch.jobs import Jobs
from goldpool.kube.port import AlreadyExists, KubeError, Obj, Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Created:
    """By this call, or by an earlier try of it whose answer was lost."""

    job: Obj


@dataclass(frozen=True, slots=True)
class Taken:
    """The name is in use: by another Job (of an earlier leader, say), or by pods of one that is gone."""

    job: Obj | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A quota, a policy, a missing namespace: there is no Job, and asking again at once would not help."""

    message: str


async def create_job(jobs: Jobs, start: Start, retry_seconds: float) -> Created | Taken | Refused:
    """Returns only when it is certain whether the Job exists, however long the API server is away."""
    uncertain = False
    while True:
        try:
            return await _try(jobs, start, again=uncertain)
        except Unavailable as error:
            # The Job may be there all the same. Its name makes a second try harmless; giving up would not be.
            uncertain, pause = True, error.retry_after or retry_seconds
            log.warning("job not created", job=start.record.name, error=error.message)
        except KubeError as error:
            log.error("job refused", job=start.record.name, error=error.message, status=error.status)
            if not uncertain:
                return Refused(f"the Job was refused: {error.message}")
            pause = retry_seconds
        await asyncio.sleep(pause)


async def _try(jobs: Jobs, start: Start, *, again: bool) -> Created | Taken:
    name = start.record.name
    # An earlier Job of this name may be gone while its process runs on, on a host that lost touch. A second try must
    # not take the pod of the first, which was created after all, for such a one.
    if not again and (pods := await jobs.unfinished_pods(name)):
        log.info("slot not free", job=name, pods=pods)
        return await _holder(jobs, start)
    try:
        job = await jobs.create(start)
    except AlreadyExists:
        return await _holder(jobs, start)
    log.info("job created", job=name, operations=len(start.requests), host=start.record.lane.host)
    return Created(job)


async def _holder(jobs: Jobs, start: Start) -> Created | Taken:
    """Who has the name: a Job of exactly these operations is as good as our own, whoever created it."""
    found = await jobs.get(start.record.name)
    if found is not None and found["metadata"].get("annotations") == record.annotations(start.record):
        return Created(found)
    return Taken(found)
