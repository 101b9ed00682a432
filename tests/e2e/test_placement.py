"""A machine that fits nowhere says so, costs nothing, and starts when the world changes."""

import time

import pytest

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
