"""A qcow2 image's first tables: what they name lies inside the file, and nothing is two things at once.

QEMU writes to an image by what its tables say and so trusts them when it reads, too. Every cluster of metadata
down to L2 tables and refcount blocks is looked at here; what those hold is left to qemu-img check, confined.
Source: QEMU docs/interop/qcow2.txt.
"""

import array
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from goldpool.worker.gate.image import Image
from goldpool.worker.gate.qcow2_header import CONVERT, Header, unsafe

_L1_RESERVED: Final = 0x7F000000000001FF
_L1_ADDRESS: Final = 0x00FFFFFFFFFFFE00
_REFCOUNT_RESERVED: Final = 0x1FF


@dataclass(frozen=True)
class _Claim:
    """Clusters that something is in, by number."""

    first: int
    count: int
    what: str


@dataclass(frozen=True)
class _Table:
    """Of 64-bit entries, each the place of a cluster and some flags; ``what`` is what lies there."""

    offset: int
    length: int
    what: str
    reserved: int
    address: int


def check_tables(image: Image, header: Header) -> None:
    """``UnsafeImage`` for an entry that is not valid, leads out of the file or into another table."""
    claims = sorted(_claims(image, header), key=lambda claim: claim.first)
    for one, following in pairwise(claims):
        if one.first + one.count > following.first:
            same = one.what == following.what
            both = f"two of its {one.what}s" if same else f"its {one.what} and its {following.what}"
            raise unsafe(f"{both} lie in the same cluster; {CONVERT}")


def _claims(image: Image, header: Header) -> Iterator[_Claim]:
    l1 = _Table(header.l1_offset, header.l1_entries * 8, "L2 table", _L1_RESERVED, _L1_ADDRESS)
    refcounts = _Table(
        header.refcount_offset,
        header.refcount_clusters * header.cluster,
        "refcount block",
        _REFCOUNT_RESERVED,
        ~_REFCOUNT_RESERVED,
    )
    yield _Claim(0, 1, "header")
    for table, name in ((l1, "L1 table"), (refcounts, "refcount table")):
        yield _Claim(table.offset // header.cluster, -(-table.length // header.cluster), name)
        yield from _entries(image, header.cluster, table)


def _entries(image: Image, cluster: int, table: _Table) -> Iterator[_Claim]:
    """No more than the file has clusters, or two entries were the same: whatever a table's size, this ends early."""
    what, known = table.what, set[int]()
    for place, entry in enumerate(_numbers(image.read(table.offset, table.length))):
        if not entry:
            continue
        if entry & table.reserved:
            raise unsafe(f"entry {place} for a {what} has reserved bits set (0x{entry:x}); {CONVERT}")
        at = entry & table.address
        if at == 0 or at % cluster:
            raise unsafe(
                f"entry {place} for a {what} is not at the start of a cluster (0x{entry:x}); {CONVERT}"
            )
        if at + cluster > image.length:
            raise unsafe(f"the {what} of entry {place} lies outside the file (0x{entry:x}): was it cut off?")
        if at in known:
            raise unsafe(f"two entries name the {what} at 0x{at:x}; {CONVERT}")
        known.add(at)
        yield _Claim(at // cluster, 1, what)


def _numbers(data: bytes) -> "array.array[int]":
    table = array.array("Q", data)
    if sys.byteorder == "little":
        table.byteswap()
    return table
