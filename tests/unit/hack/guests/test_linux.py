"""Guest B: what its disk is put together from."""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hack.guests import formats, linux
from hack.guests.formats import Entry, Partition
from hack.images import cache
from tests.unit.hack.guests.booting import STUCK_SECONDS


def a_kernel(root: Path) -> linux.Kernel:
    (root / "modules").mkdir()
    for name in linux.MODULES:
        (root / "modules" / f"{name}.ko").write_bytes(name.encode())
    (root / "vmlinuz").write_bytes(b"kernel")
    return linux.Kernel(root / "vmlinuz", root / "modules")


def test_a_boot_record_holds_code_table_and_signature() -> None:
    record = formats.master_boot_record(
        b"code", [Partition(formats.FAT16_LBA, 2048, 100, bootable=True), Partition(formats.LINUX, 2148, 7)]
    )
    assert len(record) == 512
    assert record.startswith(b"code\0")
    assert record[446:462] == bytes.fromhex("80 feffff 0e feffff 00080000 64000000")
    assert record[462:478] == bytes.fromhex("00 feffff 83 feffff 64080000 07000000")
    assert record[478:] == b"\0" * 32 + b"\x55\xaa"


@pytest.mark.parametrize(
    ("code", "partitions"), [(b"\0" * 441, []), (b"", [Partition(formats.LINUX, 1, 1)] * 5)]
)
def test_a_boot_record_refuses_what_does_not_fit(code: bytes, partitions: list[Partition]) -> None:
    with pytest.raises(ValueError, match=r"dos label|boot code"):
        formats.master_boot_record(code, partitions)


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio")
def test_an_initramfs_is_read_by_cpio(tmp_path: Path) -> None:
    archive = formats.newc([Entry("bin"), Entry("bin/tool", b"abc"), Entry("bin/sh", b"tool", link=True)])
    subprocess.run(["cpio", "-i", "--quiet", "--no-preserve-owner"], cwd=tmp_path, input=archive, check=True)
    assert (tmp_path / "bin" / "sh").read_bytes() == b"abc"
    assert (tmp_path / "bin" / "sh").readlink() == Path("tool")
    assert (tmp_path / "bin" / "tool").stat().st_mode & 0o777 == 0o755


def test_the_initramfs_loads_modules_in_their_order(tmp_path: Path) -> None:
    archive = gzip.decompress(linux.initramfs(a_kernel(tmp_path), b"busybox", b"init"))
    assert "\n".join(linux.MODULES).encode() + b"\n" in archive
    assert archive.index(b"virtio_ring.ko") < archive.index(b"virtio_blk.ko")


@pytest.mark.parametrize(("oneshot", "ends"), [(False, "tsc=reliable\n"), (True, "tsc=reliable oneshot\n")])
def test_only_a_oneshot_guest_is_told_to_go(oneshot: bool, ends: str) -> None:
    config = linux.boot_config(linux.Recipe(oneshot=oneshot))
    assert config.endswith(ends)
    assert "console=ttyS0" in config


def test_init_is_a_shell_script_without_errors() -> None:
    script = Path(linux.__file__).with_name("linux_init.sh")
    subprocess.run(["sh", "-n", script], check=True)


@pytest.mark.skipif("GOLDPOOL_BOOT_GUESTS" not in os.environ, reason="GOLDPOOL_BOOT_GUESTS is not set (10 s)")
def test_it_boots_from_a_child_and_goes(tmp_path: Path) -> None:
    linux.build(linux.Recipe(oneshot=True, data_mib=8), tmp_path / "b.qcow2", cache.cache_directory("guests"))
    child = tmp_path / "child.qcow2"
    create: list[str | Path] = [
        "qemu-img",
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        tmp_path / "b.qcow2",
        "-F",
        "qcow2",
        child,
        "1G",
    ]
    subprocess.run(create, check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "data.qcow2", "64M"], check=True)
    fixed = "-accel tcg -m 192 -nodefaults -no-user-config -display none -serial stdio"
    words = ["qemu-system-x86_64", *fixed.split()]
    for disk in (child, tmp_path / "data.qcow2"):
        words += ["-drive", f"file={disk},if=virtio,format=qcow2"]
    for boot in (1, 2):
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            timeout=STUCK_SECONDS,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        for line in (
            "DISK vda 1073741824",
            "DISK vdb 67108864",
            "GUEST-DATA-OK",
            f"GUEST-BOOTS {boot}",
            f"DATA-DISK-OK {boot}",
            "GUEST-MARKER boot-ok",
        ):
            assert line in done.stdout
        assert done.returncode == 0
