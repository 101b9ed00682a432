"""The whole cluster, the operator as a local process with the chart's own rights, and a site per test."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from hack.guests import bootsector, linux
from hack.guests.__main__ import write_bootsector
from hack.images import cache
from tests.e2e import leadership, tidy
from tests.e2e.api import SYSTEM_NAMESPACE, Api, Refused
from tests.e2e.deployment import scaled_to_zero
from tests.e2e.nodes import ROOT, Nodes
from tests.e2e.operator_process import OperatorProcess
from tests.e2e.server import Image, Images, serving
from tests.e2e.site import Site

RECIPE = bootsector.Recipe(size=4 << 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Teardown may ask whether the test itself failed."""
    report = yield
    item.stash.setdefault(_FAILED, False)
    item.stash[_FAILED] |= report.failed
    return report


_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The development cluster's settings, in this process's environment; another run waits until this one has ended."""
    if not os.environ.get("GOLDPOOL_CLUSTER_STATE"):
        command = [sys.executable, "-m", "hack.cluster", "env"]
        exports = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name, value in re.findall(r"^export (\w+)='([^']*)'", exports, re.MULTILINE):
            os.environ[name] = value + (f":{os.environ['PATH']}" if name == "PATH" else "")
    with Path("/run/goldpool-e2e.lock").open("w") as lock:
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
def operator_kubeconfig(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rights of the chart's service account, so that what the roles lack fails here."""
    command = ["kubectl", "-n", SYSTEM_NAMESPACE, "create", "token", "goldpool", "--duration=8h"]
    token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def operator(
    api: Api, nodes: Nodes, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The only operator while tests run: the Deployment's comes back after them."""
    tidy.wipe(nodes)  # what a run that was interrupted left
    with scaled_to_zero(api):
        log = tmp_path_factory.mktemp("log") / "operator.log"
        process = OperatorProcess(log, operator_kubeconfig, after_death=lambda: leadership.free(api))
        process.start()
        process.await_ready()
        try:
            yield process
        finally:
            process.stop()


@pytest.fixture
def site(
    request: pytest.FixtureRequest, api: Api, nodes: Nodes, images: Images, operator: OperatorProcess
) -> Iterator[Site]:
    """Whatever the test did, the next one finds empty disks."""
    operator.start()
    begin = operator.mark()
    site = Site(api, nodes, images, operator)
    others = others_disabled(api)
    try:
        yield site
        if request.node.stash.get(_FAILED, False):
            print(tidy.dump(site))
        operator.start()
        try:
            site.close()
        except AssertionError:
            print(f"left: {tidy.left_of(site)}")
            print(tidy.dump(site))
            raise
    except BaseException:
        tidy.force(site)
        raise
    finally:
        for name in others:
            with suppress(Refused):  # it was deleted meanwhile
                api.patch("StoragePool", name, {"spec": {"state": "Enabled"}})
        print(operator.tail(begin))
        site.end()


def others_disabled(api: Api) -> list[str]:
    """Nothing of a test may be placed on pools that somebody uses on the same cluster."""
    names = [p["metadata"]["name"] for p in api.every("StoragePool") if p["spec"]["state"] == "Enabled"]
    for name in names:
        api.patch("StoragePool", name, {"spec": {"state": "Disabled"}})
    return names


@pytest.fixture(scope="session")
def boot_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The boot-sector guest, 4 MiB."""
    path = tmp_path_factory.mktemp("guests") / "boot.qcow2"
    write_bootsector(RECIPE, path)
    return path.read_bytes()


@pytest.fixture
def boot(boot_image: bytes) -> Image:
    return Image(boot_image)


@pytest.fixture(scope="session")
def linux_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The Linux guest: checks its files, counts its boots, and obeys the power button."""
    path = tmp_path_factory.mktemp("guests") / "linux.qcow2"
    linux.build(linux.Recipe(), path, cache.cache_directory("guests"))
    return path.read_bytes()


@pytest.fixture(scope="session")
def oneshot_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same, with few files; powers itself off at its end."""
    path = tmp_path_factory.mktemp("guests") / "oneshot.qcow2"
    linux.build(linux.Recipe(oneshot=True, data_mib=1), path, cache.cache_directory("guests"))
    return path.read_bytes()


@pytest.fixture(scope="session")
def boot_line() -> str:
    """What the guest prints at its first boot, up to the count of its boots."""
    return bootsector.expected_line(RECIPE).split(" BOOTS")[0]
