"""The work queue: which keys need a pass, and when. After client-go's workqueue, with two priorities."""

import asyncio
import heapq
import random
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from goldpool.engine.clock import Clock, SystemClock

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


class QueueObserver(Protocol[K_contra]):
    """What metrics want to know. Times are in seconds."""

    def added(self, key: K_contra) -> None: ...

    def started(self, key: K_contra, waited: float) -> None: ...

    def finished(self, key: K_contra, took: float) -> None: ...

    def retried(self, key: K_contra) -> None: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """``base * 2**failures`` seconds, at most ``cap``, and then somewhere between half of it and all of it."""

    base: float = 0.5
    cap: float = 300.0

    def after(self, failures: int, random_: random.Random) -> float:
        return float(min(self.base * 2 ** min(failures, 32), self.cap) * random_.uniform(0.5, 1.0))


class Schedule(Generic[K]):
    """The queue without its waiting: all decisions, no I/O.

    A key is at most once among the waiting, and never processed twice at the same time. An add during processing
    guarantees one more pass after ``done``. Of several times for one key the earliest counts. Keys of low priority
    wait until no other is due; an ordinary add lifts them.
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self._high: OrderedDict[K, float] = OrderedDict()
        self._low: OrderedDict[K, float] = OrderedDict()
        self._dirty: dict[K, bool] = {}
        """Added while processed; True if by an ordinary add."""
        self._processing: dict[K, float] = {}
        self._due_at: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._timer_number = 0
        self._failures: dict[K, int] = {}
        self._random = random.Random(seed)  # noqa: S311

    def add(self, key: K, now: float, *, low: bool = False) -> bool:
        """True if the key was not waiting yet."""
        if key in self._processing:
            known = key in self._dirty
            self._dirty[key] = self._dirty.get(key, False) or not low
            return not known
        if key in self._high:
            return False
        since = self._low.pop(key, None)
        if since is not None and low:
            self._low[key] = since
            return False
        (self._low if low else self._high)[key] = since if since is not None else now
        return since is None

    def add_at(self, key: K, when: float) -> None:
        known = self._due_at.get(key)
        if known is not None and known <= when:
            return
        self._due_at[key] = when
        self._timer_number += 1
        heapq.heappush(self._timers, (when, self._timer_number, key))

    def failed(self, key: K, backoff: Backoff) -> float:
        """Counts one more failure; seconds to wait before the next pass."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return backoff.after(failures, self._random)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)

    def succeeded(self, key: K) -> None:
        self._failures.pop(key, None)

    def release_due(self, now: float) -> None:
        """Moves the keys whose time has come to the waiting."""
        while self._timers and self._timers[0][0] <= now:
            when, _, key = heapq.heappop(self._timers)
            if self._due_at.get(key) == when:
                del self._due_at[key]
                self.add(key, now)

    def next_due(self) -> float | None:
        """When the earliest timer fires; None without timers."""
        while self._timers and self._due_at.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def take(self, now: float) -> tuple[K, float] | None:
        """The next key, now being processed, and how long it waited."""
        waiting = self._high or self._low
        if not waiting:
            return None
        key, since = waiting.popitem(last=False)
        self._processing[key] = now
        return key, now - since

    def done(self, key: K, now: float) -> float:
        """The pass ended; seconds it took."""
        took = now - self._processing.pop(key)
        if key in self._dirty:
            self.add(key, now, low=not self._dirty.pop(key))
        return took

    def waiting(self) -> list[K]:
        return [*self._high, *self._low]

    def processing(self) -> dict[K, float]:
        """Keys being processed, and since when."""
        return dict(self._processing)

    def delayed(self) -> dict[K, float]:
        return dict(self._due_at)

    def __len__(self) -> int:
        return len(self._high) + len(self._low)


class QueueClosed(Exception):
    """The queue gives out no more keys."""


class WorkQueue(Generic[K]):
    """``Schedule`` with waiting. All calls from one event loop."""

    def __init__(
        self, *, clock: Clock | None = None, observer: QueueObserver[K] | None = None, seed: int | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._schedule: Schedule[K] = Schedule(seed=seed)
        self._observer = observer
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, key: K, *, low: bool = False) -> None:
        if self._schedule.add(key, self._clock.monotonic(), low=low) and self._observer is not None:
            self._observer.added(key)
        self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """In ``delay`` seconds; an earlier pending time wins."""
        self._schedule.add_at(key, self._clock.monotonic() + max(0.0, delay))
        self._wake()

    def add_failed(self, key: K, backoff: Backoff, *, at_least: float = 0.0) -> float:
        """After a backoff that grows until ``succeeded``; seconds until then."""
        delay = max(self._schedule.failed(key, backoff), at_least)
        if self._observer is not None:
            self._observer.retried(key)
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        self._schedule.succeeded(key)

    async def get(self) -> K:
        """The next key; ``done`` must follow. Raises QueueClosed."""
        while not self._closed:
            now = self._clock.monotonic()
            self._schedule.release_due(now)
            taken = self._schedule.take(now)
            if taken is not None:
                self._idle.clear()
                if self._observer is not None:
                    self._observer.started(*taken)
                self._wake()
                return taken[0]
            waiter = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = None
            self._arm()
            try:
                await waiter
            except asyncio.CancelledError:
                self._waiters.pop(waiter, None)
                self._wake()  # the wake-up may have been meant for us, and must reach another
                raise
            self._waiters.pop(waiter, None)
        raise QueueClosed

    def done(self, key: K) -> None:
        took = self._schedule.done(key, self._clock.monotonic())
        if self._observer is not None:
            self._observer.finished(key, took)
        if not self._schedule.processing():
            self._idle.set()
        self._wake()

    def close(self) -> None:
        """No more keys are given out; those being processed may end."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self) -> None:
        """Returns when nothing is being processed."""
        await self._idle.wait()

    @property
    def schedule(self) -> Schedule[K]:
        """For metrics and tests: look, do not touch."""
        return self._schedule

    def _wake(self) -> None:
        """Lets one sleeping worker look again; it wakes the next one if there is more."""
        if len(self._schedule):
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._arm()

    def _arm(self) -> None:
        due = self._schedule.next_due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and not self._closed:
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._schedule.release_due(self._clock.monotonic())
        self._wake()
