"""A small ISO 9660 medium, written by hand: what the gate looks at, and nothing to boot."""

import struct
from typing import Final

BLOCK: Final = 2048
BLOCKS: Final = 24


def _both(code: str, value: int) -> bytes:
    return struct.pack("<" + code, value) + struct.pack(">" + code, value)


def a_medium() -> bytearray:
    """Twenty-four blocks: sixteen for a boot loader, a primary descriptor, the end of descriptors, path table, root."""
    medium = bytearray(BLOCKS * BLOCK)
    primary = bytearray(BLOCK)
    primary[:7] = b"\1CD001\1"
    primary[80:88] = _both("I", BLOCKS)
    primary[128:132] = _both("H", BLOCK)
    primary[132:140] = _both("I", 10)
    primary[140:144] = struct.pack("<I", 18)
    primary[158:166] = _both("I", 19)
    primary[166:174] = _both("I", BLOCK)
    medium[16 * BLOCK : 17 * BLOCK] = primary
    medium[17 * BLOCK : 17 * BLOCK + 7] = b"\xffCD001\1"
    return medium
