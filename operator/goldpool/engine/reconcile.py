"""One pass over one key: gather, plan, effects in order, one status, afterwards."""

from collections.abc import Callable
from typing import Any

import structlog

from goldpool.engine.effects import Executor, Records, Writes
from goldpool.engine.metrics import EngineKey, Metrics
from goldpool.engine.plan import (
    AddFinalizer,
    Controller,
    Create,
    Delete,
    Outcome,
    Patch,
    PatchStatus,
    Plan,
    Record,
    RemoveFinalizer,
)
from goldpool.engine.status import StatusMemory, normal
from goldpool.kube.cache import Cache
from goldpool.kube.port import (
    AlreadyExists,
    Conflict,
    Key,
    KubeApi,
    KubeError,
    NotFound,
    Obj,
    Resource,
    key_of,
)

log = structlog.get_logger(__name__)


class Reconciler:
    """A crash, or an exception, after any write and a second run end in the same place: the pass keeps nothing."""

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        recorder: Records,
        metrics: Metrics,
        *,
        may_write: Callable[[], bool],
        requeue: Callable[[EngineKey], None],
    ) -> None:
        self._api = api
        self._cache = cache
        self._recorder = recorder
        self._metrics = metrics
        self._may_write = may_write
        self._requeue = requeue
        self._executors: dict[type[Any], Executor] = {}
        self._statuses = StatusMemory()
        self._own_status: dict[EngineKey, list[str]] = {}
        """While a status is being written: the versions of status-only changes that came meanwhile."""

    def register_executor(self, effect: type[Any], execute: Executor) -> None:
        if effect in self._executors:
            raise ValueError(f"two executors for {effect.__name__}")
        self._executors[effect] = execute

    async def run(self, controller: Controller[Any], key: Key) -> tuple[Outcome, float | None]:
        """The outcome, and after how many seconds the key wants to come again. Raises what went wrong."""
        # Before gather: should gather see something newer, the guard is too old, and the pass is merely repeated.
        primary = self._cache.at(controller.resource, key)
        try:
            observed = await controller.gather(key)
        except NotFound:
            observed = None
        if observed is None:
            self._statuses.forget((controller.name, key))
            return Outcome(key, "gone"), None
        plan = controller.plan(observed)
        writes = Writes(self._api, self._cache, self._may_write)
        done = 0
        for effect in plan.effects:
            done += 1
            if await self._execute(controller.name, effect, writes):
                return Outcome(key, "again", effects=done), None
        wrote = await self._status(controller, key, primary, plan, writes)
        for effect in plan.afterwards:
            done += 1
            await self._execute(controller.name, effect, writes)
        return Outcome(key, "success", effects=done, wrote_status=wrote), plan.again_after

    # --- effects

    async def _execute(self, controller: str, effect: Any, writes: Writes) -> bool:
        """True if the pass ends here."""
        kind = type(effect).__name__
        try:
            ends = await self._dispatch(effect, writes)
        except (Conflict, AlreadyExists, NotFound) as error:
            self._metrics.effects.labels(controller, kind, "conflict").inc()
            log.info("effect lost a race", effect=kind, error=error.message)
            await self._look_again(effect)
            raise
        except Exception:
            self._metrics.effects.labels(controller, kind, "error").inc()
            raise
        self._metrics.effects.labels(controller, kind, "success").inc()
        return ends

    async def _dispatch(self, effect: Any, writes: Writes) -> bool:
        match effect:
            case Create():
                await writes.create(effect)
            case Patch():
                await writes.patch(effect)
            case PatchStatus():
                await writes.patch_status(effect)
            case Delete():
                await writes.delete(effect)
            case AddFinalizer():
                return await writes.add_finalizer(effect)
            case RemoveFinalizer():
                await writes.remove_finalizer(effect)
            case Record():
                self._recorder.record(effect)
            case _:
                execute = self._executors.get(type(effect))
                if execute is None:
                    raise TypeError(f"no executor for {type(effect).__name__}")
                await execute(effect)
        return False

    async def _look_again(self, effect: Any) -> None:
        """After a conflict the cache may lag: without a look, the repeated pass would lose the same race again."""
        match effect:
            case Create():
                if "name" in effect.obj["metadata"]:
                    await self._refresh(effect.resource, key_of(effect.resource, effect.obj))
            case AddFinalizer() | RemoveFinalizer():
                await self._refresh(effect.resource, key_of(effect.resource, effect.obj))
            case Patch() | PatchStatus() | Delete():
                await self._refresh(effect.resource, Key(effect.resource.kind, effect.namespace, effect.name))

    async def _refresh(self, resource: Resource, key: Key) -> None:
        stale = self._cache.at(resource, key)
        try:
            self._cache.observe_write(resource, await self._api.get(resource, key.name, key.namespace))
        except NotFound:
            if stale is not None:
                self._cache.remove(resource, stale)
        except KubeError as error:
            log.info("no second look", error=error.message)

    # --- status

    async def _status(
        self, controller: Controller[Any], key: Key, primary: Obj | None, plan: Plan, writes: Writes
    ) -> bool:
        if plan.status is None or primary is None:
            return False
        owner = (controller.name, key)
        resource = controller.resource
        obj = writes.newest(resource, primary)
        desired = normal(plan.status)
        if not self._statuses.differs(owner, desired, obj, getattr(controller, "foreign_status", ())):
            return False
        answer: Obj | None = None
        self._own_status[owner] = []
        try:
            answer = await writes.apply_status(resource, obj, desired)
            self._cache.observe_write(resource, answer)
        except NotFound:
            self._statuses.forget(owner)  # it went meanwhile, perhaps with the finalizer this pass removed
            return False
        except Conflict:
            await self._refresh(resource, key)
            raise
        finally:
            self._settle_own_status(owner, answer)
        self._statuses.applied(owner, desired, answer)
        return True

    def writes_status(self, owner: EngineKey) -> bool:
        return owner in self._own_status

    def saw_own_status(self, owner: EngineKey, obj: Obj) -> bool:
        """Keeps the change back until the answer tells whose it was."""
        self._own_status[owner].append(obj["metadata"]["resourceVersion"])
        return True

    def _settle_own_status(self, owner: EngineKey, answer: Obj | None) -> None:
        seen = self._own_status.pop(owner)
        ours = answer["metadata"]["resourceVersion"] if answer is not None else None
        if any(version != ours for version in seen):
            self._requeue(owner)
