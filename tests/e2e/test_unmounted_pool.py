"""A pool that is not mounted is a directory of the root disk: nothing may be written there."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.builders import GOLDEN_DISK, STANDARD_DISK, TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-2"


@contextmanager
def unmounted(site: Site, disk: str) -> Iterator[None]:
    site.nodes.pool(NODE, disk, "umount")
    try:
        yield
    finally:
        site.nodes.pool(NODE, disk, "mount")


def test_no_child_is_made_under_the_mount_point(site: Site, boot: Image) -> None:
    _, standard = site.pools_on()
    template = site.template(boot)
    with unmounted(site, STANDARD_DISK):
        site.machine("there", template=template, host=NODE)
        sentence = site.reason("VirtualMachine", "there", "NotPlaceable")
        assert "\n" not in sentence
        location = site.locations(standard)[NODE]["metadata"]["name"]
        site.reason("StorageLocation", location, "NotMounted")
        site.reason("StoragePool", standard, "HostsNotReady")
        site.machine("anywhere", template=template)
        site.running("anywhere")
        assert site.status("VirtualMachine", "anywhere")["host"] != NODE
        assert site.nodes.names_in(NODE, TEST_STANDARD) == []
    site.ready("StorageLocation", location)
    site.ready("StoragePool", standard)
    again = {"metadata": {"annotations": {"goldpool.io/retry": "1"}}}
    site.api.patch("VirtualMachine", "there", again, site.namespace)
    site.running("there")


def test_no_parent_is_fetched_under_the_mount_point(site: Site, boot: Image) -> None:
    golden, _ = site.pools_on()
    with unmounted(site, GOLDEN_DISK):
        template = site.template(boot, prepare=[golden])
        location = site.locations(golden)[NODE]["metadata"]["name"]
        site.reason("StorageLocation", location, "NotMounted")
        site.eventually(
            lambda: (
                {p["spec"]["host"] for p in site.parents(template) if p["status"].get("state") == "Ready"}
                == {*site.nodes.names()} - {NODE}
            ),
            "the other hosts have their copies",
        )
        assert site.nodes.names_in(NODE, TEST_GOLDEN) == []
    site.eventually(
        lambda: site.status("Template", template).get("copies") == "3/3", "the last copy is fetched too"
    )
    assert site.images.gets_of(f"/{template}")[NODE] == 1


def test_a_pool_that_was_never_mounted_is_not_initialised(site: Site) -> None:
    with unmounted(site, STANDARD_DISK):
        pool = site.pool("standard")
        site.eventually(lambda: len(site.locations(pool)) == 3, "there is a location per host")
        location = site.locations(pool)[NODE]["metadata"]["name"]
        assert "mount" in site.reason("StorageLocation", location, "NotMounted")
        assert site.nodes.names_in(NODE, TEST_STANDARD) == []
    site.ready("StoragePool", pool)
