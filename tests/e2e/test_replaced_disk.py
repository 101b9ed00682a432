"""A disk that is not the one that was there: an empty one, or another host's. Nothing is written there unasked."""

from collections.abc import Iterator
from contextlib import contextmanager

from goldpool.contracts.layout import DIRECTORIES, IDENTITY_FILE, LocationIdentity
from goldpool.planning.identity import location_name
from tests.e2e.builders import GOLDEN_DISK, TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-2"


@contextmanager
def replaced(site: Site, disk: str, path: str) -> Iterator[None]:
    """An empty file system is mounted where the disk was."""
    site.nodes.pool(NODE, disk, "umount")
    site.nodes.run(NODE, "mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "empty", path)
    try:
        yield
    finally:
        site.nodes.run(NODE, "umount", "--lazy", path)
        site.nodes.pool(NODE, disk, "mount")
        # What is on it was given up.
        site.nodes.run(NODE, "rm", "-rf", *(f"{path}/{name}" for name in (".goldpool", *DIRECTORIES)))


def test_a_golden_disk_replaced_by_an_empty_one_is_filled_again_once_a_person_says_so(
    site: Site, boot: Image, boot_line: str
) -> None:
    golden, _ = site.pools_on(NODE)
    template = site.template(boot)
    site.machine("old", template=template)
    site.says("old", f"{boot_line} BOOTS 0001")
    site.running("old")
    (parent,) = [p["metadata"]["name"] for p in site.parents(template)]
    revision = site.status("Parent", parent)["revision"]
    location = site.locations(golden)[NODE]["metadata"]["name"]
    with replaced(site, GOLDEN_DISK, TEST_GOLDEN):
        site.template(boot, stem="other", prepare=[golden])  # something that looks at the disk
        sentence = site.reason("StorageLocation", location, "NotMounted")
        assert f"kubectl annotate storagelocation {location} goldpool.io/abandon={NODE}" in sentence
        site.running("old")  # it holds what it has opened
        assert site.nodes.names_in(NODE, TEST_GOLDEN) == [], "nothing is written there unasked"

        site.api.patch(
            "StorageLocation", location, {"metadata": {"annotations": {"goldpool.io/abandon": NODE}}}
        )
        site.ready("StorageLocation", location)
        site.eventually(
            lambda: site.images.gets_of(f"/{template}").get(NODE) == 2, "the lost parent is fetched again"
        )
        site.ready("Parent", parent)
        assert site.status("Parent", parent)["revision"] == revision
        annotations = site.get("StorageLocation", location)["metadata"].get("annotations") or {}
        assert "goldpool.io/abandon" not in annotations, "what is there now is not given up"
        site.machine("new", template=template)
        site.says("new", f"{boot_line} BOOTS 0001")
        site.api.patch("VirtualMachine", "old", {"spec": {"runStrategy": "Halted"}}, site.namespace)
        site.phase("old", "Stopped")
        site.api.patch("VirtualMachine", "old", {"spec": {"runStrategy": "Always"}}, site.namespace)
        site.says("old", f"{boot_line} BOOTS 0002")
        site.ready("Volume", "old-root", "new-root")
        site.close()


def test_a_disk_of_another_host_is_not_written_to_until_it_is_taken_away(site: Site, boot: Image) -> None:
    label = f"e2e-{site.token}"
    standard = site.pool("standard", hosts={label: "yes"})
    uid = site.get("StoragePool", standard)["metadata"]["uid"]
    theirs = LocationIdentity(
        location=location_name(standard, uid, "node-1"),
        cluster=cluster_uid(site),
        pool=standard,
        node="node-1",
        node_uid=site.get("Node", "node-1")["metadata"]["uid"],
    )
    site.nodes.write(NODE, f"{TEST_STANDARD}/{IDENTITY_FILE}", theirs.to_json())
    everything = [f"{TEST_STANDARD}/{name}" for name in (".goldpool", *DIRECTORIES)]
    before = site.nodes.files(NODE, TEST_STANDARD)
    site.api.patch("Node", NODE, {"metadata": {"labels": {label: "yes"}}})
    try:
        location = place(site, standard)
        sentence = site.reason("StorageLocation", location, "Replaced")
        assert theirs.location in sentence
        assert site.nodes.files(NODE, TEST_STANDARD) == before
        site.nodes.run(NODE, "rm", "-rf", *everything)
        site.ready("StorageLocation", location)
        site.close()
    finally:
        site.api.patch("Node", NODE, {"metadata": {"labels": {label: None}}})
        site.nodes.run(NODE, "rm", "-rf", *everything)


def cluster_uid(site: Site) -> str:
    namespace = site.api.get("Namespace", "kube-system")
    assert namespace is not None
    return str(namespace["metadata"]["uid"])


def place(site: Site, pool: str) -> str:
    """Name of the pool's location on the node, once there is one."""
    found = site.eventually(lambda: site.locations(pool).get(NODE), "the location")
    assert found is not None
    return str(found["metadata"]["name"])
