"""What the engine writes of a status on a real API server, and what it leaves alone."""

from goldpool.engine.plan import Plan
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Key, Obj, Resource
from tests.cluster.engine.toys import FINALIZER, World, quiet
from tests.cluster.engine.world import a_toy, eventually


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
    await eventually(lambda: world.status().get("children") == 7)
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
