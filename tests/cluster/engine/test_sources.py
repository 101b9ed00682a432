"""Informer, kopf source and sweeper against a real API server whose connection is cut at the worst moments."""

# ruff: noqa: PLR0917 (fixtures are arguments)

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial
from typing import Any

import pytest
from kopf._cogs.clients import scanning

from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.informer import Informer, Source
from goldpool.kube.kopf_source import KopfSource
from goldpool.kube.port import Change, Head, Key, NotFound, Obj, Resource
from goldpool.kube.resources import CUSTOM_RESOURCE_DEFINITION
from goldpool.kube.sweep import Sweeper, Swept
from tests.cluster.engine.world import Wire, a_toy, end_all_watches, eventually, retry, toy_crd

Running = Callable[[Source], Awaitable[None]]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    tasks: list[asyncio.Task[None]] = []

    async def start(source: Source) -> None:
        tasks.append(asyncio.create_task(source.run()))
        await asyncio.wait_for(source.synced.wait(), 60)

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def names(cache: Cache, toy: Resource, namespace: str) -> set[str]:
    return {obj["metadata"]["name"] for obj in cache.list(toy, namespace)}


def cached(cache: Cache, toy: Resource, name: str, namespace: str) -> Obj:
    found = cache.get(toy, name, namespace)
    assert found is not None
    return found


async def test_an_informer_delivers_what_is_and_what_comes(
    client: KubeClient, toy: Resource, namespace: str, running: Running
) -> None:
    await client.create(toy, a_toy("before", namespace))
    cache, changes = Cache(), list[Change]()
    cache.add_listener(changes.append)
    await running(Informer(client, cache, toy, namespace))
    assert names(cache, toy, namespace) == {"before"}
    created = await client.create(toy, a_toy("after", namespace))
    await eventually(lambda: names(cache, toy, namespace) == {"before", "after"})
    await client.merge_patch(toy, "after", {"spec": {"size": 7}}, namespace)
    await eventually(lambda: cached(cache, toy, "after", namespace)["spec"]["size"] == 7)
    await client.delete(toy, "after", namespace, uid=created["metadata"]["uid"])
    await eventually(lambda: names(cache, toy, namespace) == {"before"})
    assert [(change.key.name, change.initial) for change in changes[:2]] == [
        ("before", True),
        ("after", False),
    ]
    assert changes[-1].new is None


async def test_an_informer_sees_only_what_it_selects(
    client: KubeClient, toy: Resource, namespace: str, running: Running
) -> None:
    cache = Cache()
    await running(Informer(client, cache, toy, namespace, labels="colour=red"))
    await client.create(toy, a_toy("red", namespace, labels={"colour": "red"}))
    blue = await client.create(toy, a_toy("blue", namespace, labels={"colour": "blue"}))
    cache.observe_write(toy, blue)  # our own write, but no watch would keep it true
    await eventually(lambda: names(cache, toy, namespace) == {"red"})
    await client.merge_patch(toy, "red", {"metadata": {"labels": {"colour": "blue"}}}, namespace)
    await eventually(lambda: names(cache, toy, namespace) == set())


async def test_a_watch_goes_on_where_it_was_cut(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str, running: Running
) -> None:
    cache = Cache()
    informer = Informer(wired, cache, toy, namespace)
    await running(informer)
    gone = await client.create(toy, a_toy("gone", namespace))
    await eventually(lambda: names(cache, toy, namespace) == {"gone"})
    await wire.cut()
    await client.delete(toy, "gone", namespace, uid=gone["metadata"]["uid"])
    await client.create(toy, a_toy("new", namespace))
    await asyncio.sleep(0.5)
    await wire.mend()
    await eventually(lambda: names(cache, toy, namespace) == {"new"})
    assert informer.relists == 0


