"""Guest D: its CD is one, and what it installs boots."""

import struct
from pathlib import Path

from hack.guests import installer
from hack.guests.installer import BLOCK
from tests.unit.hack.guests.booting import first_lines, needs_qemu


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


@needs_qemu
def test_it_installs_what_boots_from_then_on(tmp_path: Path) -> None:
    disk, cd = tmp_path / "disk.raw", tmp_path / "cd.iso"
    disk.write_bytes(bytes(1 << 20))
    cd.write_bytes(installer.medium())
    assert boot(disk, cd, 2) == [installer.SAYS, installer.THEN_SAYS]
    assert boot(disk, cd, 1) == [installer.THEN_SAYS.replace("0001", "0002")]


def boot(disk: Path, cd: Path, count: int) -> list[str]:
    """What the guests say first, one after the other. The disk is tried before the CD."""
    words = [
        "-blockdev", f"driver=file,node-name=d,filename={disk}", "-device", "virtio-blk,drive=d,bootindex=1",
        "-blockdev", f"driver=file,node-name=c,filename={cd},read-only=on",
        "-device", "ide-cd,drive=c,bus=ide.1,bootindex=2",
    ]  # fmt: skip
    return first_lines(words, count)
