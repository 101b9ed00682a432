"""Guest C: a boot sector that fills its disk and reads it back; fillsector.S tells how. Everything here is pure."""

import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
CHUNK = 32 << 10
OK = "FILL-UP WRITTEN FILL-OK"
"""What the guest prints in the end."""
_CHUNKS_AT = 0x1F0
_MOST_CHUNKS = (1 << 16) - 1


@dataclass(frozen=True)
class Recipe:
    """``size``: of the disk, in bytes; all of it but the first 32 KiB is written."""

    size: int = 64 << 20

    def __post_init__(self) -> None:
        if self.size % CHUNK or not 0 < self.chunks <= _MOST_CHUNKS:
            raise ValueError(
                f"a disk of {self.size} bytes is not 2 to {_MOST_CHUNKS + 1} chunks of {CHUNK} bytes"
            )

    @property
    def chunks(self) -> int:
        return self.size // CHUNK - 1


def disk(recipe: Recipe) -> bytes:
    """The raw disk: the boot sector, then zeros."""
    sector = bytearray(Path(__file__).with_name("fillsector.bin").read_bytes())
    struct.pack_into("<H", sector, _CHUNKS_AT, recipe.chunks)
    return bytes(sector).ljust(recipe.size, b"\0")