async def test_a_relist_drops_what_vanished_while_nobody_watched(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str, running: Running
) -> None:
    cache, changes = Cache(), list[Change]()
    cache.add_listener(changes.append)
    informer = Informer(wired, cache, toy, namespace)
    await running(informer)
    for name in ("kept", "gone", "remade"):
        await client.create(toy, a_toy(name, namespace))
    await eventually(lambda: cache.count(toy) == 3)
    await wire.cut()
    for name in ("gone", "remade"):
        uid = cached(cache, toy, name, namespace)["metadata"]["uid"]
        await client.delete(toy, name, namespace, uid=uid)
    await client.create(toy, a_toy("remade", namespace, size=2))
    await end_all_watches(client, toy, "informer")
    await asyncio.sleep(0.5)
    changes.clear()
    await wire.mend()
    await eventually(lambda: informer.relists > 0)
    await eventually(lambda: names(cache, toy, namespace) == {"kept", "remade"})
    assert cached(cache, toy, "remade", namespace)["spec"]["size"] == 2
    assert sorted((change.key.name, change.old is None, change.new is None) for change in changes) == [
        ("gone", False, True),
        ("remade", False, True),  # the old one went,
        ("remade", True, False),  # another one came
    ]


async def test_an_informer_waits_for_its_kind(client: KubeClient, running: Running) -> None:
    informer = Informer(
        client, Cache(), Resource("nowhere.goldpool-test.io", "v1", "None", "nones", namespaced=True)
    )
    task = asyncio.create_task(informer.run())
    await asyncio.sleep(1.0)
    assert not task.done()
    assert not informer.synced.is_set()
    task.cancel()


def a_kopf_source(
    client: KubeClient, cache: Cache, toy: Resource, sweeper: Sweeper | None = None
) -> KopfSource:
    return KopfSource(client, cache, [toy], sweeper or Sweeper(client, cache, [Swept(toy)]))


async def test_kopf_delivers_what_is_and_what_comes(
    client: KubeClient, toy: Resource, namespace: str, running: Running
) -> None:
    await client.create(toy, a_toy("before", namespace))
    cache, changes = Cache(), list[Change]()
    cache.add_listener(changes.append)
    await running(a_kopf_source(client, cache, toy))
    assert names(cache, toy, namespace) == {"before"}
    assert changes[0].initial
    assert "managedFields" not in cached(cache, toy, "before", namespace)["metadata"]
    created = await client.create(toy, a_toy("after", namespace))
    await eventually(lambda: names(cache, toy, namespace) == {"before", "after"})
    await client.delete(toy, "after", namespace, uid=created["metadata"]["uid"])
    await eventually(lambda: names(cache, toy, namespace) == {"before"})
    assert (await client.get(toy, "before", namespace)) == cache.get(toy, "before", namespace)


async def test_what_kopf_missed_is_swept_after_its_relist(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str, running: Running
) -> None:
    cache = Cache()
    sweeper = Sweeper(client, cache, [Swept(toy)])
    sweeping = asyncio.create_task(sweeper.run())
    await running(a_kopf_source(wired, cache, toy, sweeper))
    for name in ("kept", "gone"):
        await client.create(toy, a_toy(name, namespace))
    await eventually(lambda: names(cache, toy, namespace) == {"kept", "gone"})
    await eventually(lambda: sweeper.sweeps >= 1)  # the one after the first sync
    await wire.cut()
    await client.delete(toy, "gone", namespace, uid=cached(cache, toy, "gone", namespace)["metadata"]["uid"])
    await end_all_watches(client, toy, "kopf")
    await asyncio.sleep(0.5)
    await wire.mend()
    await eventually(lambda: names(cache, toy, namespace) == {"kept"})
    assert sweeper.corrections[toy] == 1  # proof that it was the sweep, not kopf
    sweeping.cancel()


