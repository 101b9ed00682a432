"""Somebody else writes meanwhile: what the engine does is guarded by what its plan had seen."""

import pytest

from goldpool.engine.plan import AddFinalizer, Patch, PatchStatus, Plan
from goldpool.kube.client import KubeClient
from goldpool.kube.port import NotFound, Resource
from tests.cluster.engine.toys import FINALIZER, Seen, World
from tests.cluster.engine.world import Wire, a_toy, eventually


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


async def test_a_lost_race_is_understood_though_no_watch_tells_of_it(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    async with World(client, toy, namespace, watcher=wired) as world:
        await client.create(toy, a_toy("a", namespace, size=0))
        await eventually(lambda: world.cache.get(toy, "a", namespace) is not None)
        await wire.cut()
        await client.merge_patch(toy, "a", {"metadata": {"finalizers": ["other.io/x"]}}, namespace)
        await world.engine.start()
        await eventually(world.settled)
        assert world.toy()["metadata"]["finalizers"] == ["other.io/x", FINALIZER]
        # One pass fell for the cache; its conflict told the next one. No watch can have: the wire is still cut.
        assert [outcome.result for outcome in world.outcomes].count("conflict") == 1


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
    await eventually(lambda: world.status().get("phase") == "Settled")
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
