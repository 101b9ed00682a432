"""goldenPolicy Preferred: where no golden pool is in reach, a machine boots from a parent on its disk's own pool."""

from tests.e2e.builders import TEST_STANDARD
from tests.e2e.cli import goldpool
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.e2e.test_guards import blocked

NODE = "node-1"


def test_a_machine_boots_from_a_parent_beside_its_disk_and_takes_it_along(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.pool("golden", golden=True, hosts={"kubernetes.io/hostname": "node-2"})
    standard = site.pool("standard", hosts={"kubernetes.io/hostname": NODE})
    site.ready("StoragePool", standard, site.name("golden"))
    template = site.template(boot)
    site.machine("required", template=template)
    site.machine("preferred", template=template, golden="Preferred")
    site.running("preferred")
    assert f"{boot_line} BOOTS 0001" in site.says("preferred", "BS-MARKER")

    sentence = site.reason("VirtualMachine", "required", "NotPlaceable")
    assert "reaches no golden pool that can serve the template" in sentence
    status = site.status("VirtualMachine", "preferred")
    assert (status["host"], status["rootPool"], status["fallbackPool"]) == (NODE, standard, standard)
    assert "goldenPool" not in status
    [told] = site.told("preferred", "Placed: ")
    assert f"root in {standard} with its parent beside it as a fallback" in told
    said = goldpool("explain", "vm", "preferred", "-n", site.namespace).stdout
    assert f"{standard} (fallback)" in said
    assert "its parent beside it as a fallback (*)" in said

    [parent] = site.parents(template)
    name = parent["metadata"]["name"]
    assert (parent["spec"]["pool"], parent["spec"]["fallback"]) == (standard, True)
    assert f"{name}/disk.qcow2" in site.nodes.files(NODE, f"{TEST_STANDARD}/templates")
    [line] = [x for x in goldpool("tree").stdout.splitlines() if name in x]
    assert "fallback" in line
    site.delete("StoragePool", standard)
    blocked(site, "StoragePool", standard, "preferred-root")
    site.running("preferred")

    site.delete("VirtualMachine", "preferred")
    site.gone("StoragePool", standard)
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/templates") == []


def test_a_parent_that_nobody_uses_makes_room_for_disks_at_once(site: Site, boot: Image) -> None:
    standard = site.pool("standard", hosts={"kubernetes.io/hostname": NODE})
    site.ready("StoragePool", standard)
    template = site.template(boot, retention="24h")
    for name in ("first", "second"):
        site.machine(name, template=template, golden="Preferred")
    site.running("first", "second")
    [parent] = site.parents(template)
    assert sum(site.images.gets_of(f"/{template}").values()) == 1, "fetched once for both"
    site.delete("VirtualMachine", "first")
    site.gone("Volume", "first-root")
    assert [p["metadata"]["name"] for p in site.parents(template)] == [parent["metadata"]["name"]]
    site.running("second")
    site.delete("VirtualMachine", "second")
    site.gone("Parent", parent["metadata"]["name"])
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/templates") == []
