"""When the engine makes a pass, and what it does with one that fails."""

from dataclasses import dataclass

from goldpool.engine.plan import EventKind, Plan, Record
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Resource
from goldpool.kube.resources import EVENT
from tests.cluster.engine.toys import Seen, World
from tests.cluster.engine.world import a_toy, eventually


async def test_deletion_takes_the_children_first(world: World, client: KubeClient, toy: Resource) -> None:
    await world.engine.start()
    created = await client.create(toy, a_toy("a", world.namespace, size=2))
    await eventually(lambda: world.settled(size=2))
    await client.delete(toy, "a", world.namespace, uid=created["metadata"]["uid"])
    await eventually(lambda: world.cache.count(toy) == 0)
    assert await client.list(toy, world.namespace) == []


async def test_what_the_server_refuses_is_told_to_the_user(
    world: World, client: KubeClient, toy: Resource
) -> None:
    world.controller.change_plan = lambda _, plan: Plan(plan.effects, {"bogus": 1})
    await world.engine.start()
    created = await client.create(toy, a_toy("a", world.namespace, size=0))
    await eventually(lambda: any(outcome.result == "refused" for outcome in world.outcomes))
    refused = next(outcome for outcome in world.outcomes if outcome.result == "refused")
    assert refused.fields["again_in"] >= 2.5

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
    await eventually(lambda: any(o.result == "defect" and o.key.name == "bad" for o in world.outcomes))


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
    await world.catch_up()
    assert world.outcomes == []
    assert "finalizers" not in (await client.get(toy, "a", world.namespace))["metadata"]
    await world.engine.start()
    await eventually(lambda: world.settled(size=1))
    assert started == [0]


async def test_events_reach_the_server_once(world: World, client: KubeClient, toy: Resource) -> None:
    created = await client.create(toy, a_toy("a", world.namespace))
    for _ in range(5):
        world.recorder.record(Record(created, EventKind.NORMAL, "Made", "Make", "ü" * 2000))
    await world.recorder.flush(60)
    events = await client.list(EVENT, world.namespace)
    assert [(event["reason"], event["action"]) for event in events] == [("Made", "Make")]
    assert events[0]["note"] == "ü" * 510 + "…"
    assert events[0]["regarding"]["uid"] == created["metadata"]["uid"]
