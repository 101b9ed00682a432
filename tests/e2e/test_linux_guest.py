"""The journey of the README with a real Linux guest, and where its reads and writes go."""

import subprocess
from collections.abc import Callable

from tests.e2e.builders import GOLDEN_DISK, STANDARD_DISK, a_data_volume
from tests.e2e.nodes import DiskCounters
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-3"
SECTOR = 512
MEBI = 1 << 20


def test_a_linux_guest_finds_its_content_keeps_its_disks_and_stops_when_asked(
    site: Site, linux_image: bytes
) -> None:
    site.pools_on(NODE)
    template = site.template(Image(linux_image), stem="linux")
    site.api.create(a_data_volume("data", site.namespace))
    site.machine("vm", template=template, memory="192Mi", data={"data": "data"}, stop_seconds=40)
    wait = ["kubectl", "-n", site.namespace, "wait", "--for=condition=Ready", "virtualmachine/vm"]
    subprocess.run([*wait, "--timeout=300s"], check=True, capture_output=True)
    console = site.says("vm", "GUEST-MARKER boot-ok")
    for line in ("GUEST-DATA-OK", "GUEST-BOOTS 1", "DATA-DISK-OK 1"):
        assert line in console
    assert "GUEST-ERR" not in console

    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Halted"}}, site.namespace)
    site.phase("vm", "Stopped")
    assert site.pod_of("vm") is None
    assert site.condition("VirtualMachine", "vm")["reason"] == "Halted"
    site.told("vm", "GuestStopped: Stopped")  # by itself, in time

    site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Always"}}, site.namespace)
    console = site.says("vm", "GUEST-MARKER boot-ok")
    for line in ("GUEST-DATA-OK", "GUEST-BOOTS 2", "DATA-DISK-OK 2"):
        assert line in console


def test_unmodified_blocks_are_read_from_golden_and_all_writes_go_to_standard(
    site: Site, linux_image: bytes
) -> None:
    golden, _ = site.pools_on(NODE)
    template = site.template(Image(linux_image), stem="linux", prepare=[golden])
    site.ready("Template", template)
    site.machine("vm", template=template, memory="192Mi", run="Halted", stop_seconds=40)
    site.phase("vm", "Stopped")

    def count(act: Callable[[], object]) -> tuple[DiskCounters, DiskCounters]:
        before = [site.nodes.counters(NODE, disk) for disk in (GOLDEN_DISK, STANDARD_DISK)]
        act()
        after = [site.nodes.counters(NODE, disk) for disk in (GOLDEN_DISK, STANDARD_DISK)]
        on_golden, on_standard = (b.since(a) for a, b in zip(before, after, strict=True))
        print(f"golden {on_golden}, standard {on_standard}")
        return on_golden, on_standard

    def boot() -> None:
        site.api.patch("VirtualMachine", "vm", {"spec": {"runStrategy": "Always"}}, site.namespace)
        site.says("vm", "GUEST-MARKER boot-ok")

    site.nodes.forget_cached_pages()
    on_golden, on_standard = count(boot)
    assert on_golden.sectors_read * SECTOR > 40 * MEBI, (
        "the guest reads 48 MiB of files that it did not write"
    )
    assert on_standard.sectors_read < on_golden.sectors_read / 10
    assert on_standard.sectors_written * SECTOR > MEBI, "the guest writes 1 MiB: the counters do count"
    assert on_golden.sectors_written == 0

    def boot_another() -> None:
        site.machine("another", template=template, memory="192Mi", stop_seconds=40)
        site.says("another", "GUEST-MARKER boot-ok")

    shared, _ = count(boot_another)
    assert shared.sectors_read < on_golden.sectors_read / 10, (
        "a host's machines share the parent's cached pages"
    )
    assert shared.sectors_written == 0


def test_a_guest_that_powers_itself_off_is_done_unless_it_shall_always_run(
    site: Site, oneshot_image: bytes
) -> None:
    site.pools_on(NODE)
    template = site.template(Image(oneshot_image), stem="oneshot")
    done = {"once": "Once", "rerun": "RerunOnFailure"}
    for name, strategy in (done | {"always": "Always"}).items():
        site.machine(name, template=template, memory="192Mi", run=strategy)
    for name in done:
        site.phase(name, "Succeeded")
        assert site.pod_of(name) is None
        assert site.condition("VirtualMachine", name)["reason"] == "Succeeded"
        assert site.status("VirtualMachine", name)["ended"].startswith("GuestShutdown")
    site.says("always", "GUEST-BOOTS 2")
