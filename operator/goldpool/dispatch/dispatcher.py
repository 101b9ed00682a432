"""The I/O around the book: Jobs are created, read and deleted here."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Protocol

import structlog

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.report import FailureReason
from goldpool.dispatch import record
from goldpool.dispatch.book import Book, OnEnd, Start
from goldpool.dispatch.creation import Created, Refused, Taken, create_job
from goldpool.dispatch.jobs import Jobs, has_ended
from goldpool.dispatch.outcome import Outcome
from goldpool.dispatch.pods import Executing, Starting, Stopped, has_stopped, job_of
from goldpool.dispatch.progress import follow
from goldpool.dispatch.record import JobKind
from goldpool.dispatch.request import Ask, Settle
from goldpool.dispatch.settings import DispatchSettings
from goldpool.dispatch.watch import Watched
from goldpool.kube.port import Change, Key, KubeApi, KubeError, Obj, Resource
from goldpool.kube.resources import JOB, POD, STORAGE_LOCATION

log = structlog.get_logger(__name__)


class JobsAndPods(Protocol):
    """Read access to the cached Jobs and Pods."""

    def list(self, resource: Resource, namespace: str | None = None) -> Iterable[Obj]: ...


class Dispatcher:
    """Each operation that is asked for ends in exactly one outcome, and is never in two Jobs at once.

    Everything runs in one event loop. ``ask``, ``settle`` and ``observe`` only note what is to be done; ``run`` does
    it, each Job in a task of its own, so that no slow request holds up another Job.
    """

    def __init__(
        self,
        kube: KubeApi,
        cache: JobsAndPods,
        *,
        settings: DispatchSettings,
        wake: Callable[[Key], None],
        clock: Callable[[], datetime],
        ended: OnEnd = lambda *_: None,
    ) -> None:
        self._jobs = Jobs(kube, settings)
        self._cache = cache
        self._settings = settings
        self._wake = wake
        self._clock = clock
        self._book = Book(settings.limits, ended)
        self._watched: dict[str, Watched] = {}
        self._early: dict[str, Obj] = {}
        self._facts: dict[str, tuple[LocationFacts, datetime]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Event()
        self._rebuilt = False

    # --- what controllers say and read

    def outcome(self, operation_id: str) -> Outcome | None:
        """None: nobody asked, or it is settled."""
        return self._book.outcome(operation_id)

    def facts(self, location: str) -> tuple[LocationFacts, datetime] | None:
        """How a Job last found the location, and when that was read (wall time)."""
        return self._facts.get(location)

    def load(self) -> tuple[int, dict[JobKind, int]]:
        """Operations that wait for a Job, and Jobs by kind, from their creation until they are gone."""
        jobs = Counter(flight.record.kind for flight in self._book.flights())
        return self._book.waiting(), {kind: jobs[kind] for kind in JobKind}

    async def ask(self, ask: Ask) -> None:
        """Does nothing for an operation that is in flight, or ended and not settled."""
        self._book.ask(ask.request, self._now())
        self._turn.set()

    async def settle(self, settle: Settle) -> None:
        """Forget the operation; its Job goes when all of its operations are settled."""
        self._book.settle(settle.operation_id)
        self._turn.set()

    async def users_of(self, name_on_disk: str) -> list[str]:
        """Names of the Jobs in flight that touch this parent, storageID or location, from an uncached list.

        The deletion of that very name is no user of it, so a deleter does not find itself.
        """
        return await self._jobs.users_of(name_on_disk)

    # --- what the cluster says

    def observe(self, change: Change) -> None:
        """The cache's listener for Jobs and Pods of the data namespace. Never blocks."""
        if change.key.namespace != self._settings.namespace:
            return
        if change.resource == POD:
            self._observe_pod(change)
        elif change.resource == JOB and change.new is None and change.key.name in self._watched:
            self._spawn(self._verify(change.key.name))

    def _observe_pod(self, change: Change) -> None:
        pod = change.new or change.old
        job = job_of(pod) if pod is not None else None
        if pod is None or job is None:
            return
        watched = self._watched.get(job[0])
        if watched is None or watched.uid != job[1]:
            # The pod may be seen before the answer to the POST of its Job is read.
            if change.new is None:
                self._early.pop(job[0], None)
            elif self._book.flight(job[0]) is not None:
                self._early[job[0]] = pod
            return
        watched.sees(pod, self._now())
        if change.new is None:
            watched.loses(pod)
        self._look(watched)

    # --- the background task

    async def rebuild(self) -> None:
        """Every Job in flight is known again. A new leader calls it before ``run``; what was asked before is kept."""
        jobs, pods = await self._jobs.every()
        now = self._now()
        for job in jobs:
            self._adopt(job, now)
        for pod in pods:
            self._observe_pod(Change(POD, Key("Pod", self._settings.namespace, ""), None, pod))
        self._rebuilt = True
        log.info("jobs found", jobs=len(jobs))

    async def run(self) -> None:
        """Form batches, create Jobs, read results, follow progress; until cancelled."""
        try:
            while not self._rebuilt:
                try:
                    await self.rebuild()
                except KubeError as error:
                    log.warning("jobs not listed", error=error.message)
                    await asyncio.sleep(self._settings.retry_seconds)
            sweep_at = self._now() + self._settings.sweep_seconds
            while True:
                self._turn.clear()
                now = self._now()
                if now >= sweep_at:
                    sweep_at = now + self._settings.sweep_seconds
                    self._sweep()
                self._pass(now)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._next_time(now, sweep_at) - self._now())):
                        await self._turn.wait()
        finally:
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pass(self, now: float) -> None:
        for start in self._book.take(now):
            self._spawn(self._start(start))
        for name in self._book.removable(now):
            watched = self._watched.get(name)
            if watched is not None and not watched.removing:
                watched.removing = True
                self._spawn(self._remove(watched))
        for watched in [*self._watched.values()]:
            due = watched.due_at(self._settings)
            flight = self._book.flight(watched.name)
            if due is not None and due <= now and flight is not None and not flight.over:
                watched.examined_at = now
                self._spawn(self._examine(watched))

    def _next_time(self, now: float, sweep_at: float) -> float:
        due = (watched.due_at(self._settings) for watched in self._watched.values())
        book = self._book.next_time(now)
        return min(
            sweep_at,
            book if book is not None else sweep_at,
            min((time for time in due if time is not None and time > now), default=sweep_at),
        )

    def _sweep(self) -> None:
        """A missed event must not hang an operation: what is in flight is compared with the cache and, where that
        says nothing, with the server."""
        self._book.forget_old(self._now())
        seen: set[tuple[str, str]] = set()
        for pod in self._cache.list(POD, self._settings.namespace):
            job = job_of(pod)
            if job is not None and (watched := self._watched.get(job[0])) is not None:
                watched.sees(pod, self._now())
                seen.add(job)
        for watched in [*self._watched.values()]:
            self._look(watched)
            flight = self._book.flight(watched.name)
            lost = watched.host_lost(self._settings, self._clock())
            if lost is not None and flight is not None and not flight.over:
                self._give_up(watched, lost.reason, lost.message)
            elif watched.removing or watched.pod_gone or (watched.name, watched.uid) not in seen:
                self._spawn(self._verify(watched.name))

    # --- one Job, from its creation to its end

    async def _start(self, start: Start) -> None:
        name = start.record.name
        match await create_job(self._jobs, start, self._settings.retry_seconds):
            case Created(job):
                self._watch(job)
            case Taken(job):
                self._book.refused(name, self._now() + self._settings.retry_seconds)
                self._early.pop(name, None)
                if job is not None:
                    self._adopt(job, self._now())
                    await self._verify(name)
            case Refused(message):
                self._tell(self._book.give_up(name, FailureReason.LOST, message, self._now()))
                self._gone(name)

    def _adopt(self, job: Obj, now: float) -> None:
        try:
            found = record.read_record(job)
        except ValueError as error:
            log.warning("job not understood", job=job["metadata"]["name"], error=str(error))
            return
        if self._book.flight(found.name) is None:
            self._book.adopt(found, now)
            self._watch(job)

    def _watch(self, job: Obj) -> None:
        name = job["metadata"]["name"]
        watched = self._watched[name] = Watched(name, job["metadata"]["uid"], self._now())
        early = self._early.pop(name, None)
        if early is not None:
            watched.sees(early, self._now())
            self._look(watched)

    def _look(self, watched: Watched) -> None:
        """Draws the conclusion from the pod's state. Idempotent."""
        flight = self._book.flight(watched.name)
        if flight is None or self._watched.get(watched.name) is not watched:
            return
        match watched.state:
            case Stopped(report, why) if not flight.stopped:
                for facts in report.locations if report is not None else ():
                    self._facts[facts.location] = (facts, self._clock())
                    self._wake(Key(STORAGE_LOCATION.kind, "", facts.location))
                self._tell(self._book.ended(watched.name, report, self._now(), why))
                log.info("job ended", job=watched.name, reported=report is not None, why=why)
            case Executing() if flight.record.kind is JobKind.FETCH and not watched.following:
                watched.following = True
                self._spawn(follow(self._jobs, self._book, watched, self._settings, self._tell))
            case _:
                pass
        if watched.pod_gone and not flight.over:
            self._spawn(self._verify(watched.name))
        self._turn.set()

    async def _examine(self, watched: Watched) -> None:
        """It has not started in time: why, and is that the end?"""
        obstacle = ""
        if isinstance(watched.state, Starting) and watched.pod is not None:
            obstacle = await self._jobs.failed_mount(watched.pod["metadata"]["name"])
        late = watched.late(obstacle, self._settings, self._now())
        if late is not None:
            self._give_up(watched, late.reason, late.message)

    def _give_up(self, watched: Watched, reason: FailureReason, message: str) -> None:
        if self._watched.get(watched.name) is not watched:
            return
        log.warning("job given up", job=watched.name, reason=reason, message=message)
        self._tell(self._book.give_up(watched.name, reason, message, self._now()))
        self._turn.set()

    async def _remove(self, watched: Watched) -> None:
        # Foreground waits for the pod: a Job whose process still runs keeps its name, and so its slot.
        background = isinstance(watched.state, Stopped)
        if not await self._jobs.delete(watched.name, watched.uid, background=background):
            await asyncio.sleep(self._settings.retry_seconds)
            watched.removing = False
            return
        log.info("job deleted", job=watched.name, background=background)
        if self._watched.get(watched.name) is not watched:
            return  # It was seen to go before this answer came, and its name may be another Job's by now.
        if background:
            self._gone(watched.name)
        else:
            await self._verify(watched.name)

    async def _verify(self, name: str) -> None:
        """Asks the server itself what is left of the Job."""
        watched = self._watched.get(name)
        if watched is None:
            return
        job, pods = await self._jobs.left_of(name)
        if self._watched.get(name) is not watched:
            return
        own = [pod for pod in pods if job_of(pod) == (name, watched.uid)]
        for pod in own:
            watched.sees(pod, self._now())
        self._look(watched)
        if job is None or job["metadata"]["uid"] != watched.uid:
            if all(has_stopped(pod) for pod in own):
                self._gone(name)
        elif not own and (watched.pod is not None or has_ended(job)):
            # Its pod is gone without a word: deleted by force, or with its Node.
            self._tell(self._book.ended(name, None, self._now(), "its pod is gone"))
            self._turn.set()

    def _gone(self, name: str) -> None:
        self._watched.pop(name, None)
        self._early.pop(name, None)
        self._tell(self._book.gone(name, self._now()))
        self._turn.set()

    # --- small things

    def _tell(self, owners: Iterable[Key]) -> None:
        for owner in owners:
            self._wake(owner)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """What fails here is done again by the sweep; it must not end the dispatcher."""
        try:
            await work
        except KubeError as error:
            log.warning("request failed", error=error.message, status=error.status)
        except Exception:
            log.exception("dispatch failed")
        finally:
            self._turn.set()

    def _now(self) -> float:
        return time.monotonic()
