"""Strict reading of a qcow2 header from somebody we do not trust.

Only what a template needs is let through; each refusal names what it is about and what to do. QEMU itself follows
backing files and data files of a header (CVE-2015-5163, CVE-2024-32498) and reads every table it announces
(CVE-2014-0142..0147), so nothing is given to QEMU before this has agreed.
Source: QEMU docs/interop/qcow2.txt.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed, shortened

MAGIC: Final = b"QFI\xfb"
CONVERT: Final = "write it anew with qemu-img convert -O qcow2"
"""The remedy for most: convert copies the guest's disk and nothing else."""
_MAX_L1_BYTES: Final = 32 << 20
_MAX_REFCOUNT_TABLE: Final = 8 << 20
_V2: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_V3: Final = struct.Struct(">QQQII")
_KNOWN_LENGTH: Final = 112
_MAX_NAME: Final = 1023
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_REFUSED_FEATURES: Final = {
    _DATA_FILE: f"it names an external data file; {CONVERT}",
    _DIRTY: "it is marked dirty, it was not closed cleanly; qemu-img check -r all mends it",
    _CORRUPT: f"it is marked corrupt; {CONVERT}",
}
_FEATURE_NAMES: Final = 0x6803F857
_FEATURE_NAME_BYTES: Final = 48
_EXTENSIONS: Final = {
    0xE2792ACA: "a backing format",
    0x44415441: "an external data file",
    0x0537BE77: "an encryption header",
    0x23852875: "bitmaps",
}


