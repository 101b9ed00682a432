"""A machine that runs; and silence: passes lose races here by the thousand, and their log would be all that is read."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from goldpool.kube import resources as r
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.users import a_machine, a_pool, a_template


@pytest.fixture(autouse=True, scope="module")
def silent() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def cluster() -> Cluster:
    """One machine that runs."""
    made = Cluster()
    made.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    made.server.put(r.STORAGE_POOL, a_pool("std"))
    made.server.put(r.TEMPLATE, a_template())
    made.server.put(r.VIRTUAL_MACHINE, a_machine("vm-0"))
    made.settle()
    assert made.pods()
    assert made.server.all(r.LEASE)
    return made
