"""Machines with an ISO: an installer on an empty disk, and a CD beside a disk that boots."""

from hack.guests import installer
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.e2e.test_guards import blocked

NODE = "node-1"


def iso_of(site: Site, machine: str) -> dict[str, str]:
    return dict(site.status("VirtualMachine", machine).get("iso") or {})


def restart(site: Site, machine: str) -> None:
    """Stopped, and no pod left; then started again."""
    set_run_strategy(site, machine, "Halted")
    site.phase(machine, "Stopped")
    set_run_strategy(site, machine, "Always")


def set_run_strategy(site: Site, machine: str, strategy: str) -> None:
    site.api.patch("VirtualMachine", machine, {"spec": {"runStrategy": strategy}}, site.namespace)


def test_an_installer_makes_a_disk_that_boots_and_its_iso_is_held_until_it_is_taken_out(site: Site) -> None:
    golden, _ = site.pools_on(NODE)
    template = site.template(Image(installer.medium()), stem="installer", image_format="iso", retention="0s")
    site.machine("vm", iso=template)
    console = site.says("vm", installer.THEN_SAYS)
    assert installer.SAYS in console, "the empty disk did not boot the CD"
    site.running("vm")
    (parent,) = site.parents(template)
    name = parent["metadata"]["name"]
    assert iso_of(site, "vm") | {"revision": ""} == {
        "template": template,
        "pool": golden,
        "host": NODE,
        "location": parent["spec"]["location"],
        "parent": name,
        "revision": "",
    }
    assert site.nodes.files(NODE, f"{TEST_GOLDEN}/templates") == [
        name, f"{name}/disk.iso", f"{name}/parent.json",
    ]  # fmt: skip

    site.delete("Template", template)
    blocked(site, "Template", template, "vm")
    assert "spec.iso" in site.condition("Template", template)["message"]
    site.delete("StoragePool", golden)
    blocked(site, "StoragePool", golden, "vm")
    site.delete("Parent", name)
    blocked(site, "Parent", name, "vm")

    site.api.patch("VirtualMachine", "vm", {"spec": {"iso": None}}, site.namespace)
    site.eventually(
        lambda: "until it is restarted" in site.condition("VirtualMachine", "vm").get("message", ""),
        "the machine says when the ISO goes",
    )
    assert iso_of(site, "vm")["parent"] == name
    restart(site, "vm")
    site.says("vm", installer.THEN_SAYS.replace("BOOTS 0001", "BOOTS 0002"))
    site.gone("Template", template)
    site.gone("StoragePool", golden)
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == []
    assert iso_of(site, "vm") == {}


def test_a_disk_that_boots_goes_before_its_driver_cd_and_an_ordinary_iso_lies_beside_it(
    site: Site, boot: Image, boot_line: str
) -> None:
    _, standard = site.pools_on(NODE)
    disk = site.template(boot)
    drivers = site.template(
        Image(installer.medium("DRIVERS")), stem="drivers", image_format="iso", golden=False
    )
    site.machine("vm", template=disk, iso=drivers)
    site.machine("wrong", template=drivers)
    site.machine("wrong-too", template=disk, iso=disk)
    site.says("vm", f"{boot_line} BOOTS 0001")
    site.running("vm")
    assert "ISO-UP" not in site.console("vm")
    (parent,) = site.parents(drivers)
    assert (parent["spec"]["pool"], iso_of(site, "vm")["pool"]) == (standard, standard)
    pod = site.pod_of("vm")
    assert pod is not None
    mounts = {m["mountPath"]: m for m in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts[f"/parents/{parent['metadata']['name']}"]["readOnly"] is True
    assert f"{parent['metadata']['name']}/disk.iso" in site.nodes.files(NODE, f"{TEST_STANDARD}/templates")

    assert "spec.iso" in site.reason("VirtualMachine", "wrong", "TemplateIsISO")
    assert "qcow2" in site.reason("VirtualMachine", "wrong-too", "TemplateIsNoISO")
