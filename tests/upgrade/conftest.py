"""The chart's own release, changed and put back: no other test may run on the cluster meanwhile."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.cluster import config
from hack.cluster import images as node_images
from hack.pipeline.chart import NAMESPACE, RELEASE
from hack.upgrade.previous import TAG, NoHistoryError, Previous, provide, wished
from tests.e2e import tidy
from tests.e2e.api import Api
from tests.e2e.conftest import boot, boot_image, boot_line  # noqa: F401
from tests.e2e.nodes import ROOT, Nodes
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.server import Images, serving
from tests.e2e.site import Site
from tests.e2e.stage import LOCK, export_cluster, others_disabled


@dataclass(frozen=True)
class Chart:
    """The development cluster's release of Goldpool. Every call ends when the operator is ready, or fails the test."""

    previous: Previous

    def to_previous(self) -> int:
        """The revision it has now."""
        tags = ",".join(f"image.{name}.tag={TAG}" for name in ("operator", "worker", "vm"))
        self.helm("upgrade", "--install", RELEASE, str(self.previous.chart), "--reset-values", "--wait",
                  "--set", tags)  # fmt: skip
        return self.revision()

    def to_present(self) -> None:
        """As `make chart` does it."""
        command = [sys.executable, "-m", "hack.pipeline", "chart"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=420, check=False)
        assert done.returncode == 0, done.stderr

    def back_to(self, revision: int) -> None:
        self.helm("rollback", RELEASE, str(revision), "--wait")

    def uninstall_without_hooks(self) -> None:
        self.helm("uninstall", RELEASE, "--no-hooks", "--wait")

    def revision(self) -> int:
        return int(json.loads(self.helm("history", RELEASE, "--max=1", "-o", "json"))[-1]["revision"])

    def helm(self, *arguments: str) -> str:
        command = ["helm", *arguments, "--namespace", NAMESPACE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Its settings in this process's environment; another run of end-to-end tests waits until this one has ended."""
    export_cluster()
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def api(cluster: None) -> Api:
    return Api()


@pytest.fixture(scope="session")
def nodes(cluster: None) -> Nodes:
    return Nodes(Path(os.environ["GOLDPOOL_CLUSTER_STATE"]))


@pytest.fixture(scope="session")
def images(nodes: Nodes) -> Iterator[Images]:
    with serving(os.environ["GOLDPOOL_HOST_IP"], nodes) as server:
        yield server


@pytest.fixture(scope="session")
def previous(cluster: None) -> Previous:
    """Its images are on every node, beside the present ones."""
    try:
        found = provide(wished())
    except NoHistoryError as none:
        pytest.skip(str(none))
    node_images.load(config.Layout.of(os.environ), found.archive)
    return found


@pytest.fixture
def chart(previous: Previous) -> Iterator[Chart]:
    """Afterwards the present chart is installed, whatever the test did."""
    chart = Chart(previous)
    yield chart
    chart.to_present()


@pytest.fixture
def site(
    chart: Chart,
    api: Api,
    nodes: Nodes,
    images: Images,
    tmp_path: Path,
) -> Iterator[Site]:
    """The operator is the chart's: the process that other tests run is never started."""
    tidy.clear_away_interrupted_runs(api, nodes)
    site = Site(api, nodes, images, OperatorProcess(tmp_path / "operator.log", tmp_path / "kubeconfig"))
    with others_disabled(api):
        try:
            yield site
            site.close()
        except BaseException:
            print(tidy.dump(site.traces))
            tidy.force(site.traces)
            raise
        finally:
            site.end()