async def test_kopf_leaves_our_tasks_alone_when_it_stops(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    source = a_kopf_source(client, Cache(), toy)
    run = asyncio.create_task(source.run())
    await asyncio.wait_for(source.synced.wait(), 60)
    ours = asyncio.create_task(asyncio.sleep(60))
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run
    assert not ours.done()
    ours.cancel()


async def test_kopf_is_started_again_when_its_kind_was_gone(client: KubeClient, running: Running) -> None:
    brief = Resource(f"b{secrets.token_hex(4)}.goldpool-test.io", "v1", "Toy", "toys", namespaced=True)
    cache = Cache()
    for name in ("first", "second"):
        crd = await client.create(CUSTOM_RESOURCE_DEFINITION, toy_crd(brief.group))
        await retry(partial(client.create, brief, a_toy(name, "default")))
        if name == "first":
            await running(a_kopf_source(client, cache, brief))
        await eventually(partial(is_cached, cache, brief, name))
        await client.delete(CUSTOM_RESOURCE_DEFINITION, crd["metadata"]["name"], uid=crd["metadata"]["uid"])
        await eventually(partial(is_gone, client, crd["metadata"]["name"]))


async def test_kopf_is_started_again_when_discovery_did_not_name_its_kind_yet(
    client: KubeClient, toy: Resource, namespace: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documents are the aggregator's, which hears of a new CRD later than those who list its objects."""
    looks: list[int] = []

    async def late(**arguments: Any) -> Collection[Any]:
        looks.append(1)
        return await scan(**arguments) if len(looks) > 1 else ()

    scan = scanning.scan_resources
    monkeypatch.setattr(scanning, "scan_resources", late)
    cache = Cache()
    await running(a_kopf_source(client, cache, toy))
    await client.create(toy, a_toy("told", namespace))
    await eventually(lambda: "told" in names(cache, toy, namespace))
    assert len(looks) == 2


def is_cached(cache: Cache, toy: Resource, name: str) -> bool:
    return name in names(cache, toy, "default")


async def is_gone(client: KubeClient, crd: str) -> bool:
    try:
        await client.get(CUSTOM_RESOURCE_DEFINITION, crd)
    except NotFound:
        return True
    return False


async def test_a_sweep_corrects_only_what_is_gone(client: KubeClient, toy: Resource, namespace: str) -> None:
    cache = Cache()
    cache.add_scope(toy, lambda obj: obj["metadata"]["namespace"] == namespace)
    sweeper = Sweeper(client, cache, [Swept(toy)])
    objects = {name: await client.create(toy, a_toy(name, namespace)) for name in ("kept", "gone", "remade")}
    for obj in objects.values():
        cache.upsert(toy, obj)
    assert await sweeper.sweep(toy) == 0
    for name in ("gone", "remade"):
        await client.delete(toy, name, namespace, uid=objects[name]["metadata"]["uid"])
    remade = await client.create(toy, a_toy("remade", namespace))
    assert await sweeper.sweep(toy) == 2
    assert names(cache, toy, namespace) == {"kept", "remade"}
    assert cached(cache, toy, "remade", namespace)["metadata"]["uid"] == remade["metadata"]["uid"]
    assert await sweeper.sweep(toy) == 0


async def test_a_sweep_brings_what_no_event_told_of(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    """Changes, and objects that were never heard of; but nothing that the sources do not cover."""
    cache = Cache()
    cache.add_scope(
        toy,
        lambda obj: (
            obj["metadata"]["namespace"] == namespace
            and obj["metadata"].get("labels", {}).get("colour") == "red"
        ),
    )
    sweeper = Sweeper(client, cache, [Swept(toy, namespace, "colour=red")])
    red = {"colour": "red"}
    for name in ("changed", "repainted"):
        cache.upsert(toy, await client.create(toy, a_toy(name, namespace, labels=red)))
    deleted = await client.create(toy, a_toy("deleted", namespace, labels=red))
    await client.merge_patch(toy, "changed", {"spec": {"size": 7}}, namespace)
    await client.merge_patch(toy, "repainted", {"metadata": {"labels": {"colour": "blue"}}}, namespace)
    await client.create(toy, a_toy("new", namespace, labels=red))
    await client.create(toy, a_toy("blue", namespace, labels={"colour": "blue"}))
    cache.remove(toy, deleted)  # a watch told of its end, though the list still shows it
    assert await sweeper.sweep(toy) == 3
    assert names(cache, toy, namespace) == {"changed", "new"}
    assert cached(cache, toy, "changed", namespace)["spec"]["size"] == 7
    assert await sweeper.sweep(toy) == 0


async def test_what_was_written_during_the_list_is_not_swept(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    """The list began before the object: its absence there says nothing."""
    cache = Cache()

    class Late(KubeClient):
        async def list_heads(
            self, resource: Resource, within: str = "", *, labels: str = ""
        ) -> dict[Key, Head]:
            listed = await super().list_heads(resource, within, labels=labels)
            cache.upsert(toy, await client.create(toy, a_toy("late", namespace)))
            return listed

    async with await Late.connect() as late:
        assert await Sweeper(late, cache, [Swept(toy)]).sweep(toy) == 0
    assert names(cache, toy, namespace) == {"late"}


async def test_the_server_is_back_after_a_crd_update(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    await end_all_watches(client, toy, "after")
    await retry(lambda: client.create(toy, a_toy("a", namespace)))
