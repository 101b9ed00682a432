"""``KubeClient`` against a real API server: what api-server.md found, seen through our port."""

import asyncio

import pytest

from goldpool.kube.client import KubeClient
from goldpool.kube.port import (
    AlreadyExists,
    Conflict,
    Expired,
    Invalid,
    NotFound,
    Obj,
    Resource,
    Unavailable,
)
from tests.cluster.engine.world import Wire, a_toy, eventually


async def test_a_creating_apply_returns_the_object(client: KubeClient, toy: Resource, namespace: str) -> None:
    created = await client.apply(toy, a_toy("a", namespace))
    assert created["metadata"]["uid"]
    assert created["kind"] == "Toy"
    assert "managedFields" not in created["metadata"]


async def test_an_identical_apply_changes_nothing(client: KubeClient, toy: Resource, namespace: str) -> None:
    first = await client.apply(toy, a_toy("a", namespace))
    assert (await client.apply(toy, a_toy("a", namespace))) == first


async def test_a_taken_name_already_exists(client: KubeClient, toy: Resource, namespace: str) -> None:
    await client.create(toy, a_toy("a", namespace))
    with pytest.raises(AlreadyExists):
        await client.create(toy, a_toy("a", namespace))


@pytest.mark.parametrize("exists", [True, False])
async def test_apply_with_a_foreign_uid_conflicts(
    client: KubeClient, toy: Resource, namespace: str, exists: bool
) -> None:
    if exists:
        await client.create(toy, a_toy("a", namespace))
    foreign = a_toy("a", namespace)
    foreign["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(Conflict):
        await client.apply(toy, foreign)


async def test_a_status_apply_with_a_stale_version_conflicts(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    created = await client.create(toy, a_toy("a", namespace))
    await client.merge_patch(toy, "a", {"spec": {"size": 2}}, namespace)
    metadata = {name: created["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    with pytest.raises(Conflict):
        await client.apply(toy, {"metadata": metadata, "status": {"phase": "Old"}}, subresource="status")


async def test_a_merge_patch_with_a_stale_version_conflicts(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    created = await client.create(toy, a_toy("a", namespace))
    stale = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "spec": {"size": 2}}
    await client.merge_patch(toy, "a", stale, namespace)
    with pytest.raises(Conflict):
        await client.merge_patch(toy, "a", stale | {"spec": {"size": 3}}, namespace)


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        pytest.param({"bogus": 1}, None, id="unknown field: HTTP 500"),
        pytest.param({"size": -1}, None, id="schema: HTTP 422"),
        pytest.param(
            None, {"poolRefs": [{"pool": "a"}, {"pool": "a"}]}, id="duplicate list-map keys: HTTP 500"
        ),
        pytest.param(None, {"poolRefs": [{"host": "h"}]}, id="missing list-map key"),
    ],
)
async def test_what_the_schema_forbids_is_invalid(
    client: KubeClient, toy: Resource, namespace: str, spec: Obj | None, status: Obj | None
) -> None:
    metadata = {"name": "a", "namespace": namespace}
    await client.create(toy, a_toy("a", namespace))
    body, subresource = ({"spec": spec}, "") if status is None else ({"status": status}, "status")
    with pytest.raises(Invalid):
        await client.apply(toy, {"metadata": metadata, **body}, subresource=subresource)


async def test_only_the_very_object_is_deleted(client: KubeClient, toy: Resource, namespace: str) -> None:
    first = await client.create(toy, a_toy("a", namespace))
    with pytest.raises(Conflict):
        await client.delete(toy, "a", namespace, uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(Conflict):
        await client.delete(toy, "a", namespace, uid=first["metadata"]["uid"], resource_version="1")
    await client.delete(toy, "a", namespace, uid=first["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get(toy, "a", namespace)


async def test_a_kind_that_is_not_served_is_not_found(client: KubeClient) -> None:
    with pytest.raises(NotFound):
        await client.list(Resource("nowhere.goldpool-test.io", "v1", "None", "nones", namespaced=True))


async def test_a_list_is_read_to_its_last_page(client: KubeClient, toy: Resource, namespace: str) -> None:
    count = 1_020  # more than two pages
    await asyncio.gather(*(client.create(toy, a_toy(f"t{n}", namespace)) for n in range(count)))
    objects, version = await client.list_with_version(toy, namespace)
    assert {obj["metadata"]["name"] for obj in objects} == {f"t{n}" for n in range(count)}
    assert int(version) >= max(int(obj["metadata"]["resourceVersion"]) for obj in objects)
    names = await client.list_names(toy, namespace)
    assert set(names.values()) == {obj["metadata"]["uid"] for obj in objects}


async def test_selectors_reach_the_server(client: KubeClient, toy: Resource, namespace: str) -> None:
    await client.create(toy, a_toy("a", namespace, labels={"colour": "red"}))
    await client.create(toy, a_toy("b", namespace, labels={"colour": "blue"}))
    red = await client.list(toy, namespace, labels="colour in (red, green)")
    named = await client.list(toy, namespace, fields="metadata.name=b")
    assert [obj["metadata"]["name"] for obj in (*red, *named)] == ["a", "b"]


async def test_a_watch_from_a_forgotten_version_is_expired(
    client: KubeClient, toy: Resource, namespace: str
) -> None:
    await client.create(toy, a_toy("a", namespace))
    with pytest.raises(Expired):
        async for _ in client.watch(toy, namespace, resource_version="1", timeout_seconds=5):
            pass


async def test_a_watch_ends_by_itself(client: KubeClient, toy: Resource, namespace: str) -> None:
    created = await client.create(toy, a_toy("a", namespace))
    version = created["metadata"]["resourceVersion"]
    await client.merge_patch(toy, "a", {"spec": {"size": 5}}, namespace)
    seen = [
        event
        async for event in client.watch(toy, namespace, resource_version=version, timeout_seconds=3)
        if event.type != "BOOKMARK"
    ]
    assert [(event.type, event.object["spec"]["size"]) for event in seen] == [("MODIFIED", 5)]


async def test_a_refused_connection_is_unavailable(
    wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    await wire.cut()
    with pytest.raises(Unavailable):
        await wired.create(toy, a_toy("a", namespace))


async def test_a_watch_cut_off_is_unavailable(
    client: KubeClient, wired: KubeClient, wire: Wire, toy: Resource, namespace: str
) -> None:
    created = await client.create(toy, a_toy("a", namespace))

    async def follow() -> None:
        async for _ in wired.watch(toy, namespace, resource_version=created["metadata"]["resourceVersion"]):
            pass

    watching = asyncio.create_task(follow())
    await eventually(lambda: wire.connections > 0)
    await wire.cut()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(watching, 60)
