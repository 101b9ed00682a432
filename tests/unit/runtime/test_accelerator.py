import shutil
from pathlib import Path

import pytest

from goldpool.runtime.accelerator import KVM_CPUS, TCG_CPU, boot, boot_sector, choose, proves

needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs qemu-system-x86_64")


@pytest.mark.parametrize(
    ("exit_code", "output", "proof"),
    [
        (33, b"GOLDPOOL-PROBE\r\n", True),
        (33, b"", False),
        (0, b"GOLDPOOL-PROBE\r\n", False),
        (-6, b"", False),
    ],
)
def test_a_probe_must_speak_and_leave(exit_code: int, output: bytes, proof: bool) -> None:
    assert proves(exit_code, output) is proof


def test_the_boot_sector_is_one() -> None:
    assert boot_sector()[510:512] == b"\x55\xaa"


@needs_qemu
async def test_the_probe_really_boots(tmp_path: Path) -> None:
    disk = tmp_path / "probe, with comma.img"
    disk.write_bytes(boot_sector())
    assert await boot("qemu-system-x86_64", "tcg", TCG_CPU, disk, 60) == ""


@needs_qemu
async def test_a_disk_that_does_not_boot_proves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "blank.img"
    disk.write_bytes(bytes(64 << 10))
    with pytest.raises(TimeoutError):
        await boot("qemu-system-x86_64", "tcg", TCG_CPU, disk, 1)


async def test_a_device_too_slow_to_boot_on_is_tried_once(tmp_path: Path) -> None:
    hanging = tmp_path / "qemu"
    hanging.write_text("#!/bin/sh\nexec sleep 1000000\n")
    hanging.chmod(0o755)
    chosen = await choose(str(hanging), Path("/dev/null"), tmp_path, 0.2)
    assert (chosen.name, chosen.why) == ("tcg", "host: no end within 0.2 s")


async def test_without_the_device_nothing_is_booted(tmp_path: Path) -> None:
    chosen = await choose("/no/qemu", tmp_path / "kvm", tmp_path, 60)
    assert (chosen.name, chosen.cpu) == ("tcg", "max")
    assert "No such file" in chosen.why


async def test_a_device_that_opens_proves_nothing(tmp_path: Path) -> None:
    """The program stands for a QEMU that aborts under KVM: it ends, with a word, and never prints the probe's text."""
    aborting = tmp_path / "qemu"
    aborting.write_text("#!/bin/sh\necho 'failed to set MSR 0x10a' >&2\nexit 33\n")
    aborting.chmod(0o755)
    chosen = await choose(str(aborting), Path("/dev/null"), tmp_path, 60)
    assert chosen.name == "tcg"
    assert chosen.why == "; ".join(f"{cpu}: failed to set MSR 0x10a" for cpu in KVM_CPUS)
