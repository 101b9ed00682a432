"""A second origin, a certificate authority, and a Job's mounts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.certificates import Authority
from tests.servers.misbehaving import Server, serving
from tests.unit.worker.fetch.opening import Mounts


@pytest.fixture
def second() -> Iterator[Server]:
    """Another origin."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    return Mounts(tmp_path)
