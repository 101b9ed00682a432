"""A toy controller and an operator process around it: client, cache, informer, engine."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from goldpool.engine.engine import Engine
from goldpool.engine.metrics import Metrics
from goldpool.engine.plan import AddFinalizer, Create, Delete, Outcome, Plan, RemoveFinalizer
from goldpool.engine.recorder import Recorder
from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.informer import Informer
from goldpool.kube.port import Change, Key, Obj, Resource
from tests.cluster.engine.world import a_toy, eventually

FINALIZER = "goldpool-test.io/toy"
CHILD = "goldpool-test.io/parent"
_MARK = "mark"


@dataclass(frozen=True)
class Seen:
    toy: Obj
    children: tuple[Obj, ...]


@dataclass
class ToyController:
    """A toy of size N has N children, a finalizer while it has any, and says so in its status."""

    cache: Cache
    resource: Resource
    name: str = "toy"
    plans: list[str] = field(default_factory=list)
    change_plan: Callable[[Seen, Plan], Plan] = lambda _, plan: plan
    while_gathering: Callable[[Obj], Awaitable[None]] | None = None

    async def gather(self, key: Key) -> Seen | None:
        toy = self.cache.at(self.resource, key)
        if toy is not None and self.while_gathering is not None:
            await self.while_gathering(toy)
        if toy is None or CHILD in toy["metadata"].get("labels", {}):
            return None
        children = self.cache.by_index(self.resource, "parent", toy["metadata"]["uid"])
        return Seen(toy, tuple(children))

    def plan(self, observed: Seen) -> Plan:
        self.plans.append(observed.toy["metadata"]["name"])
        return self.change_plan(observed, self._plan(observed))

    def affected(self, change: Change) -> Iterable[Key]:
        obj = change.new or change.old
        assert obj is not None
        parent = obj["metadata"].get("labels", {}).get(CHILD)
        yield Key("Toy", change.key.namespace, parent) if parent else change.key

    def _plan(self, seen: Seen) -> Plan:
        toy, meta = seen.toy, seen.toy["metadata"]
        names = {child["metadata"]["name"]: child for child in seen.children}
        if meta.get("deletionTimestamp"):
            gone = tuple(self._delete(child) for child in seen.children)
            return Plan(
                gone or (RemoveFinalizer(self.resource, toy, FINALIZER),), again_after=1.0 if gone else None
            )
        if FINALIZER not in meta.get("finalizers", ()):
            return Plan((AddFinalizer(self.resource, toy, FINALIZER),))
        wanted = {f"{meta['name']}-{n}" for n in range(toy["spec"]["size"])}
        missing = tuple(Create(self.resource, self._child(toy, name)) for name in sorted(wanted - {*names}))
        surplus = tuple(self._delete(child) for name, child in names.items() if name not in wanted)
        phase = "Settled" if not missing and not surplus else "Changing"
        status = {
            "phase": phase,
            "size": toy["spec"]["size"],
            "stamp": None,
            "observedGeneration": meta["generation"],
        }
        return Plan((*missing, *surplus), status)

    def _child(self, toy: Obj, name: str) -> Obj:
        meta = toy["metadata"]
        labels = {CHILD: meta["name"], "uid": meta["uid"]}
        return {
            "metadata": {"name": name, "namespace": meta["namespace"], "labels": labels},
            "spec": {"size": 0},
        }

    def _delete(self, child: Obj) -> Delete:
        meta = child["metadata"]
        return Delete(self.resource, meta["name"], meta["namespace"], meta["uid"])


@dataclass
class World:
    """One operator process: client, cache, informer, engine. ``crash`` ends it as SIGKILL would."""

    client: KubeClient
    resource: Resource
    namespace: str
    budget: int | None = None
    """How many writes it lives for."""
    watcher: KubeClient | None = None
    """Over which the informer watches, if not over ``client``."""

    async def __aenter__(self) -> "World":
        self.cache = Cache()
        self.cache.add_index(
            self.resource, "parent", lambda obj: filter(None, [obj["metadata"].get("labels", {}).get("uid")])
        )
        self.metrics = Metrics()
        self.recorder = Recorder(self.client, instance="test")
        self.engine = Engine(
            self.client, self.cache, self.recorder, workers=4, metrics=self.metrics, may_write=self._may_write
        )
        self.outcomes: list[Outcome] = []
        self.engine.on_pass(
            lambda _, outcome: None if outcome.key.name == _MARK else self.outcomes.append(outcome)
        )
        self._marks = 0
        self.controller = ToyController(self.cache, self.resource)
        self.engine.register(self.controller)
        self.informer = Informer(self.watcher or self.client, self.cache, self.resource, self.namespace)
        self.tasks = [asyncio.create_task(self.informer.run()), asyncio.create_task(self.recorder.run())]
        self.crashed = asyncio.Event()
        await self.informer.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop(grace=5)
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _may_write(self) -> bool:
        if self.budget is None:
            return True
        self.budget -= 1
        if self.budget < 0:
            self.crashed.set()
        return self.budget >= 0

    def toy(self, name: str = "a") -> Obj:
        obj = self.cache.get(self.resource, name, self.namespace)
        assert obj is not None
        return obj

    def status(self, name: str = "a") -> Obj:
        """Empty as long as there is none."""
        found: Obj = (self.cache.get(self.resource, name, self.namespace) or {}).get("status") or {}
        return found

    async def catch_up(self) -> None:
        """The cache has seen everything that was written before: an object written now has come through its watch."""
        self._marks += 1
        mark = a_toy(_MARK, self.namespace, size=self._marks, labels={CHILD: ""})
        await self.client.apply(self.resource, mark)

        def seen() -> bool:
            found = self.cache.get(self.resource, _MARK, self.namespace)
            return found is not None and found["spec"]["size"] == self._marks

        await eventually(seen)

    def settled(self, name: str = "a", size: int = 0) -> bool:
        obj = self.cache.get(self.resource, name, self.namespace)
        return obj is not None and obj.get("status", {}) == {
            "phase": "Settled",
            "size": size,
            "observedGeneration": obj["metadata"]["generation"],
        }


async def quiet(world: World) -> None:
    """Nothing waits, nothing runs, and no watch event is still to come."""
    await eventually(lambda: _idle(world))
    await world.catch_up()
    await eventually(lambda: _idle(world))


def _idle(world: World) -> bool:
    schedule = world.engine.queue.schedule
    return not len(schedule) and not schedule.processing()