@dataclass(frozen=True)
class Header:
    """The fields as they stand in the file; offsets and sizes in bytes unless named otherwise."""

    version: int
    backing_offset: int
    backing_length: int
    cluster_bits: int
    virtual_bytes: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    incompatible: int = 0
    autoclear: int = 0
    refcount_order: int = 4
    length: int = _V2.size
    compression: int = 0
    backing_name: str = ""

    @property
    def cluster(self) -> int:
        return 1 << self.cluster_bits

    @property
    def l2_coverage(self) -> int:
        entry = 16 if self.incompatible & _EXTENDED_L2 else 8
        return self.cluster * (self.cluster // entry)


Check = Callable[[Header, int], str | None]
"""What a header of a file of so many bytes is refused for, or None."""


def read_header(head: bytes, file_bytes: int) -> Header:
    """The header of an image that stands alone: nothing outside the file, nothing unfinished, nothing unknown.

    ``head`` is the file's beginning, up to the largest first cluster there is (2 MiB). ``WrongFormat`` when it is
    no qcow2 header, ``UnsafeImage`` when it is one we refuse.
    """
    header = _parsed(head)
    for check in CHECKS:
        if (objection := check(header, file_bytes)) is not None:
            raise unsafe(objection)
    first = head[: header.cluster]
    if (objection := _unknown_fields(first, header) or _extensions(first, header)) is not None:
        raise unsafe(objection)
    return header


def unsafe(objection: str) -> OperationFailed:
    return OperationFailed(FailureReason.UNSAFE_IMAGE, f"qcow2 image refused: {objection}")


def _parsed(head: bytes) -> Header:
    if len(head) < _V2.size or not head.startswith(MAGIC):
        raise OperationFailed(FailureReason.WRONG_FORMAT, "no qcow2 header")
    _, version, *fields = _V2.unpack_from(head)
    header = Header(version, *fields)
    header = replace(header, backing_name=_name(head, header.backing_offset, header.backing_length))
    if version not in {2, 3}:
        raise OperationFailed(FailureReason.WRONG_FORMAT, f"qcow version {version}; 2 and 3 are accepted")
    if version == 2:
        return header
    if len(head) < _V2.size + _V3.size:
        raise OperationFailed(FailureReason.WRONG_FORMAT, "the qcow2 header is cut off")
    incompatible, _compatible, autoclear, refcount_order, length = _V3.unpack_from(head, _V2.size)
    compression = head[104] if length > 104 and len(head) > 104 else 0
    return replace(
        header,
        incompatible=incompatible,
        autoclear=autoclear,
        refcount_order=refcount_order,
        length=length,
        compression=compression,
    )


def _name(head: bytes, offset: int, length: int) -> str:
    """As far as it can be shown to people: it is somebody else's text."""
    text = head[offset : offset + min(length, _MAX_NAME)].decode(errors="replace")
    return shortened("".join(c if c.isprintable() else "?" for c in text), 100)


def _backing_file(header: Header, _: int) -> str | None:
    if not (header.backing_offset or header.backing_length):
        return None
    name = f" ({header.backing_name})" if header.backing_name else ""
    return f"it names a backing file{name}, a template must stand alone; flatten it with qemu-img convert -O qcow2"


def _encryption(header: Header, _: int) -> str | None:
    if not header.encryption:
        return None
    return f"it is encrypted (method {header.encryption}); decrypt it with qemu-img convert and its secret"


def _snapshots(header: Header, _: int) -> str | None:
    if header.snapshots or header.snapshots_offset:
        return f"it holds {header.snapshots} internal snapshots; qemu-img convert -O qcow2 leaves them out"
    return None


def _features(header: Header, _: int) -> str | None:
    for bit, what in _REFUSED_FEATURES.items():
        if header.incompatible & bit:
            return what
    unknown = header.incompatible & ~(_COMPRESSION | _EXTENDED_L2)
    if unknown:
        return f"incompatible features 0x{unknown:x} are unknown; {CONVERT}"
    # Bitmaps and raw external data are all the autoclear bits there are, and both are refused above or below.
    if header.autoclear:
        return f"autoclear features 0x{header.autoclear:x} are set (bitmaps?); {CONVERT}"
    return None


def _numbers(header: Header, _: int) -> str | None:
    if not 9 <= header.cluster_bits <= 21:
        return f"cluster_bits is {header.cluster_bits}, 9 to 21 are valid"
    if header.version == 3 and (header.length < 104 or header.length % 8 or header.length > header.cluster):
        return f"header length {header.length} is not valid"
    if header.refcount_order > 6:
        return f"refcount_order is {header.refcount_order}, at most 6 is valid"
    if bool(header.incompatible & _COMPRESSION) != bool(header.compression) or header.compression > 1:
        return f"compression type {header.compression} does not fit the features"
    if header.incompatible & _EXTENDED_L2 and header.cluster_bits < 14:
        return "extended L2 entries need clusters of 16 KiB or more"
    return None


def _virtual_size(header: Header, _: int) -> str | None:
    if header.virtual_bytes == 0 or header.virtual_bytes % 512:
        return f"its virtual size is {header.virtual_bytes} bytes, no whole number of 512-byte sectors"
    return None


def _l1_table(header: Header, file_bytes: int) -> str | None:
    needed = -(-header.virtual_bytes // header.l2_coverage)
    length = header.l1_entries * 8
    if length > _MAX_L1_BYTES:
        return f"its L1 table of {header.l1_entries} entries is larger than the {_MAX_L1_BYTES >> 20} MiB QEMU reads"
    if header.l1_entries < needed:
        return f"an L1 table of {header.l1_entries} entries does not cover a disk of {header.virtual_bytes} bytes"
    return _outside("L1 table", header, header.l1_offset, length, file_bytes)


def _refcount_table(header: Header, file_bytes: int) -> str | None:
    length = header.refcount_clusters * header.cluster
    if length > _MAX_REFCOUNT_TABLE:
        return (
            f"its refcount table of {header.refcount_clusters} clusters is larger than the "
            f"{_MAX_REFCOUNT_TABLE >> 20} MiB QEMU reads"
        )
    if length == 0:
        return "it has no refcount table"
    return _outside("refcount table", header, header.refcount_offset, length, file_bytes)


def _outside(what: str, header: Header, offset: int, length: int, file_bytes: int) -> str | None:
    if offset % header.cluster or offset < header.cluster:
        return f"the {what} is not at the start of a cluster of its own"
    return f"the {what} lies outside the file" if offset + length > file_bytes else None


CHECKS: tuple[Check, ...] = (
    _backing_file, _encryption, _snapshots, _features, _numbers, _virtual_size, _l1_table, _refcount_table,
)  # fmt: skip


def _unknown_fields(cluster: bytes, header: Header) -> str | None:
    """What a later version of the format put there may mean anything; unused, it is zero."""
    if any(cluster[105 : max(header.length, 105)]):
        return f"its header has fields behind its compression type that we do not know; {CONVERT}"
    return None


def _extensions(cluster: bytes, header: Header) -> str | None:
    """Over the whole first cluster: a check of its first 64 KiB misses what follows a long header."""
    offset, seen = header.length, set[int]()
    while offset + 8 <= len(cluster):
        kind, length = struct.unpack_from(">II", cluster, offset)
        if kind == 0:
            return None
        if kind != _FEATURE_NAMES:
            what = _EXTENSIONS.get(kind, f"the unknown extension 0x{kind:08x}")
            return f"its header has {what}; {CONVERT}"
        if kind in seen or length % _FEATURE_NAME_BYTES:
            return "its table of features' names is not valid"
        seen.add(kind)
        offset += 8 + length + -length % 8
        if offset > len(cluster):
            return "a header extension reaches beyond the first cluster"
    return "its header extensions have no end"
