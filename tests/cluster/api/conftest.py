"""One server, the CRDs on it, a namespace of this run, and nothing left behind but the CRDs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.api.builders import NAMESPACE
from tests.cluster.api.server import Obj, Server, install_crds, kubectl


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("no cluster: set KUBECONFIG by `python3 -m hack.cluster env`")
    install_crds()
    kubectl("create", "namespace", NAMESPACE)
    yield Server()
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def stored(server: Server) -> Iterator[Callable[[Obj], Obj]]:
    """Creates objects that are deleted when the test ends."""
    made: list[Obj] = []

    def store(obj: Obj) -> Obj:
        answer = server.create(obj)
        assert answer.ok, answer.text
        made.append(obj)
        return answer.body

    yield store
    for obj in reversed(made):
        server.delete(obj)
