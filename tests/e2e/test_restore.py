"""A machine that is restored from its YAML goes on with its old disk; what is somebody else's is refused."""

from copy import deepcopy

import pytest

from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.builders import TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-3"
pytestmark = pytest.mark.kills_operator


def backup(site: Site, kind: str, name: str) -> Obj:
    """What backup tools keep of an object."""
    kept = deepcopy(site.get(kind, name))
    metadata = {x: kept["metadata"].get(x, {}) for x in ("labels", "annotations")}
    head = {"apiVersion": kept["apiVersion"], "kind": kind}
    return head | {"metadata": metadata | {"name": name, "namespace": site.namespace}, "spec": kept["spec"]}


def vanish(site: Site, kind: str, name: str) -> None:
    """The object goes, its bytes stay: as after a namespace was removed by force."""
    site.api.patch(kind, name, {"metadata": {"finalizers": None}}, site.namespace)
    site.delete(kind, name)
    site.gone(kind, name)


def refused(site: Site, volume: str, why: str) -> None:
    def says_so() -> bool:
        told = site.condition("Volume", volume, "Stalled")
        return told.get("reason") == "VolumeRestored" and why in told["message"]

    site.eventually(says_so, f"Volume {volume} is refused: {why}")


def test_a_machine_and_its_volume_come_back_from_their_yaml(site: Site, boot: Image, boot_line: str) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot))
    site.says("vm", f"{boot_line} BOOTS 0001")
    volume, machine = backup(site, "Volume", "vm-root"), backup(site, "VirtualMachine", "vm")
    disk = volume["spec"]["storageID"]
    old = site.get("Volume", "vm-root")["metadata"]["uid"]

    site.operator.kill()
    for kind, name in (("VirtualMachine", "vm"), ("Volume", "vm-root")):
        vanish(site, kind, name)
    site.operator.start()
    site.eventually(lambda: site.pod_of("vm") is None, "the guest that nobody owns any more is ended")
    site.eventually(
        lambda: site.api.get("Lease", f"volume-{old}", DATA_NAMESPACE) is None, "its claim is given back"
    )
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == [disk]

    renamed = deepcopy(volume)
    renamed["metadata"]["name"] = "another"
    site.api.create(renamed)
    refused(site, "another", f"made for {site.namespace}/vm-root")
    site.delete("Volume", "another")
    site.gone("Volume", "another")
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == [disk], (
        "it was not that object's to remove"
    )

    site.api.create(volume)
    site.ready("Volume", "vm-root")
    site.api.create(renamed)
    refused(site, "another", f"Volume {site.namespace}/vm-root")
    site.api.create(machine)
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0002")
    assert site.get("Volume", "vm-root")["spec"]["storageID"] == disk
    site.delete("Volume", "another")
    site.gone("Volume", "another")
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == [disk]
