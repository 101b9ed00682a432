"""Drawing lots among equals: looks random, is the same for the same seed and names, whatever the order of the input."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: multiplying by it is a permutation that stirs the upper bits (Fibonacci
hashing, Knuth, The Art of Computer Programming 3, 6.4)."""

_POSITION_BITS: Final = 24
POSITION: Final = (1 << _POSITION_BITS) - 1


@lru_cache(maxsize=65536)
def point(name: str) -> int:
    """64 bits that stand for the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def salt(seed: int) -> int:
    """64 bits that stand for the seed."""
    return point(f"seed {seed}")


def drawn(name_point: int, seed_salt: int) -> int:
    """The lot of a name: smaller comes first. One multiplication, because a plan may draw for a thousand hosts."""
    return ((name_point ^ seed_salt) * _ODD) & _MASK


def draw_all(points: Sequence[int], positions: Iterable[int], seed_salt: int) -> list[int]:
    """The lots of the names at these positions; a lot's lowest bits (``POSITION``) say whose it is."""
    # As ``drawn``, without a thousand calls.
    return [(((points[n] ^ seed_salt) * _ODD) & _MASK) << _POSITION_BITS | n for n in positions]
