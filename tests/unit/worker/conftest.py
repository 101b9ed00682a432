"""A pool in a temporary directory, and a web server on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.misbehaving import Server, serving
from tests.unit.worker.builders import Pool, a_pool


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return a_pool(tmp_path / "pools")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server
