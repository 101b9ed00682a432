"""Something happens in the middle of a transfer. The server stops at a byte until it is told to go on, so that the middle
is where the test says, on a slow machine too."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.ballast import filled
from tests.e2e.builders import GOLDEN_DISK, TEST_GOLDEN, a_template
from tests.e2e.site import PATIENCE_SECONDS, Site
from tests.servers.misbehaving import Body, Gate, Server, serving

NODE: Final = "node-1"
MEBI: Final = 1 << 20


@pytest.fixture
def web(site: Site) -> Iterator[Server]:
    """Where the nodes reach it. It ends before the site does, so that no transfer is left hanging."""
    with serving(os.environ["GOLDPOOL_HOST_IP"]) as server:
        yield server


@dataclass(frozen=True)
class Halted:
    """A template whose transfer has come as far as ``gate`` lets it."""

    name: str
    gate: Gate
    path: str


@dataclass(frozen=True)
class Scene:
    site: Site
    web: Server
    golden: str
    content: bytes

    def halting(self, stem: str, at: int, content: bytes = b"", image_format: str = "qcow2") -> Halted:
        """Whoever asks for the template is given as many bytes, and the rest when the gate opens."""
        content = content or self.content
        gate, name = Gate(), self.site.name(stem)
        path = f"/{name}"
        url = self.web.answer(path, Body(content, etag=f'"{stem}"', gate=gate, gate_at=at))
        self.site.templates.append(name)
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        template = a_template(name, url, checksum=checksum, prepare=[self.golden], image_format=image_format)
        self.site.api.create(template)
        return Halted(name, gate, path)


@pytest.fixture
def scene(site: Site, web: Server, boot_image: bytes) -> Scene:
    golden, _ = site.pools_on(NODE)
    return Scene(site, web, golden, boot_image)


def in_the_middle(halted: Halted) -> None:
    assert halted.gate.reached.wait(PATIENCE_SECONDS), f"nobody fetched {halted.name} so far"


def fetches(site: Site, template: str) -> list[Obj]:
    """The pods of the Jobs that fetch it now."""
    parents = [f"fetch/{parent['metadata']['name']}/" for parent in site.parents(template)]
    found = []
    for job in site.api.every("Job", DATA_NAMESPACE):
        told = json.loads((job["metadata"].get("annotations") or {}).get("goldpool.io/operations", "[]"))
        if any(entry["id"].startswith(parent) for entry in told for parent in parents):
            labels = f"batch.kubernetes.io/job-name={job['metadata']['name']}"
            found += site.api.every("Pod", DATA_NAMESPACE, labels)
    return found


def published(site: Site, *templates: str) -> None:
    """Each of them once and whole, and nothing beside it. A template whose hosts are away wants no copy and is Ready."""
    for template in templates:
        (name,) = [parent["metadata"]["name"] for parent in site.parents(template)]
        site.ready("Parent", name)
        parent = site.get("Parent", name)
        path = f"{TEST_GOLDEN}/templates/{parent['metadata']['name']}"
        assert site.nodes.names_in(NODE, path) == ["disk.qcow2", "parent.json"]
        found = site.nodes.run(NODE, "sha256sum", f"{path}/disk.qcow2").split()[0]
        assert (
            found
            == parent["status"]["revision"]
            == json.loads(site.nodes.read(NODE, f"{path}/parent.json"))["revision"]
        )
    site.eventually(lambda: unpublished(site) == [], "nothing unfinished is left")


def unpublished(site: Site) -> list[str]:
    return site.nodes.names_in(NODE, f"{TEST_GOLDEN}/tmp")


def killed(site: Site, template: str) -> None:
    """The pod that fetches it is gone from the cluster and from its node, and another one is at work."""
    pod = site.eventually(lambda: fetches(site, template), f"a pod fetches {template}")[0]["metadata"]
    site.api.delete("Pod", pod["name"], DATA_NAMESPACE, grace=0)
    site.eventually(
        lambda: [p for p in fetches(site, template) if p["metadata"]["uid"] != pod["uid"]],
        f"another pod fetches {template}",
    )


def test_a_pod_killed_at_any_byte_publishes_once_and_whole(scene: Scene) -> None:
    site, last = scene.site, len(scene.content) - 1
    done: list[str] = []
    for at in (0, last // 2, last):
        halted = scene.halting(f"at-{at}", at)
        in_the_middle(halted)
        killed(site, halted.name)
        assert len(site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates")) == len(done)
        halted.gate.opened.set()
        site.ready("Template", halted.name)
        done.append(halted.name)
    published(site, *done)


def test_after_a_killed_pod_the_next_one_goes_on(scene: Scene) -> None:
    site, web = scene.site, scene.web
    disk = os.urandom(64 * MEBI)
    halted = scene.halting("big", 48 * MEBI, disk, "raw")
    in_the_middle(halted)
    site.eventually(lambda: recorded(site) == 48 * MEBI, "what arrived is durable")
    killed(site, halted.name)
    halted.gate.opened.set()
    site.ready("Template", halted.name)
    assert web.sent(halted.path) < 1.3 * len(disk)
    ranges = [r.headers.get("Range") for r in web.requests_of(halted.path, "GET")]
    assert f"bytes={48 * MEBI}-" in ranges
    (parent,) = site.parents(halted.name)
    path = f"{TEST_GOLDEN}/templates/{parent['metadata']['name']}/disk.raw"
    assert site.nodes.run(NODE, "sha256sum", path).split()[0] == hashlib.sha256(disk).hexdigest()
    site.eventually(lambda: unpublished(site) == [], "nothing unfinished is left")


def test_a_pool_that_fills_up_in_the_middle_gets_its_space_back(scene: Scene) -> None:
    site = scene.site
    halted = scene.halting("big", 24 * MEBI, os.urandom(64 * MEBI), "raw")
    in_the_middle(halted)
    site.eventually(lambda: recorded(site) == 24 * MEBI, "what arrived is durable")
    with filled(site, NODE, TEST_GOLDEN, but=4 * MEBI):
        halted.gate.opened.set()
        site.eventually(lambda: "PoolFull" in said(site, halted.name), f"{halted.name} says PoolFull")
        site.eventually(lambda: unpublished(site) == [], "nothing of the transfer is left")
    site.ready("Template", halted.name)


def recorded(site: Site) -> int:
    """Bytes that a killed transfer would go on behind."""
    found = 0
    for entry in unpublished(site):
        command = f"cat {TEST_GOLDEN}/tmp/{entry}/transfer.json 2>/dev/null || true"
        if told := site.nodes.run(NODE, "sh", "-c", command).strip():
            found = max(found, int(json.loads(told)["received"]))
    return found


def said(site: Site, template: str) -> str:
    """All that its copies say of themselves."""
    return json.dumps([parent.get("status") for parent in site.parents(template)])


def test_what_is_deleted_in_the_middle_leaves_nothing(scene: Scene) -> None:
    site, web, golden = scene.site, scene.web, scene.golden
    half = len(scene.content) // 2
    first, second = (scene.halting(stem, half) for stem in ("first", "second"))
    for each in (first, second):
        in_the_middle(each)
    assert unpublished(site), "the transfers are seen on the pool"

    site.delete("Template", first.name)
    site.gone("Template", first.name)
    assert site.parents(first.name) == []
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == []
    assert fetches(site, second.name), "the other one goes on"

    site.delete("StoragePool", golden)
    site.gone("StoragePool", golden)
    site.eventually(lambda: site.parents(second.name) == [], "nothing is to be fetched any more")
    left = site.nodes.files(NODE, TEST_GOLDEN)
    assert [name for name in left if second.name in name or ".parent" in name or "disk" in name] == []
    for each in (first, second):
        assert not web.requests_of(each.path)[0].whole


def test_a_pool_unmounted_in_the_middle_gets_nothing_under_its_mount_point(scene: Scene) -> None:
    """The Job's pod holds the file system itself, whatever is taken off the host's directory."""
    site = scene.site
    halted = scene.halting("boot", len(scene.content) // 2)
    in_the_middle(halted)
    site.nodes.pool(NODE, GOLDEN_DISK, "umount")
    try:
        halted.gate.opened.set()
        site.eventually(lambda: fetches(site, halted.name) == [], "the Job has ended")
        assert site.nodes.files(NODE, TEST_GOLDEN) == []
    finally:
        site.nodes.pool(NODE, GOLDEN_DISK, "mount")
    site.ready("Template", halted.name)
    published(site, halted.name)


@pytest.mark.breaks_host
def test_a_link_that_goes_down_in_the_middle(scene: Scene) -> None:
    site, golden = scene.site, scene.golden
    halted = scene.halting("boot", len(scene.content) // 2)
    in_the_middle(halted)
    site.nodes.link(NODE, "down")
    try:
        halted.gate.opened.set()
        site.reason("StoragePool", golden, "HostsNotReady")
        assert site.parents(halted.name)[0]["status"].get("revision") is None
    finally:
        site.nodes.link(NODE, "up")
    site.ready("StoragePool", golden)
    site.ready("Template", halted.name)
    published(site, halted.name)
