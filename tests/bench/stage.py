"""What every part runs on: the development cluster, the operator as a process, and a site that is empty afterwards."""

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import yaml

from hack.cluster import config
from hack.pipeline import environment
from tests.bench.measured import MeasuredOperator
from tests.e2e import tidy
from tests.e2e.api import SYSTEM_NAMESPACE, Api
from tests.e2e.builders import every_path
from tests.e2e.deployment import scaled_to_zero
from tests.e2e.nodes import ROOT, Nodes
from tests.e2e.server import Images, serving
from tests.e2e.site import Site

HOSTS: Final = ("node-1", "node-2", "node-3")


class Stage:
    """The operator is not running when a part begins."""

    def __init__(self, api: Api, nodes: Nodes, images: Images, operator: MeasuredOperator) -> None:
        self.api, self.nodes, self.images, self.operator = api, nodes, images, operator

    @contextmanager
    def leading(self) -> Iterator[MeasuredOperator]:
        """The operator works meanwhile."""
        self.operator.start()
        try:
            self.operator.await_caches()
            self.operator.await_leading()
            yield self.operator
        finally:
            self.operator.stop()

    @contextmanager
    def site(self) -> Iterator[Site]:
        """The operator works meanwhile. Afterwards nothing is left of what the part made, also when it failed."""
        with self.leading():
            site = Site(self.api, self.nodes, self.images, self.operator)
            try:
                yield site
                site.close()
            except BaseException:
                print(self.operator.tail(limit=6000), file=sys.stderr)
                tidy.force(site.traces)
                raise
            finally:
                site.end()


@contextmanager
def standing() -> Iterator[Stage]:
    """Brings the cluster and the chart up if need be; a cluster that was down is down again afterwards."""
    layout = config.Layout.of(os.environ)
    with ExitStack() as stack:
        if not environment.cluster_answers(layout):
            _make("cluster-up")
            stack.callback(_make, "cluster-down")
        os.environ.update(environment.of_cluster(layout))
        lock = stack.enter_context(Path("/run/goldpool-e2e.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests use the same disks
        api, nodes = Api(), Nodes(layout.state_file)
        _make("chart")  # of this tree, as the operator: its CRDs, and its images for Jobs and machines
        tidy.wipe(nodes, every_path())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goldpool-bench-")))
        images = stack.enter_context(serving(os.environ["GOLDPOOL_HOST_IP"], nodes))
        stack.enter_context(scaled_to_zero(api))
        stack.callback(tidy.wipe, nodes, every_path())
        yield Stage(api, nodes, images, MeasuredOperator(directory / "operator.log", _kubeconfig(directory)))


def _kubeconfig(directory: Path) -> Path:
    """The chart's service account: its rights, and its share of the API server."""
    command = ["kubectl", "-n", SYSTEM_NAMESPACE, "create", "token", "goldpool", "--duration=8h"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    found = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    found["users"] = [{"name": user["name"], "user": {"token": token}} for user in found["users"]]
    path = directory / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(found))
    return path


def _make(target: str) -> None:
    subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, check=True, stdout=sys.stderr)
