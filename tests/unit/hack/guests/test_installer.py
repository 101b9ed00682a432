"""Guest D: the committed program is its source, its CD is one, and what it installs boots."""

import shutil
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from hack.guests import installer
from hack.guests.installer import BLOCK

SOURCE = Path(installer.__file__).with_name("installer.S")
QEMU = "qemu-system-x86_64 -accel tcg -m 16 -nodefaults -no-user-config -display none -serial stdio"


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("ld") is None, reason="needs binutils")
def test_the_committed_program_is_its_source_assembled(tmp_path: Path) -> None:
    made = tmp_path / "installer.bin"
    subprocess.run(["as", "--32", "-o", tmp_path / "o", SOURCE], check=True)
    link = ["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"]
    subprocess.run([*link, made, tmp_path / "o"], check=True)
    assert made.read_bytes() == SOURCE.with_suffix(".bin").read_bytes()


def test_the_medium_is_of_whole_blocks_and_says_how_many() -> None:
    found = installer.medium("ABC")
    descriptor = found[16 * BLOCK :][:BLOCK]
    assert descriptor[:7] == b"\1CD001\1"
    assert descriptor[40:72].rstrip() == b"ABC"
    little, big = struct.unpack("<I", descriptor[80:84]), struct.unpack(">I", descriptor[84:88])
    assert little == big == (len(found) / BLOCK,)
    assert found != installer.medium("ABD")


def test_its_boot_catalog_adds_up_to_zero() -> None:
    record = installer.medium()[17 * BLOCK :]
    [at] = struct.unpack("<I", record[71:75])
    catalog = installer.medium()[at * BLOCK :]
    assert sum(struct.unpack("<16H", catalog[:32])) & 0xFFFF == 0


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
def test_it_installs_what_boots_from_then_on(tmp_path: Path) -> None:
    disk, cd = tmp_path / "disk.raw", tmp_path / "cd.iso"
    disk.write_bytes(bytes(1 << 20))
    cd.write_bytes(installer.medium())
    assert boot(disk, cd, 2) == [installer.SAYS, installer.THEN_SAYS]
    assert boot(disk, cd, 1) == [installer.THEN_SAYS.replace("0001", "0002")]


def boot(disk: Path, cd: Path, count: int) -> list[str]:
    """The guests' first lines; they halt then, and QEMU is ended. The disk is tried first."""
    words = [
        "-blockdev", f"driver=file,node-name=d,filename={disk}", "-device", "virtio-blk,drive=d,bootindex=1",
        "-blockdev", f"driver=file,node-name=c,filename={cd},read-only=on",
        "-device", "ide-cd,drive=c,bus=ide.1,bootindex=2",
    ]  # fmt: skip
    with subprocess.Popen([*QEMU.split(), *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as guest:
        assert guest.stdout is not None
        watchdog = threading.Timer(60, guest.kill)
        watchdog.start()
        lines = [guest.stdout.readline().decode().strip() for _ in range(count)]
        watchdog.cancel()
        guest.kill()
    return lines
