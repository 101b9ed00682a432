"""Drawing lots among equals: looks random, is the same for the same seed and names, whatever the order of the input."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: multiplying by it is a permutation that stirs the upper bits (Fibonacci
hashing, Knuth, The Art of Computer Programming 3, 6.4)."""


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
