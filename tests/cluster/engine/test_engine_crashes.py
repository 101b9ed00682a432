"""The operator dies after any write, or its connection breaks again and again: the end is the same."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from goldpool.kube.client import KubeClient
from goldpool.kube.port import Resource
from tests.cluster.engine.toys import FINALIZER, World
from tests.cluster.engine.world import Wire, a_toy, eventually


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
                deadline = asyncio.get_running_loop().time() + 60
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
        await eventually(lambda: all(world.settled(name, size) for name, size in sizes.items()), seconds=120)
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
        await eventually(lambda: world.settled("a", 2))
