"""Runs controllers: changes become keys, keys become passes, passes become writes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from goldpool.engine.clock import Clock, SystemClock
from goldpool.engine.effects import Executor, LeadershipLost, Records
from goldpool.engine.metrics import EngineKey, Metrics
from goldpool.engine.plan import Controller, EventKind, Outcome, Record, Soon
from goldpool.engine.queue import Backoff, QueueClosed, WorkQueue
from goldpool.engine.reconcile import Reconciler
from goldpool.engine.status import only_status_changed
from goldpool.kube.cache import Cache
from goldpool.kube.port import (
    AlreadyExists,
    Change,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    Key,
    KubeApi,
    KubeError,
    NotFound,
    Unavailable,
)

PROMPTLY: Final = Backoff(base=0.05, cap=5.0)
"""Somebody else wrote first: look again."""
LATER: Final = Backoff(base=0.5, cap=60.0)
"""The API server is away or overloaded."""
MUCH_LATER: Final = Backoff(base=5.0, cap=300.0)
"""It will not work until somebody changes something."""
DEFECT: Final = Backoff(base=1.0, cap=300.0)

log = structlog.get_logger(__name__)


class Engine:
    """Every change leads to a pass over each key it affects; passes over one key never overlap; a pass that fails is
    repeated. Keys gather from the start, also on a standby; nothing is written before ``start``, nor when ``may_write``
    says no.

    Own status writes do not bring the key back to its own controller, unless it sets ``ignores_own_status = False``;
    anybody else's do, and other controllers hear of all. A controller may name in ``foreign_status`` the top-level
    status fields that others write with ``PatchStatus``.
    """

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        recorder: Records,
        *,
        workers: int = 32,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self.metrics = metrics or Metrics()
        self._clock = clock or SystemClock()
        self._recorder = recorder
        self._workers = workers
        self._controllers: dict[str, Controller[Any]] = {}
        self._queue: WorkQueue[EngineKey] = WorkQueue(clock=self._clock, observer=self.metrics)
        self._reconciler = Reconciler(
            api, cache, recorder, self.metrics, may_write=may_write, requeue=self._queue.add
        )
        self._cache = cache
        self._tasks: list[asyncio.Task[None]] = []
        self._before_work: list[Callable[[], Awaitable[None]]] = []
        self._passes: list[Callable[[str, Outcome], None]] = []
        self.metrics.watch_queue(self._queue.schedule)
        cache.add_listener(self._on_change)

    # --- wiring

    def register(self, controller: Controller[Any]) -> None:
        """Before the sources run. What the cache already holds is queued at once."""
        if controller.name in self._controllers:
            raise ValueError(f"two controllers named {controller.name!r}")
        self._controllers[controller.name] = controller
        self.metrics.start_controller(controller.name, self._workers)
        for key in self._cache.keys(controller.resource):
            self._queue.add((controller.name, key), low=True)

    def register_executor(self, effect: type[Any], execute: Executor) -> None:
        """How effects of a type unknown to the engine are carried out."""
        self._reconciler.register_executor(effect, execute)

    def before_work(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Awaited by ``start``, in order, before the first pass; repeated while the API server is unavailable."""
        self._before_work.append(callback)

    def on_pass(self, callback: Callable[[str, Outcome], None]) -> None:
        """Called with the controller's name after each pass."""
        self._passes.append(callback)

    def enqueue(self, controller: str, key: Key, *, after: float = 0.0) -> None:
        """Something outside the cache changed (an operation's result), or will in ``after`` seconds."""
        if after > 0.0:
            self._queue.add_after((controller, key), after)
        else:
            self._queue.add((controller, key))

    @property
    def queue(self) -> WorkQueue[EngineKey]:
        return self._queue

    # --- life

    async def start(self) -> None:
        """Begins to work. Call it when this replica leads and its caches are synced."""
        for callback in self._before_work:
            await _until_available(callback)
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(self._workers)
        ]

    async def stop(self, grace: float = 20.0) -> None:
        """No new passes; those running may end within ``grace`` seconds, then they are cut off (which is safe)."""
        self._queue.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._queue.drained(), grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- inside

    def _on_change(self, change: Change) -> None:
        for name, controller in self._controllers.items():
            try:
                keys = {*controller.affected(change)}
            except Exception:
                log.exception("affected failed", controller=name, change=str(change.key))
                continue
            for key in keys:
                if isinstance(key, Soon):
                    if key.key not in keys:
                        self._queue.add_after((name, key.key), key.seconds)
                elif not self._is_own_status(controller, key, change):
                    self._queue.add((name, key), low=change.initial)

    def _is_own_status(self, controller: Controller[Any], key: Key, change: Change) -> bool:
        return (
            key == change.key
            and change.resource == controller.resource
            and change.new is not None
            and self._reconciler.writes_status((controller.name, key))
            and getattr(controller, "ignores_own_status", True)
            and only_status_changed(change)
            and self._reconciler.saw_own_status((controller.name, key), change.new)
        )

    async def _work(self) -> None:
        while True:
            try:
                owner = await self._queue.get()
            except QueueClosed:
                return
            try:
                await self._process(owner)
            except LeadershipLost:
                self._queue.close()
            finally:
                self._queue.done(owner)

    async def _process(self, owner: EngineKey) -> None:
        name, key = owner
        controller = self._controllers[name]
        started = self._clock.monotonic()
        fields = {"controller": name, "kind": key.kind, "namespace": key.namespace, "name": key.name}
        self.metrics.workers_active.labels(name).inc()
        with structlog.contextvars.bound_contextvars(**fields):
            try:
                outcome, again_after = await self._reconciler.run(controller, key)
                self._queue.succeeded(owner)
                if outcome.result == "again":
                    self._queue.add(owner)
                elif again_after is not None:
                    self._queue.add_after(owner, again_after)
                result = (
                    "requeue_after" if again_after is not None else _LABELS.get(outcome.result, "success")
                )
            except LeadershipLost:
                raise
            except Exception as error:
                outcome, result = self._failed(owner, error), "error"
            finally:
                self.metrics.workers_active.labels(name).dec()
        self.metrics.reconciles.labels(name, result).inc()
        self.metrics.reconcile_seconds.labels(name).observe(self._clock.monotonic() - started)
        for callback in self._passes:
            callback(name, outcome)

    def _failed(self, owner: EngineKey, error: Exception) -> Outcome:
        name, key = owner
        self.metrics.reconcile_errors.labels(name).inc()
        at_least = 0.0
        match error:
            case Conflict() | AlreadyExists() | NotFound() | Expired():
                backoff, result = PROMPTLY, "conflict"
                log.info("pass repeated", error=error.message)
            case Unavailable():
                backoff, result = LATER, "unavailable"
                at_least = error.retry_after or 0.0
                log.warning("api server unavailable", error=error.message)
            case Invalid() | Forbidden():
                backoff, result = MUCH_LATER, "refused"
                self.metrics.terminal_errors.labels(name).inc()
                log.error("write refused", error=error.message, status=error.status, reason=error.reason)
                self._tell_user(name, key, error)
            case _:
                backoff, result = DEFECT, "defect"
                log.error("pass failed", exc_info=error)
        delay = self._queue.add_failed(owner, backoff, at_least=at_least)
        return Outcome(key, result, fields={"error": str(error), "again_in": delay})

    def _tell_user(self, name: str, key: Key, error: KubeError) -> None:
        obj = self._cache.at(self._controllers[name].resource, key)
        if obj is not None:
            note = f"The API server refused a write of the {name} controller: {error.message}"
            self._recorder.record(Record(obj, EventKind.WARNING, "WriteRefused", "Reconcile", note))


_LABELS: Final = {"again": "requeue"}


async def _until_available(callback: Callable[[], Awaitable[None]]) -> None:
    pause = 0.5
    while True:
        try:
            return await callback()
        except Unavailable as error:
            log.warning("start delayed", error=error.message)
            await asyncio.sleep(max(pause, error.retry_after or 0.0))
            pause = min(pause * 2, 10.0)
