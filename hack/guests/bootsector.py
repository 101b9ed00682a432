"""Guest A: a boot sector that sums its disk and counts its boots. Boots in 0.1 s under TCG; bootsector.S tells how.

Source of the recipe: measured for the design, data-plane reference 3.2. Everything here is pure.
"""

import random
import struct
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
CHUNK = 32 << 10
_FIRST_CHUNK = 64 * SECTOR
_PARAMETERS = struct.Struct("<HI")
_PARAMETERS_AT = 0x1F0


@dataclass(frozen=True)
class Recipe:
    """What a disk of guest A is made from; equal recipes give equal bytes on every machine."""

    seed: int = 0
    size: int = 16 << 20
    nchunk: int = 64
    stride: int = 64  # sectors from one chunk to the next

    def __post_init__(self) -> None:
        last = _FIRST_CHUNK + max(0, self.nchunk - 1) * self.stride * SECTOR + CHUNK
        if self.size % SECTOR or self.size < last:
            raise ValueError(f"a disk of {self.size} bytes does not hold chunks up to byte {last}")


def boot_sector(nchunk: int = 64, stride: int = 64) -> bytes:
    """The 512 bytes, with their parameters set. With nchunk 0 the guest reads nothing but its boot counter."""
    sector = bytearray(Path(__file__).with_name("bootsector.bin").read_bytes())
    _PARAMETERS.pack_into(sector, _PARAMETERS_AT, nchunk, stride)
    return bytes(sector)


def disk(recipe: Recipe) -> bytes:
    """The raw disk: the boot sector, zeros up to 32 KiB (LBA 1 is the boot counter), then bytes that the seed gives."""
    head = boot_sector(recipe.nchunk, recipe.stride).ljust(_FIRST_CHUNK, b"\0")
    return head + random.Random(recipe.seed).randbytes(recipe.size - len(head))


def expected_sum(recipe: Recipe) -> int:
    """What the guest's SUM must be on a disk of this recipe."""
    content = disk(recipe)
    total = 0
    for index in range(recipe.nchunk):
        begin = _FIRST_CHUNK + index * recipe.stride * SECTOR
        words = array("H", content[begin : begin + CHUNK])
        if sys.byteorder == "big":
            words.byteswap()
        for word in words:
            total = (total + word) & 0xFFFF
            total = (total << 1 | total >> 15) & 0xFFFF
    return total


def expected_line(recipe: Recipe, boots: int = 1) -> str:
    """The whole line that the guest prints at its n-th boot from one child."""
    return f"BS-UP SUM {expected_sum(recipe):04X} BOOTS {boots:04X} BS-MARKER"
