"""The two on-disk formats that guest B needs and that are quicker to write than to call a tool for. Pure."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

SECTOR = 512
LINUX = 0x83
FAT16_LBA = 0x0E
_TABLE_AT = 446
_MODE_DIRECTORY = 0o040755
_MODE_PROGRAM = 0o100755
_MODE_LINK = 0o120777


@dataclass(frozen=True)
class Partition:
    """One primary partition; the numbers are sectors."""

    kind: int
    start: int
    count: int
    bootable: bool = False


def master_boot_record(code: bytes, partitions: Iterable[Partition]) -> bytes:
    """Sector 0 of a disk with a dos label: boot code of at most 440 bytes and up to four partitions, by LBA only."""
    if len(code) > 440:
        raise ValueError("the boot code would reach into the disk's signature")
    table = b"".join(
        # The three bytes FE FF FF say that the address is not in cylinders, heads and sectors.
        struct.pack(
            "<B3sB3sII", 0x80 * p.bootable, b"\xfe\xff\xff", p.kind, b"\xfe\xff\xff", p.start, p.count
        )
        for p in partitions
    )
    if len(table) > 64:
        raise ValueError("a dos label holds four partitions")
    return code.ljust(_TABLE_AT, b"\0") + table.ljust(64, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class Entry:
    """One name in an initramfs: a directory (content None), a program or file, or a symbolic link."""

    name: str
    content: bytes | None = None
    link: bool = False


def newc(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the format that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format).

    All entries belong to root and have time 0, so equal entries give equal bytes and nobody needs root to make one.
    """
    parts = []
    for inode, entry in enumerate((*entries, Entry("TRAILER!!!", b"")), start=1):
        content = entry.content or b""
        mode = _MODE_LINK if entry.link else _MODE_DIRECTORY if entry.content is None else _MODE_PROGRAM
        name = entry.name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        parts += [_padded(header + name), _padded(content)]
    return b"".join(parts)


def _padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)
