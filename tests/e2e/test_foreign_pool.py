"""Bytes of somebody else are not touched."""

from goldpool.contracts.layout import DIRECTORIES, IDENTITY_FILE, LocationIdentity
from tests.e2e.builders import TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-1"


def test_a_disk_of_another_cluster_is_refused_and_left_as_it_is(site: Site, boot: Image) -> None:
    theirs = LocationIdentity(
        location="standard-theirs", cluster="another", pool="standard", node=NODE, node_uid="1"
    )
    files = {
        f"{TEST_STANDARD}/{IDENTITY_FILE}": theirs.to_json(),
        f"{TEST_STANDARD}/volumes/v-theirs/disk.qcow2": "their bytes",
    }
    for path, content in files.items():
        site.nodes.write(NODE, path, content)
    before = site.nodes.files(NODE, TEST_STANDARD)
    try:
        site.pool("golden", golden=True)
        standard = site.pool("standard")
        site.reason("StoragePool", standard, "HostsNotReady")
        location = site.locations(standard)[NODE]["metadata"]["name"]
        assert "another" in site.reason("StorageLocation", location, "ForeignPool")
        site.machine("vm", template=site.template(boot))
        site.running("vm")
        assert site.status("VirtualMachine", "vm")["host"] != NODE
        site.delete("VirtualMachine", "vm")
        site.delete("StoragePool", standard)
        site.gone("StoragePool", standard)
        assert site.nodes.files(NODE, TEST_STANDARD) == before
        assert {path: site.nodes.read(NODE, path) for path in files} == files
    finally:
        everything = [f"{TEST_STANDARD}/{name}" for name in (".goldpool", *DIRECTORIES)]
        site.nodes.run(NODE, "rm", "-rf", *everything)
