"""Guest D: an installer CD of 52 KiB, and the disk it makes; installer.S tells how. Everything here is pure.

A real ISO 9660 medium with one file, which El Torito boots (ECMA-119; El Torito Bootable CD-ROM Format Specification 1.0).
"""

import struct
from pathlib import Path

from hack.guests.bootsector import SECTOR, boot_sector

BLOCK = 2048
SAYS = "ISO-UP ISO-INSTALLED"
"""What the installer prints before it resets the machine."""
THEN_SAYS = "BS-UP SUM 0000 BOOTS 0001 BS-MARKER"
"""What the disk that it made prints then, and counts on at each boot."""

_DESCRIPTOR, _BOOT_RECORD, _TERMINATOR, _CATALOG, _PATHS_L, _PATHS_M, _ROOT, _FILE, _BLOCKS = range(16, 25)
_DATE = bytes([126, 1, 1, 0, 0, 0, 0])  # 2026-01-01, UTC: the same bytes on every machine
_X86_NO_EMULATION = 0x88, 0


def medium(label: str = "GOLDPOOL_TEST") -> bytes:
    """The CD. ``label``: up to 32 capital letters, digits and underscores; another one makes other bytes."""
    program = Path(__file__).with_name("installer.bin").read_bytes() + boot_sector(nchunk=0)
    blocks = {
        _DESCRIPTOR: _primary(label),
        _BOOT_RECORD: b"\0CD001\1"
        + b"EL TORITO SPECIFICATION".ljust(64, b"\0")
        + struct.pack("<I", _CATALOG),
        _TERMINATOR: b"\xffCD001\1",
        _CATALOG: _catalog(len(program) // SECTOR),
        _PATHS_L: struct.pack("<BBIH", 1, 0, _ROOT, 1) + b"\0\0",
        _PATHS_M: struct.pack(">BBIH", 1, 0, _ROOT, 1) + b"\0\0",
        _ROOT: _record(b"\0", _ROOT, BLOCK, directory=True)
        + _record(b"\1", _ROOT, BLOCK, directory=True)
        + _record(b"INSTALL.BIN;1", _FILE, len(program)),
        _FILE: program,
    }
    whole = bytearray(_BLOCKS * BLOCK)
    for number, content in blocks.items():
        assert len(content) <= BLOCK
        whole[number * BLOCK : number * BLOCK + len(content)] = content
    return bytes(whole)


def _primary(label: str) -> bytes:
    return b"".join(
        (
            b"\1CD001\1\0",
            b" " * 32,
            label.encode("ascii").ljust(32),
            bytes(8),
            _both("I", _BLOCKS),
            bytes(32),
            _both("H", 1) * 2,  # one volume, this is the first
            _both("H", BLOCK),
            _both("I", 10),  # bytes of the path table
            struct.pack("<II", _PATHS_L, 0),
            struct.pack(">II", _PATHS_M, 0),
            _record(b"\0", _ROOT, BLOCK, directory=True),
            b" " * (4 * 128 + 3 * 37),
            (b"2026010100000000" + b"\0") * 2,
            (b"0" * 16 + b"\0") * 2,
            b"\1",
        )
    )


def _record(name: bytes, block: int, size: int, *, directory: bool = False) -> bytes:
    padding = b"" if len(name) % 2 else b"\0"
    return b"".join(
        (
            struct.pack("BB", 33 + len(name) + len(padding), 0),
            _both("I", block),
            _both("I", size),
            _DATE,
            struct.pack("BBB", 2 if directory else 0, 0, 0),
            _both("H", 1),
            struct.pack("B", len(name)),
            name,
            padding,
        )
    )


def _catalog(sectors: int) -> bytes:
    """A validation entry, whose 16-bit words add up to zero, and the entry to boot."""
    header = struct.pack("<BBH24sHBB", 1, 0, 0, b"goldpool", 0, 0x55, 0xAA)
    checksum = -sum(struct.unpack("<16H", header)) & 0xFFFF
    validation = struct.pack("<BBH24sHBB", 1, 0, 0, b"goldpool", checksum, 0x55, 0xAA)
    return validation + struct.pack("<BBHBBHI", *_X86_NO_EMULATION, 0, 0, 0, sectors, _FILE)


def _both(code: str, value: int) -> bytes:
    """Little-endian, then big-endian, as ECMA-119 wants it."""
    return struct.pack("<" + code, value) + struct.pack(">" + code, value)
