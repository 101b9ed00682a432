"""The end-to-end tests' cluster, and operators that die when they are told to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tidy
from tests.e2e.api import Api
from tests.e2e.conftest import (
    api,
    boot,
    boot_image,
    boot_line,
    images,
    nodes,
    operator,
    operator_kubeconfig,
    stage,
)
from tests.e2e.lives import Lives
from tests.e2e.nodes import Nodes
from tests.e2e.operator_process import Operator
from tests.e2e.server import Images
from tests.e2e.site import Site
from tests.matrix.ending import NewSite

__all__ = [
    "api",
    "boot",
    "boot_image",
    "boot_line",
    "images",
    "nodes",
    "operator",
    "operator_kubeconfig",
    "stage",
]


@pytest.fixture(scope="session")
def lives(
    api: Api, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lives]:
    operator.stop()
    lives = Lives(api, operator_kubeconfig, tmp_path_factory.mktemp("lives"))
    try:
        yield lives
    finally:
        lives.end()


@pytest.fixture
def new_site(api: Api, nodes: Nodes, images: Images, operator: Operator, lives: Lives) -> Iterator[NewSite]:
    sites: list[Site] = []

    def make() -> Site:
        sites.append(Site(api, nodes, images, operator))
        return sites[-1]

    try:
        yield make
    finally:
        for site in sites:
            if tidy.left_of(site.traces):
                print(tidy.dump(site.traces))
                tidy.force(site.traces)
            site.end()
