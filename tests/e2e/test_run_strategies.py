"""runStrategy, with a guest that never ends by itself."""

import pytest

from tests.e2e.guests import kill
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-2"


def test_a_halted_machine_keeps_its_disk_and_starts_again(site: Site, boot: Image, boot_line: str) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot))
    site.says("vm", f"{boot_line} BOOTS 0001")
    disk = site.get("Volume", "vm-root")["spec"]["storageID"]
    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Halted"}}, site.namespace)
    site.phase("vm", "Stopped")
    assert site.pod_of("vm") is None
    assert site.condition("VirtualMachine", "vm")["status"] == "True"
    assert site.get("Volume", "vm-root")["status"]["phase"] == "Ready"

    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Always"}}, site.namespace)
    site.says("vm", f"{boot_line} BOOTS 0002")
    assert site.get("Volume", "vm-root")["spec"]["storageID"] == disk


@pytest.mark.parametrize("strategy", ["Always", "RerunOnFailure"])
def test_a_guest_that_dies_is_started_again(site: Site, boot: Image, boot_line: str, strategy: str) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot), run=strategy)
    site.says("vm", f"{boot_line} BOOTS 0001")
    site.running("vm")
    kill(site.get("VirtualMachine", "vm")["metadata"]["uid"])
    site.says("vm", f"{boot_line} BOOTS 0002")
    site.running("vm")
    assert site.status("VirtualMachine", "vm")["restarts"] == 1


def test_a_guest_that_dies_is_not_started_again_when_once_was_asked(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    site.machine("vm", template=site.template(boot), run="Once")
    site.running("vm")
    kill(site.get("VirtualMachine", "vm")["metadata"]["uid"])
    site.phase("vm", "Failed")
    assert site.pod_of("vm") is None
    assert site.condition("VirtualMachine", "vm", "Stalled")["status"] == "True"
