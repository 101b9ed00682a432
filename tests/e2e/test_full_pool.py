"""A pool that is full pauses and delays; it loses nothing."""

import pytest

from hack.guests import fillsector
from hack.guests.__main__ import write_disk
from tests.e2e.ballast import filled
from tests.e2e.builders import TEST_GOLDEN, TEST_STANDARD
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-1"
MEBI = 1 << 20


@pytest.fixture(scope="module")
def filling_image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The guest that fills its disk of 64 MiB and reads it back."""
    path = tmp_path_factory.mktemp("guests") / "fill.qcow2"
    write_disk(fillsector.disk(fillsector.Recipe(64 * MEBI)), path)
    return path.read_bytes()


def without_limit(site: Site, *pools: str) -> None:
    """Planning would avoid a pool that is nearly full; here it fills up later."""
    for pool in pools:
        site.api.patch("StoragePool", pool, {"spec": {"capacity": {"usedLimitPercent": 100}}})


def test_a_guest_on_a_full_pool_is_paused_says_so_goes_on_and_has_lost_nothing(
    site: Site, filling_image: bytes
) -> None:
    _, standard = site.pools_on(NODE)
    without_limit(site, standard)
    template = site.template(Image(filling_image), stem="fill")
    with filled(site, NODE, TEST_STANDARD, but=24 * MEBI):
        site.machine("vm", template=template)
        sentence = site.reason("VirtualMachine", "vm", "StoragePaused")
        assert f"disk root: StoragePool {standard} on {NODE} is full" in sentence
        assert site.status("VirtualMachine", "vm")["phase"] == "StoragePaused"
        pod = site.pod_of("vm")
        assert pod is not None
        assert "WRITTEN" not in site.console("vm")
    site.says("vm", fillsector.OK)
    site.running("vm")
    same = site.pod_of("vm")
    assert same is not None
    assert same["metadata"]["uid"] == pod["metadata"]["uid"], "it went on; it was not started again"
    assert site.status("VirtualMachine", "vm").get("restarts") is None


def test_a_fetch_that_fills_its_golden_pool_leaves_nothing_and_another_host_is_used(
    site: Site, boot: Image, boot_line: str
) -> None:
    golden = site.pool("golden", golden=True)
    # Only there is an ordinary pool first, so that the machine is bound to the full host.
    label = f"e2e-{site.token}"
    standard = site.pool("standard", hosts={label: "yes"})
    site.api.patch("Node", NODE, {"metadata": {"labels": {label: "yes"}}})
    try:
        site.ready("StoragePool", golden, standard)
        without_limit(site, golden)
        with filled(site, NODE, TEST_GOLDEN, but=2 * MEBI):
            template = site.template(boot)
            site.machine("vm", template=template)
            site.eventually(
                lambda: site.status("VirtualMachine", "vm").get("avoid"), "the full pool is avoided"
            )
            for node in site.nodes.names():
                site.api.patch("Node", node, {"metadata": {"labels": {label: "yes"}}})
            site.says("vm", f"{boot_line} BOOTS 0001")
            status = site.status("VirtualMachine", "vm")
            assert status["host"] != NODE
            (avoided,) = status["avoid"]
            assert (avoided["host"], avoided["pool"]) == (NODE, golden)
            assert "bytes free" in avoided["message"]
            site.eventually(
                lambda: site.nodes.files(NODE, f"{TEST_GOLDEN}/tmp") == [], "nothing of the transfer is left"
            )
            assert site.nodes.files(NODE, f"{TEST_GOLDEN}/templates") == []
        site.close()
    finally:
        for node in site.nodes.names():
            site.api.patch("Node", node, {"metadata": {"labels": {label: None}}})
