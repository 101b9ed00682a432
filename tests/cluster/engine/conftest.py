import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from goldpool.kube.client import KubeClient
from goldpool.kube.config import load_configuration
from goldpool.kube.port import NotFound, Resource
from goldpool.kube.resources import CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from tests.cluster.engine.toys import World
from tests.cluster.engine.world import Wire, eventually, remove_toys, toy_crd


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def toy() -> Iterator[Resource]:
    """A kind of this run's own, gone at its end."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    resource = Resource(f"t{secrets.token_hex(4)}.goldpool-test.io", "v1", "Toy", "toys", namespaced=True)
    asyncio.run(_create_kind(resource))
    yield resource
    asyncio.run(_delete_kind(resource))


async def _create_kind(resource: Resource) -> None:
    async with await KubeClient.connect() as client:
        await client.create(CUSTOM_RESOURCE_DEFINITION, toy_crd(resource.group))

        async def served() -> bool:
            try:
                await client.list(resource)
            except NotFound:
                return False
            return True

        await eventually(served)


async def _delete_kind(resource: Resource) -> None:
    async with await KubeClient.connect() as client:
        await remove_toys(client, resource)
        name = f"{resource.plural}.{resource.group}"
        crd = await client.get(CUSTOM_RESOURCE_DEFINITION, name)
        await client.delete(CUSTOM_RESOURCE_DEFINITION, name, uid=crd["metadata"]["uid"])


@pytest.fixture
async def client(toy: Resource) -> AsyncIterator[KubeClient]:
    """Depends on ``toy`` so that tests without a cluster are skipped."""
    async with await KubeClient.connect() as connected:
        yield connected


@pytest.fixture
async def namespace(client: KubeClient, toy: Resource) -> AsyncIterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    created = await client.create(NAMESPACE, {"metadata": {"name": name}})
    yield name
    await remove_toys(client, toy, name)
    await client.delete(NAMESPACE, name, uid=created["metadata"]["uid"])


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A connection to the API server that the test can cut."""
    server = urlsplit((await load_configuration()).host)
    assert server.hostname is not None
    wire = Wire(server.hostname, server.port or 443)
    await wire.mend()
    yield wire
    await wire.cut()


@pytest.fixture
async def wired(toy: Resource, wire: Wire) -> AsyncIterator[KubeClient]:
    """A client whose every request goes over ``wire``."""
    configuration = await load_configuration()
    configuration.host = f"https://127.0.0.1:{wire.port}"
    async with KubeClient(configuration, timeout=10) as connected:
        yield connected


@pytest.fixture
async def world(client: KubeClient, toy: Resource, namespace: str) -> AsyncIterator[World]:
    async with World(client, toy, namespace) as world:
        yield world
