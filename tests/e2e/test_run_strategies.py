"""runStrategy, with a guest that never ends by itself."""

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
    site.eventually(lambda: site.get("Volume", "vm-root")["status"]["phase"] == "Ready", "the volume is free")

    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Always"}}, site.namespace)
    site.says("vm", f"{boot_line} BOOTS 0002")
    assert site.get("Volume", "vm-root")["spec"]["storageID"] == disk


def test_a_guest_that_dies_is_started_again_unless_once_was_asked(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.pools_on(NODE)
    template = site.template(boot)
    again = {"always": "Always", "rerun": "RerunOnFailure"}
    for name, strategy in (again | {"once": "Once"}).items():
        site.machine(name, template=template, run=strategy)
    site.running(*again, "once")
    for name in (*again, "once"):
        site.says(name, f"{boot_line} BOOTS 0001")
        kill(site.get("VirtualMachine", name)["metadata"]["uid"])
    for name in again:
        site.says(name, f"{boot_line} BOOTS 0002")
    site.eventually(
        lambda: [site.status("VirtualMachine", name).get("restarts") for name in again] == [1, 1],
        "each counts its restart",
    )
    site.running(*again)
    site.phase("once", "Failed")
    assert site.pod_of("once") is None
    assert site.condition("VirtualMachine", "once", "Stalled")["status"] == "True"
