"""A machine that fits nowhere says so, costs nothing, and starts when the world changes."""

import json
import time

import pytest

from tests.e2e.cli import goldpool
from tests.e2e.server import Image
from tests.e2e.site import Site


@pytest.mark.alone
def test_a_machine_waits_for_a_tag_without_polling(site: Site, boot: Image) -> None:
    _, standard = site.pools_on()
    site.machine("vm", template=site.template(boot), tags=["fast"])
    sentence = site.reason("VirtualMachine", "vm", "NotPlaceable")
    assert sentence.startswith("0 of ")
    assert "3 lack a tag" in sentence
    assert "\n" not in sentence
    counts = {c["reason"]: c["count"] for c in site.status("VirtualMachine", "vm")["rejections"]}
    assert counts["WithoutTags"] == 3

    assert site.eventually(lambda: idle(site, "virtualmachine", 2), "nobody looks at it again and again")
    site.api.patch("StoragePool", standard, {"spec": {"tags": ["fast"]}})
    site.running("vm")
    assert site.status("VirtualMachine", "vm").get("rejections", []) == []


def test_a_machines_place_is_explained_and_told(site: Site, boot: Image) -> None:
    golden, standard = site.pools_on()
    template = site.template(boot)
    site.machine("vm", template=template)
    site.running("vm")
    host = site.status("VirtualMachine", "vm")["host"]
    [told] = site.told("vm", "Placed: ")
    assert told.startswith(f"Placed: placed on {host}: root in {standard} over {golden} (")

    site.machine("wanting", template=template, tags=["fast"])
    site.reason("VirtualMachine", "wanting", "NotPlaceable")
    said = goldpool("explain", "vm", "vm", "-n", site.namespace).stdout
    marked = [
        line.split() for line in said.splitlines() if line.split()[0:1] and line.split()[0].endswith("*")
    ]
    assert [row[1:5] for row in marked] == [[host, standard, golden, "Fits"]], said
    ours = [row for row in map(str.split, said.splitlines()) if standard in row[2:3]]
    assert {row[1] for row in ours} == set(site.nodes.names())
    [found] = json.loads(goldpool("explain", "vm", "wanting", "-n", site.namespace, "-o", "json").stdout)
    assert {c["reason"] for c in found["disks"][0]["candidates"] if c["pool"] == standard} == {"WithoutTags"}
    assert "WithoutTags" in {r["reason"] for r in found["remedies"]}


def test_a_machine_waits_for_a_node_of_its_pool(site: Site, boot: Image) -> None:
    label = f"e2e-{site.token}"
    site.pool("golden", golden=True)
    standard = site.pool("standard", hosts={label: "yes"})
    site.machine("vm", template=site.template(boot))
    site.reason("StoragePool", standard, "NoHosts")
    site.reason("VirtualMachine", "vm", "NotPlaceable")
    site.api.patch("Node", "node-1", {"metadata": {"labels": {label: "yes"}}})
    try:
        site.running("vm")
        assert site.status("VirtualMachine", "vm")["host"] == "node-1"
        site.close()
    finally:
        site.api.patch("Node", "node-1", {"metadata": {"labels": {label: None}}})


def idle(site: Site, controller: str, seconds: float) -> bool:
    """Whether the controller made no pass in this time."""
    before = site.operator.passes(controller)
    time.sleep(seconds)
    return before == site.operator.passes(controller)


@pytest.mark.parametrize("golden_scope", ["Host", "Shared"])
def test_root_volumes_live_on_a_shared_pool(
    site: Site, boot: Image, boot_line: str, golden_scope: str
) -> None:
    if golden_scope == "Shared":
        golden, standard = site.shared_pools()
    else:
        golden = site.pool("golden", golden=True)
        standard = site.shared_pool("standard")
        site.ready("StoragePool", golden, standard)
    template = site.template(boot)
    names = ["first", "second", "third"]
    for name in names:
        site.machine(name, template=template)
    site.running(*names)
    for name in names:
        assert f"{boot_line} BOOTS 0001" in site.says(name, "BS-MARKER")
        status = site.status("VirtualMachine", name)
        assert (status["rootPool"], status["goldenPool"]) == (standard, golden)
    assert list(site.locations(standard)) == [""]
    parents = site.parents(template)
    assert len(parents) == (1 if golden_scope == "Shared" else len({p["spec"]["host"] for p in parents}))
    assert sum(site.images.gets_of(f"/{template}").values()) == len(parents)
