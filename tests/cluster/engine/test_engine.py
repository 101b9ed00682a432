"""The engine and a toy controller on a real API server: what is written, what is not, and what survives a crash."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from goldpool.engine.engine import Engine
from goldpool.engine.metrics import Metrics
from goldpool.engine.plan import (
    AddFinalizer,
    Create,
    Delete,
    EventKind,
    Outcome,
    Patch,
    PatchStatus,
    Plan,
    Record,
    RemoveFinalizer,
)
from goldpool.engine.recorder import Recorder
from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.informer import Informer
from goldpool.kube.port import Change, Key, NotFound, Obj, Resource
from goldpool.kube.resources import EVENT
from tests.cluster.engine.world import Wire, a_toy, eventually

FINALIZER = "goldpool-test.io/toy"
CHILD = "goldpool-test.io/parent"


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
        self.engine.on_pass(lambda _, outcome: self.outcomes.append(outcome))
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

    def settled(self, name: str = "a", size: int = 0) -> bool:
        obj = self.cache.get(self.resource, name, self.namespace)
        return obj is not None and obj.get("status", {}) == {
            "phase": "Settled",
            "size": size,
            "observedGeneration": obj["metadata"]["generation"],
        }


@pytest.fixture
async def world(client: KubeClient, toy: Resource, namespace: str) -> AsyncIterator[World]:
    async with World(client, toy, namespace) as world:
        yield world


async def quiet(world: World) -> None:
    """Nothing waits, nothing runs, and watch events had time to come."""
    for _ in range(2):
        await asyncio.sleep(0.4)
        await eventually(
            lambda: not len(world.engine.queue.schedule) and not world.engine.queue.schedule.processing()
        )


async def test_a_toy_settles_and_stays_settled(world: World, client: KubeClient, toy: Resource) -> None:
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=3))
    await eventually(lambda: world.settled(size=3))
    assert world.toy()["metadata"]["finalizers"] == [FINALIZER]
    await quiet(world)
    version, passes = world.toy()["metadata"]["resourceVersion"], len(world.outcomes)
    world.engine.enqueue("toy", Key("Toy", world.namespace, "a"))
    await eventually(lambda: len(world.outcomes) > passes)
    assert not world.outcomes[-1].wrote_status
    assert (await client.get(toy, "a", world.namespace))["metadata"]["resourceVersion"] == version


async def test_own_status_brings_no_pass_and_a_foreign_one_does(
    world: World, client: KubeClient, toy: Resource
) -> None:
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(world.settled)
    await quiet(world)
    # Finalizer; status. The finalizer's write brings the key back, the status' does not.
    assert [outcome.result for outcome in world.outcomes] == ["again", "success"]
    await client.merge_patch(
        toy, "a", {"status": {"phase": "Tampered"}}, world.namespace, subresource="status"
    )
    await eventually(lambda: len(world.outcomes) > 2 and world.outcomes[-1].wrote_status)
    assert world.settled()


async def test_fields_of_others_in_the_status_survive_and_cost_one_write(
    world: World, client: KubeClient, toy: Resource
) -> None:
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(world.settled)
    await client.merge_patch(toy, "a", {"status": {"children": 7}}, world.namespace, subresource="status")
    await eventually(lambda: world.toy()["status"].get("children") == 7)
    await quiet(world)
    passes = len(world.outcomes)
    world.engine.enqueue("toy", Key("Toy", world.namespace, "a"))
    await eventually(lambda: len(world.outcomes) > passes)
    assert not world.outcomes[-1].wrote_status
    assert world.toy()["status"]["children"] == 7


async def test_defaults_of_the_server_are_not_written_again(
    world: World, client: KubeClient, toy: Resource
) -> None:
    world.controller.change_plan = lambda _, plan: Plan(plan.effects, {"poolRefs": [{"pool": "p"}]})
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: any(outcome.wrote_status for outcome in world.outcomes))
    assert world.toy()["status"] == {"poolRefs": [{"pool": "p", "host": ""}]}
    await quiet(world)
    passes = len(world.outcomes)
    world.engine.enqueue("toy", Key("Toy", world.namespace, "a"))
    await eventually(lambda: len(world.outcomes) > passes)
    assert not world.outcomes[-1].wrote_status


async def test_deletion_takes_the_children_first(world: World, client: KubeClient, toy: Resource) -> None:
    await world.engine.start()
    created = await client.create(toy, a_toy("a", world.namespace, size=2))
    await eventually(lambda: world.settled(size=2))
    await client.delete(toy, "a", world.namespace, uid=created["metadata"]["uid"])
    await eventually(lambda: world.cache.count(toy) == 0)
    assert await client.list(toy, world.namespace) == []


async def test_a_stale_finalizer_edit_loses_and_is_made_again(
    world: World, client: KubeClient, toy: Resource
) -> None:
    """The plan saw the object before somebody else added a finalizer: theirs must not be lost."""
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: world.cache.get(toy, "a", world.namespace) is not None)
    stale = world.toy()
    await client.merge_patch(toy, "a", {"metadata": {"finalizers": ["other.io/x"]}}, world.namespace)
    once = [stale]

    def see_the_past(seen: Seen, plan: Plan) -> Plan:
        return Plan((AddFinalizer(toy, once.pop(), FINALIZER),)) if once else plan

    world.controller.change_plan = see_the_past
    await world.engine.start()
    await eventually(world.settled)
    assert world.outcomes[0].result == "conflict"
    assert world.toy()["metadata"]["finalizers"] == ["other.io/x", FINALIZER]


async def test_a_status_of_the_past_is_never_written(world: World, client: KubeClient, toy: Resource) -> None:
    """The object changed between gather and the status write: what was decided is about another object."""
    await client.create(toy, a_toy("a", world.namespace, size=0))
    statuses: list[int] = []
    world.cache.add_listener(
        lambda change: (
            statuses.append(change.new["status"]["size"])
            if change.new and "status" in change.new and change.key.name == "a"
            else None
        )
    )

    async def grow(seen: Obj) -> None:
        if FINALIZER in seen["metadata"].get("finalizers", ()):
            world.controller.while_gathering = None
            await client.merge_patch(toy, "a", {"spec": {"size": 2}}, world.namespace)

    world.controller.while_gathering = grow
    await world.engine.start()
    await eventually(lambda: world.settled(size=2))
    assert [outcome.result for outcome in world.outcomes][:2] == ["again", "conflict"]
    assert set(statuses) == {2}


async def test_a_lost_race_is_understood_though_no_watch_tells_of_it(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    async with World(client, toy, namespace, watcher=wired) as world:
        await client.create(toy, a_toy("a", namespace, size=0))
        await eventually(lambda: world.cache.get(toy, "a", namespace) is not None)
        await wire.cut()
        await client.merge_patch(toy, "a", {"metadata": {"finalizers": ["other.io/x"]}}, namespace)
        await world.engine.start()
        await eventually(world.settled, seconds=5)
        assert world.toy()["metadata"]["finalizers"] == ["other.io/x", FINALIZER]
        # One pass fell for the cache; its conflict told the next one.
        assert [outcome.result for outcome in world.outcomes][:3] == ["conflict", "again", "success"]


async def test_two_guarded_writes_to_one_object_fit_into_one_pass(
    world: World, client: KubeClient, toy: Resource
) -> None:
    def twice(seen: Seen, plan: Plan) -> Plan:
        meta = seen.toy["metadata"]
        where = (toy, meta["name"], meta["namespace"], meta["resourceVersion"])
        if FINALIZER not in meta.get("finalizers", ()) or "touched" in meta.get("annotations", {}):
            return plan
        touch = {"metadata": {"annotations": {"touched": "yes"}}}
        return Plan((Patch(*where, touch), PatchStatus(*where, {"children": 1})), plan.status)

    world.controller.change_plan = twice
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: world.toy().get("status", {}).get("phase") == "Settled")
    assert "conflict" not in {outcome.result for outcome in world.outcomes}
    assert world.toy()["metadata"]["annotations"] == {"touched": "yes"}
    assert world.toy()["status"]["children"] == 1


async def test_a_namesake_is_the_plans_to_judge(world: World, client: KubeClient, toy: Resource) -> None:
    """Created by somebody else a moment ago: AlreadyExists shows it to the next plan, whatever the watch is up to."""
    await client.create(toy, a_toy("a", world.namespace, size=1))
    await client.create(toy, a_toy("a-0", world.namespace, size=0))
    await eventually(lambda: world.cache.count(toy) == 2)
    await world.engine.start()
    await eventually(lambda: any(o.result == "conflict" and o.key.name == "a" for o in world.outcomes))
    assert (await client.get(toy, "a-0", world.namespace))["metadata"].get("labels") is None


async def test_what_the_server_refuses_is_told_to_the_user(
    world: World, client: KubeClient, toy: Resource
) -> None:
    world.controller.change_plan = lambda _, plan: Plan(plan.effects, {"bogus": 1})
    await world.engine.start()
    created = await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: any(outcome.result == "refused" for outcome in world.outcomes))
    assert world.outcomes[-1].fields["again_in"] >= 2.5

    async def told() -> bool:
        events = await client.list(EVENT, world.namespace)
        return any(
            event["regarding"]["uid"] == created["metadata"]["uid"] and event["reason"] == "WriteRefused"
            for event in events
        )

    await eventually(told)


async def test_a_defect_in_one_plan_stops_no_other(world: World, client: KubeClient, toy: Resource) -> None:
    def broken(seen: Seen, plan: Plan) -> Plan:
        if seen.toy["metadata"]["name"] == "bad":
            raise ZeroDivisionError
        return plan

    world.controller.change_plan = broken
    await world.engine.start()
    await client.create(toy, a_toy("bad", world.namespace, size=0))
    await client.create(toy, a_toy("good", world.namespace, size=0))
    await eventually(lambda: world.settled("good"))
    assert "defect" in {outcome.result for outcome in world.outcomes if outcome.key.name == "bad"}


async def test_the_app_registers_effects_of_its_own(world: World, client: KubeClient, toy: Resource) -> None:
    @dataclass(frozen=True)
    class Ask:
        what: str

    asked: list[str] = []

    async def ask(effect: Ask) -> None:
        asked.append(effect.what)

    world.engine.register_executor(Ask, ask)
    world.controller.change_plan = lambda _, plan: Plan(plan.effects, plan.status, (Ask("a disk"),))
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: asked == ["a disk"])


async def test_a_plan_is_asked_again_when_it_wished(world: World, client: KubeClient, toy: Resource) -> None:
    world.controller.change_plan = lambda _, plan: Plan(plan.effects, plan.status, again_after=0.2)
    await world.engine.start()
    await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: len(world.outcomes) >= 6)


async def test_a_standby_gathers_keys_and_writes_nothing(
    world: World, client: KubeClient, toy: Resource
) -> None:
    started: list[int] = []

    async def before() -> None:
        started.append(len(world.outcomes))

    world.engine.before_work(before)
    await client.create(toy, a_toy("a", world.namespace, size=1))
    await eventually(lambda: len(world.engine.queue.schedule) == 1)
    await asyncio.sleep(0.3)
    assert world.outcomes == []
    assert "finalizers" not in (await client.get(toy, "a", world.namespace))["metadata"]
    await world.engine.start()
    await eventually(lambda: world.settled(size=1))
    assert started == [0]


async def test_events_reach_the_server_once(world: World, client: KubeClient, toy: Resource) -> None:
    created = await client.create(toy, a_toy("a", world.namespace))
    for _ in range(5):
        world.recorder.record(Record(created, EventKind.NORMAL, "Made", "Make", "ü" * 2000))
    await world.recorder.flush()
    events = await client.list(EVENT, world.namespace)
    assert [(event["reason"], event["action"]) for event in events] == [("Made", "Make")]
    assert events[0]["note"] == "ü" * 510 + "…"
    assert events[0]["regarding"]["uid"] == created["metadata"]["uid"]


async def state(client: KubeClient, toy: Resource, namespace: str) -> dict[str, Any]:
    return {
        obj["metadata"]["name"]: (obj["spec"], obj.get("status"), obj["metadata"].get("finalizers"))
        for obj in await client.list(toy, namespace)
    }


async def journey(
    client: KubeClient, toy: Resource, namespace: str, budget: int | None
) -> tuple[dict[str, Any], int]:
    """Grow, shrink, delete one of two; each life of the operator ends after ``budget`` writes. The end, and the
    number of lives."""
    lives = 0

    async def live_until(done: Callable[[World], bool]) -> None:
        nonlocal lives
        while True:
            async with World(client, toy, namespace, budget) as world:
                lives += 1
                await world.engine.start()
                deadline = asyncio.get_running_loop().time() + 20
                while not world.crashed.is_set() and not done(world):
                    assert asyncio.get_running_loop().time() < deadline
                    await asyncio.sleep(0.02)
                if done(world) and not world.crashed.is_set():
                    return

    await client.create(toy, a_toy("a", namespace, size=3))
    doomed = await client.create(toy, a_toy("b", namespace, size=2))
    await live_until(lambda world: world.settled("a", 3) and world.settled("b", 2))
    await client.merge_patch(toy, "a", {"spec": {"size": 1}}, namespace)
    await client.delete(toy, "b", namespace, uid=doomed["metadata"]["uid"])
    await live_until(lambda world: world.settled("a", 1) and world.cache.count(toy) == 2)
    return await state(client, toy, namespace), lives


@pytest.mark.parametrize("budget", [1, 2, 3, 5])
async def test_a_crash_after_any_write_ends_in_the_same_place(
    client: KubeClient, toy: Resource, namespace: str, budget: int
) -> None:
    end, lives = await journey(client, toy, namespace, budget)
    assert lives > 2
    assert {name: spec for name, (spec, _, _) in end.items()} == {"a": {"size": 1}, "a-0": {"size": 0}}
    assert end["a"][1]["phase"] == "Settled"
    assert end["a"][2] == [FINALIZER]
    assert end["a-0"][2] is None


async def test_a_connection_that_breaks_again_and_again_ends_in_the_same_place(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    """Writes are committed whose answers never arrive, and watches end in the middle of a line."""
    chance = random.Random(7)

    async def breaking() -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.02, 0.25))
            await wire.cut()
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            await wire.mend()

    async with World(wired, toy, namespace) as world:
        await world.engine.start()
        breaks = asyncio.create_task(breaking())
        sizes = {f"t{number}": number % 4 for number in range(12)}
        for name, size in sizes.items():
            await client.create(toy, a_toy(name, namespace, size=size))
        await asyncio.sleep(4.0)
        doomed = await client.get(toy, "t3", namespace)
        await client.delete(toy, "t3", namespace, uid=doomed["metadata"]["uid"])
        del sizes["t3"]
        await asyncio.sleep(2.0)
        breaks.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await breaks
        with contextlib.suppress(OSError):
            await wire.mend()
        await eventually(lambda: all(world.settled(name, size) for name, size in sizes.items()), seconds=60)
        count = sum(sizes.values()) + len(sizes)
        await eventually(lambda: world.cache.count(toy) == count)
    end = await state(client, toy, namespace)
    assert set(end) == {*sizes} | {f"{name}-{n}" for name, size in sizes.items() for n in range(size)}


async def test_a_pass_that_cannot_write_is_taken_up_again_when_the_api_server_answers(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    async with World(wired, toy, namespace) as world:
        await world.engine.start()
        await client.create(toy, a_toy("a", namespace, size=1))
        await eventually(lambda: world.settled("a", 1))
        await wire.cut()
        grown = await client.merge_patch(toy, "a", {"spec": {"size": 2}}, namespace)
        world.cache.upsert(toy, grown)  # the last event that came through before the break
        await eventually(lambda: "unavailable" in {outcome.result for outcome in world.outcomes})
        assert not world.settled("a", 2)
        await wire.mend()
        await eventually(lambda: world.settled("a", 2), seconds=60)


async def test_an_object_that_vanishes_under_a_patch_ends_quietly(
    world: World, client: KubeClient, toy: Resource
) -> None:
    created = await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: world.cache.get(toy, "a", world.namespace) is not None)
    await client.delete(toy, "a", world.namespace, uid=created["metadata"]["uid"])
    world.cache.upsert(toy, created)  # as a source would that missed the deletion
    await world.engine.start()
    await eventually(lambda: world.cache.get(toy, "a", world.namespace) is None)
    with pytest.raises(NotFound):
        await client.get(toy, "a", world.namespace)
