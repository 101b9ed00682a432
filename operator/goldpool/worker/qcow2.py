"""Strict reading of a qcow2 header from somebody we do not trust.

Only what a template needs is let through; each refusal names what it is about. QEMU itself follows backing
files and data files of a header (CVE-2015-5163, CVE-2024-32498) and reads every table it announces
(CVE-2014-0142..0147), so nothing is given to QEMU before this has agreed.
Source: QEMU docs/interop/qcow2.txt.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from goldpool.contracts.operations import FailureReason
from goldpool.worker.failures import OperationFailed

MAGIC: Final = b"QFI\xfb"
MAX_CLUSTER: Final = 2 << 20
"""A first cluster is never larger; read this much and every extension has been seen."""
_MAX_L1_BYTES: Final = 32 << 20
_MAX_REFCOUNT_TABLE: Final = 8 << 20
_V2: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_V3: Final = struct.Struct(">QQQII")
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_REFUSED_FEATURES: Final = {
    _DATA_FILE: "it names an external data file",
    _DIRTY: "it is marked dirty: it was not closed cleanly",
    _CORRUPT: "it is marked corrupt",
}
_FEATURE_NAMES: Final = 0x6803F857
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

    ``head`` is the file's beginning, up to ``MAX_CLUSTER``. ``WrongFormat`` when it is no qcow2 header,
    ``UnsafeImage`` when it is one we refuse.
    """
    header = _parsed(head)
    for check in CHECKS:
        if (objection := check(header, file_bytes)) is not None:
            raise _unsafe(objection)
    _check_extensions(head[: header.cluster], header)
    return header


def _unsafe(objection: str) -> OperationFailed:
    return OperationFailed(FailureReason.UNSAFE_IMAGE, f"qcow2 image refused: {objection}")


def _parsed(head: bytes) -> Header:
    if len(head) < _V2.size or not head.startswith(MAGIC):
        raise OperationFailed(FailureReason.WRONG_FORMAT, "no qcow2 header")
    _, version, *fields = _V2.unpack_from(head)
    header = Header(version, *fields)
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


def _backing_file(header: Header, _: int) -> str | None:
    if header.backing_offset or header.backing_length:
        return "it names a backing file; a template must stand alone (qemu-img convert flattens it)"
    return None


def _encryption(header: Header, _: int) -> str | None:
    return f"it is encrypted (method {header.encryption})" if header.encryption else None


def _snapshots(header: Header, _: int) -> str | None:
    if header.snapshots or header.snapshots_offset:
        return f"it holds {header.snapshots} internal snapshots"
    return None


def _features(header: Header, _: int) -> str | None:
    for bit, what in _REFUSED_FEATURES.items():
        if header.incompatible & bit:
            return what
    unknown = header.incompatible & ~(_COMPRESSION | _EXTENDED_L2)
    if unknown:
        return f"incompatible features 0x{unknown:x} are unknown"
    # Bitmaps and raw external data are all the autoclear bits there are, and both are refused above or below.
    return f"autoclear features 0x{header.autoclear:x} are set" if header.autoclear else None


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
        return f"its virtual size is {header.virtual_bytes} bytes"
    return None


def _l1_table(header: Header, file_bytes: int) -> str | None:
    needed = -(-header.virtual_bytes // header.l2_coverage)
    length = header.l1_entries * 8
    if header.l1_entries < needed or length > _MAX_L1_BYTES:
        return (
            f"an L1 table of {header.l1_entries} entries does not fit a disk of {header.virtual_bytes} bytes"
        )
    return _outside("L1 table", header, header.l1_offset, length, file_bytes)


def _refcount_table(header: Header, file_bytes: int) -> str | None:
    length = header.refcount_clusters * header.cluster
    if not 0 < length <= _MAX_REFCOUNT_TABLE:
        return f"a refcount table of {header.refcount_clusters} clusters is not valid"
    return _outside("refcount table", header, header.refcount_offset, length, file_bytes)


def _outside(what: str, header: Header, offset: int, length: int, file_bytes: int) -> str | None:
    if offset % header.cluster or offset < header.cluster:
        return f"the {what} is not at the start of a cluster"
    return f"the {what} lies outside the file" if offset + length > file_bytes else None


CHECKS: tuple[Check, ...] = (
    _backing_file, _encryption, _snapshots, _features, _numbers, _virtual_size, _l1_table, _refcount_table,
)  # fmt: skip


def _check_extensions(cluster: bytes, header: Header) -> None:
    """Over the whole first cluster: a check of its first 64 KiB misses what follows a long header."""
    offset = header.length
    while offset + 8 <= len(cluster):
        kind, length = struct.unpack_from(">II", cluster, offset)
        if kind == 0:
            return
        if kind != _FEATURE_NAMES:
            raise _unsafe(f"its header has {_EXTENSIONS.get(kind, f'the unknown extension 0x{kind:08x}')}")
        offset += 8 + length + -length % 8
        if offset > len(cluster):
            raise _unsafe("a header extension reaches beyond the first cluster")
