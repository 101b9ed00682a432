"""The header's rules, one spoiled field at a time."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate.qcow2_header import read_header
from goldpool.worker.overlay import Backing, layout
from tests.unit.worker.builders import MIB

WRONG, UNSAFE = FailureReason.WRONG_FORMAT, FailureReason.UNSAFE_IMAGE
FILE_BYTES = 4 << 16


def a_header(backing: Backing | None = None) -> bytearray:
    head = bytearray(1 << 16)
    data = layout(10 * MIB, backing).pieces[0][1]
    head[: len(data)] = data
    return head


def put(offset: int, format_: str, value: int) -> Callable[[bytearray], None]:
    return lambda head: struct.pack_into(">" + format_, head, offset, value)


def extension(kind: int, content: bytes = b"victim") -> Callable[[bytearray], None]:
    def add(head: bytearray) -> None:
        head[112 : 120 + len(content)] = struct.pack(">II", kind, len(content)) + content

    return add


def behind_feature_names(head: bytearray) -> None:
    extension(0x6803F857, bytes(48))(head)
    head[168:184] = struct.pack(">II", 0x44415441, 6) + b"victim\0\0"


def twice_feature_names(head: bytearray) -> None:
    for start in (112, 168):
        head[start : start + 8] = struct.pack(">II", 0x6803F857, 48)


def without_end(head: bytearray) -> None:
    put(100, "I", 104)(head)
    head[104:112] = struct.pack(">II", 0x6803F857, len(head) - 112)  # to the last byte of the cluster


def long_header(head: bytearray) -> None:
    put(100, "I", 120)(head)
    put(112, "Q", 7)(head)


def test_our_own_blank_image_is_accepted() -> None:
    assert read_header(bytes(a_header()), FILE_BYTES).virtual_bytes == 10 * MIB


@pytest.mark.parametrize(
    ("spoil", "reason", "says"),
    [
        (put(0, "I", 0x514649FC), WRONG, "no qcow2 header"),
        (put(4, "I", 1), WRONG, "version 1"),
        (put(4, "I", 4), WRONG, "version 4"),
        (put(8, "Q", 512), UNSAFE, "backing file"),
        (put(16, "I", 11), UNSAFE, "backing file"),
        (put(20, "I", 8), UNSAFE, "cluster_bits"),
        (put(20, "I", 22), UNSAFE, "cluster_bits"),
        (put(20, "I", 0xFFFFFFFF), UNSAFE, "cluster_bits"),
        (put(24, "Q", 0), UNSAFE, "virtual size"),
        (put(24, "Q", 1000), UNSAFE, "virtual size"),
        (put(24, "Q", 1 << 62), UNSAFE, "L1 table"),
        (put(32, "I", 1), UNSAFE, "encrypted"),
        (put(32, "I", 2), UNSAFE, "encrypted"),
        (put(36, "I", 0), UNSAFE, "L1 table"),
        (put(36, "I", 0xFFFFFFFF), UNSAFE, "larger than the 32 MiB"),
        (put(40, "Q", 0), UNSAFE, "L1 table"),
        (put(40, "Q", 3 * 65536 + 8), UNSAFE, "start of a cluster"),
        (put(40, "Q", 4 * 65536), UNSAFE, "outside the file"),
        (put(40, "Q", (1 << 64) - 65536), UNSAFE, "outside the file"),
        (put(48, "Q", 4 * 65536), UNSAFE, "outside the file"),
        (put(56, "I", 0), UNSAFE, "no refcount table"),
        (put(56, "I", 1000), UNSAFE, "larger than the 8 MiB"),
        (put(60, "I", 3), UNSAFE, "snapshots"),
        (put(64, "Q", 65536), UNSAFE, "snapshots"),
        (put(72, "Q", 0x11), UNSAFE, "dirty"),
        (put(72, "Q", 0x12), UNSAFE, "corrupt"),
        (put(72, "Q", 0x14), UNSAFE, "data file"),
        (put(72, "Q", 0x18), UNSAFE, "compression"),
        (put(72, "Q", 1 << 13), UNSAFE, "0x2000 are unknown"),
        (put(88, "Q", 2), UNSAFE, "autoclear"),
        (put(96, "I", 7), UNSAFE, "refcount_order"),
        (put(100, "I", 96), UNSAFE, "header length"),
        (put(100, "I", 113), UNSAFE, "header length"),
        (put(100, "I", 70000 // 8 * 8), UNSAFE, "header length"),
        (put(104, "B", 2), UNSAFE, "compression"),
        (put(105, "B", 1), UNSAFE, "fields behind"),
        (long_header, UNSAFE, "fields behind"),
        (extension(0x44415441), UNSAFE, "data file"),
        (extension(0x0537BE77), UNSAFE, "encryption header"),
        (extension(0x23852875), UNSAFE, "bitmaps"),
        (extension(0xE2792ACA), UNSAFE, "backing format"),
        (extension(0x12345678), UNSAFE, "unknown extension 0x12345678"),
        (behind_feature_names, UNSAFE, "data file"),
        (put(112, "Q", 0x6803F857_FFFFFFF0), UNSAFE, "beyond"),
        (extension(0x6803F857, bytes(47)), UNSAFE, "features' names"),
        (twice_feature_names, UNSAFE, "features' names"),
        (without_end, UNSAFE, "have no end"),
    ],
)
def test_a_header_we_refuse(spoil: Callable[[bytearray], None], reason: FailureReason, says: str) -> None:
    head = a_header()
    spoil(head)
    with pytest.raises(OperationFailed, match=says) as refused:
        read_header(bytes(head), FILE_BYTES)
    assert refused.value.reason is reason


@given(st.integers(0, 119), st.integers(0, 255), st.integers(0, 1 << 16))
def test_any_header_is_accepted_or_refused_and_never_crashes(offset: int, value: int, length: int) -> None:
    head = a_header()
    head[offset] = value
    with contextlib.suppress(OperationFailed):
        header = read_header(bytes(head[:length]), FILE_BYTES)
        assert not header.backing_offset
        assert header.l1_offset + header.l1_entries * 8 <= FILE_BYTES


def test_extensions_are_seen_in_the_whole_first_cluster() -> None:
    # A check of the first 64 KiB misses what stands behind a long header of an image with 2 MiB clusters.
    head = bytearray(2 << 20)
    head[: 1 << 16] = a_header()
    for spoil in (put(20, "I", 21), put(40, "Q", 6 << 20), put(48, "Q", 2 << 20), put(100, "I", 70_000)):
        spoil(head)
    head[70_000:70_016] = struct.pack(">II", 0x44415441, 6) + b"victim\0\0"
    with pytest.raises(OperationFailed, match="data file"):
        read_header(bytes(head), 8 << 20)


def test_the_name_of_a_backing_file_is_told_as_far_as_it_can_be_shown() -> None:
    head = a_header()
    head[512:524] = b"/etc/\npasswd"
    put(8, "Q", 512)(head)
    put(16, "I", 12)(head)
    with pytest.raises(OperationFailed, match=r"backing file \(/etc/\?passwd\).*qemu-img convert"):
        read_header(bytes(head), FILE_BYTES)
