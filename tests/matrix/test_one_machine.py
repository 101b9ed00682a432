"""The operator dies after each single write of one machine's path: for every write a run that dies right after it."""

from goldpool.contracts.layout import DIRECTORIES
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD, a_pool
from tests.e2e.lives import Lives
from tests.e2e.nodes import Nodes
from tests.e2e.server import Image
from tests.matrix.canonical import State, settled, state
from tests.matrix.deaths import every_write
from tests.matrix.ending import PATIENCE, NewSite, each_operation_once, ended

NODE = "node-1"
EMPTY = {".goldpool", ".goldpool/released.json", *DIRECTORIES, "lost+found"}
"""All that is in a pool's directory when Goldpool has left it."""


def test_pools(lives: Lives, new_site: NewSite, nodes: Nodes) -> None:
    def run(expected: State | None) -> State:
        site = new_site()
        golden = site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": NODE})
        standard = site.pool("standard", hosts={"kubernetes.io/hostname": NODE})
        site.ready("StoragePool", golden, standard, timeout=PATIENCE)
        made = settled(lambda: state(site, NODE, golden, standard), expected, PATIENCE)
        ended(site)
        each_operation_once(site, golden, standard)
        left = [name for path in (TEST_GOLDEN, TEST_STANDARD) for name in nodes.files(NODE, path)]
        assert set(left) <= EMPTY
        return made

    every_write(lives, "pools", run)


def test_a_machine(lives: Lives, new_site: NewSite, boot: Image, boot_line: str) -> None:
    """The pools stay between runs: their own writes are the other test's."""
    lives.begin(None)
    base = new_site()
    hosts = {"kubernetes.io/hostname": NODE}
    golden, standard = base.name("golden"), base.name("standard")
    base.pools += [golden, standard]
    base.api.create(a_pool(golden, golden=True, hosts=hosts))
    base.api.create(a_pool(standard, hosts=hosts))
    base.ready("StoragePool", golden, standard, timeout=PATIENCE)

    def run(expected: State | None) -> State:
        site = new_site()
        template = site.template(boot)
        site.machine("vm", template=template)
        site.running("vm", timeout=PATIENCE)
        site.says("vm", f"{boot_line} BOOTS 0001", timeout=PATIENCE)
        site.ready("Template", template, timeout=PATIENCE)
        made = settled(lambda: state(site, NODE, golden, standard), expected, PATIENCE)
        ended(site)
        each_operation_once(site, golden, standard)
        assert site.images.gets_of(f"/{template}") == {NODE: 1}, "downloaded more than once"
        return made

    every_write(lives, "machine", run)
    lives.begin(None)
    ended(base)
