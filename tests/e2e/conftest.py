"""The whole cluster, the operator as a local process with the chart's own rights, and a site per test."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.config import TEST_SETS
from hack.guests import bootsector, linux
from hack.guests.__main__ import write_bootsector
from hack.images import cache
from tests.e2e import stage as stages
from tests.e2e import tidy
from tests.e2e.api import Api
from tests.e2e.lives import Lives
from tests.e2e.nodes import Nodes
from tests.e2e.operator_process import Operator
from tests.e2e.room import Company
from tests.e2e.server import Image, Images, serving
from tests.e2e.site import Site

RECIPE = bootsector.Recipe(size=4 << 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)
    items.sort(key=_company)  # so that few wait for each other


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Teardown may ask whether the test itself failed."""
    report = yield
    item.stash.setdefault(_FAILED, False)
    item.stash[_FAILED] |= report.failed
    return report


_FAILED = pytest.StashKey[bool]()
_STAGE = pytest.StashKey[stages.Stage]()
_ENDING = pytest.StashKey[ExitStack]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[object]) -> None:
    if len(specs) > len(TEST_SETS):
        raise pytest.UsageError(f"the cluster has disks for {len(TEST_SETS)} workers at most")
    ending = config.stash[_ENDING] = ExitStack()
    config.stash[_STAGE] = ending.enter_context(stages.opened())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["e2e_stage"] = stages.served(node.config.stash[_STAGE])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Nobody waits for a worker that is gone."""
    stage: stages.Stage = node.config.stash[_STAGE]
    stage.room.leave(node.gateway.id)
    stage.process.start(node.gateway.id)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (ending := config.stash.get(_ENDING, None)) is not None:
        ending.close()


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest) -> Iterator[stages.Stage]:
    """The cluster's settings are in this process's environment from then on."""
    given = getattr(request.config, "workerinput", {}).get("e2e_stage")
    if given is not None:
        yield stages.joined(*given)
        return
    with stages.opened() as stage:
        yield stage


@pytest.fixture(scope="session")
def api(stage: stages.Stage) -> Api:
    return Api()


@pytest.fixture(scope="session")
def nodes(stage: stages.Stage) -> Nodes:
    return Nodes(Path(os.environ["GOLDPOOL_CLUSTER_STATE"]))


@pytest.fixture(scope="session")
def images(nodes: Nodes) -> Iterator[Images]:
    with serving(os.environ["GOLDPOOL_HOST_IP"], nodes) as server:
        yield server


@pytest.fixture(scope="session")
def operator(stage: stages.Stage) -> Operator:
    """The only one while tests run: the Deployment's comes back after them."""
    return Operator(stage.process, _worker())


@pytest.fixture(scope="session")
def operator_kubeconfig(stage: stages.Stage) -> Path:
    """The rights of the chart's service account, so that what the roles lack fails here."""
    return stage.kubeconfig


@pytest.fixture(autouse=True)
def company(request: pytest.FixtureRequest, stage: stages.Stage, api: Api, nodes: Nodes) -> Iterator[None]:
    """The test runs when it and those that run bear each other, on a cluster that answers: what one test broke is not
    the next one's failure."""
    who = _worker()
    stage.room.enter(who, _company(request.node))
    try:
        if not api.answers():
            nodes.repair()
        yield
    finally:
        stage.room.leave(who)


@pytest.fixture
def site(
    request: pytest.FixtureRequest, api: Api, nodes: Nodes, images: Images, operator: Operator
) -> Iterator[Site]:
    """Whatever the test did, the next one finds empty disks."""
    begin = operator.mark()
    site = Site(api, nodes, images, operator)
    try:
        yield site
        if request.node.stash.get(_FAILED, False):
            print(tidy.dump(site.traces))
        operator.start()
        try:
            site.close()
        except AssertionError:
            print(f"left: {tidy.left_of(site.traces)}")
            print(tidy.dump(site.traces))
            raise
    except BaseException:
        tidy.force(site.traces)
        raise
    finally:
        print(operator.tail(begin))
        site.end()


@pytest.fixture
def lives(site: Site, api: Api, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Lives]:
    """In the session's operator's place: operators that die when they are told to."""
    site.operator.stop()
    lives = Lives(api, operator_kubeconfig, tmp_path)
    try:
        yield lives
    finally:
        lives.end()
        print(lives.tail())
        site.operator.start()


def _worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "alone")


def _company(item: pytest.Item) -> Company:
    if item.get_closest_marker("alone"):
        return Company.NOBODY
    if item.get_closest_marker("breaks_host"):
        return Company.BREAKERS
    return Company.KILLERS if item.get_closest_marker("kills_operator") else Company.ANY


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
