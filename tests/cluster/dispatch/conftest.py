import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goldpool.kube.client import KubeClient
from goldpool.kube.resources import NAMESPACE, NODE
from tests.cluster.dispatch.world import Place, prepare_directory, remove_directory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
async def client() -> AsyncIterator[KubeClient]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    async with await KubeClient.connect() as connected:
        yield connected


@pytest.fixture
async def place(client: KubeClient) -> AsyncIterator[Place]:
    """A namespace and, on one node, an empty directory; both are gone at the test's end."""
    token = secrets.token_hex(4)
    nodes = sorted(node["metadata"]["name"] for node in await client.list(NODE))
    place = Place(f"dispatch-{token}", nodes[0], f"/srv/dispatch-{token}", f"loc-{token}")
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    metadata = {"name": place.namespace, "labels": labels}
    created = await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    await prepare_directory(client, place)
    yield place
    await remove_directory(client, place)
    await client.delete(NAMESPACE, place.namespace, uid=created["metadata"]["uid"])
