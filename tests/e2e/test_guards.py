"""What is used is not lost: deletion waits for the last user, says who that is, and then goes on by itself."""

from tests.e2e.api import Obj
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-1"


def blocked(site: Site, kind: str, name: str, *users: str) -> None:
    """It stays, says so, and names exactly these users."""

    def names_them() -> bool:
        obj = site.get(kind, name)
        blockers = [b["name"] for b in (obj.get("status") or {}).get("blockers", [])]
        condition = site.condition(kind, name, "DeletionBlocked")
        return (
            "deletionTimestamp" in obj["metadata"]
            and condition.get("status") == "True"
            and blockers == [*users]
        )

    site.eventually(names_them, f"{kind} {name} is held up by {users}")


def test_a_used_pool_and_template_go_with_their_last_machine(site: Site, boot: Image) -> None:
    golden, standard = site.pools_on(NODE)
    template = site.template(boot)
    site.machine("first", template=template)
    site.machine("second", template=template)
    site.running("first", "second")
    (parent,) = site.parents(template)
    before = {name: pod_uid(site, name) for name in ("first", "second")}

    site.delete("Template", template)
    site.delete("StoragePool", golden, standard)
    for kind, name in (("Template", template), ("StoragePool", golden), ("StoragePool", standard)):
        blocked(site, kind, name, "first-root", "second-root")
    sentence = site.condition("StoragePool", golden, "DeletionBlocked")["message"]
    assert f"{site.namespace}/first-root" in sentence

    site.delete("VirtualMachine", "first")
    site.gone("Volume", "first-root")
    for kind, name in (("Template", template), ("StoragePool", golden), ("StoragePool", standard)):
        blocked(site, kind, name, "second-root")
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == [parent["metadata"]["name"]]
    site.running("second")
    assert pod_uid(site, "second") == before["second"]

    site.delete("VirtualMachine", "second")
    site.gone("Template", template)
    site.gone("StoragePool", golden, standard)
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == []
    assert "location.json" not in site.nodes.names_in(NODE, f"{TEST_GOLDEN}/.goldpool")


def test_a_machine_takes_its_pod_disk_and_unused_parent_with_it_and_not_before(
    site: Site, boot: Image
) -> None:
    site.pools_on(NODE)
    template = site.template(boot, retention="0s")
    site.machine("vm", template=template)
    site.running("vm")
    pod = pod_uid(site, "vm")
    disk = site.get("Volume", "vm-root")["spec"]["storageID"]
    (parent,) = site.parents(template)
    name = parent["metadata"]["name"]
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == [disk]

    site.delete("Parent", name)
    blocked(site, "Parent", name, "vm-root")
    assert f"{name}/disk.qcow2" in site.nodes.files(NODE, f"{TEST_GOLDEN}/templates")
    site.running("vm")
    assert pod_uid(site, "vm") == pod

    site.delete("VirtualMachine", "vm")
    site.gone("VirtualMachine", "vm")
    site.gone("Volume", "vm-root")
    assert site.pod_of("vm") is None
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == []
    assert any(disk in entry for entry in site.nodes.names_in(NODE, f"{TEST_STANDARD}/trash"))
    site.gone("Parent", name)
    assert site.nodes.names_in(NODE, f"{TEST_GOLDEN}/templates") == []


def test_a_volume_in_use_is_not_deleted_and_serves_one_machine_at_a_time(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.pools_on(NODE)
    template = site.template(boot, retention="0s")
    site.machine("first", template=template, reclaim="Retain")
    site.running("first")
    pod = pod_uid(site, "first")

    site.machine("second", volume="first-root")
    sentence = site.reason("VirtualMachine", "second", "VolumeInUse")
    assert f"{site.namespace}/first" in sentence
    assert site.pod_of("second") is None

    site.delete("VirtualMachine", "first")
    site.running("second")
    site.says("second", f"{boot_line} BOOTS 0002")
    assert pod_uid(site, "second") != pod
    site.gone("VirtualMachine", "first")
    assert "deletionTimestamp" not in site.get("Volume", "first-root")["metadata"], "it was to be retained"
    assert len(site.parents(template)) == 1, "a kept child keeps its parent"

    site.delete("Volume", "first-root")
    blocked(site, "Volume", "first-root", "second")
    site.running("second")
    site.delete("VirtualMachine", "second")
    site.gone("Volume", "first-root")
    assert site.nodes.names_in(NODE, f"{TEST_STANDARD}/volumes") == []


def pod_uid(site: Site, machine: str) -> str:
    pod: Obj | None = site.pod_of(machine)
    assert pod is not None
    return str(pod["metadata"]["uid"])
