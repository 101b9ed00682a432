"""The gate, against images that qemu-img makes and that we then spoil byte by byte."""

import contextlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import FailureReason
from goldpool.worker import image
from goldpool.worker.failures import OperationFailed
from goldpool.worker.image import admit, detected, wrong_format
from goldpool.worker.overlay import Backing, layout
from goldpool.worker.qcow2 import read_header
from tests.unit.worker.builders import MIB, needs_qemu_img, qemu_img

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
        (put(36, "I", 0xFFFFFFFF), UNSAFE, "L1 table"),
        (put(40, "Q", 0), UNSAFE, "L1 table"),
        (put(40, "Q", 3 * 65536 + 8), UNSAFE, "start of a cluster"),
        (put(40, "Q", 4 * 65536), UNSAFE, "outside the file"),
        (put(40, "Q", (1 << 64) - 65536), UNSAFE, "outside the file"),
        (put(48, "Q", 4 * 65536), UNSAFE, "outside the file"),
        (put(56, "I", 0), UNSAFE, "refcount table"),
        (put(56, "I", 1000), UNSAFE, "refcount table"),
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
        (extension(0x44415441), UNSAFE, "data file"),
        (extension(0x0537BE77), UNSAFE, "encryption header"),
        (extension(0x23852875), UNSAFE, "bitmaps"),
        (extension(0xE2792ACA), UNSAFE, "backing format"),
        (extension(0x12345678), UNSAFE, "unknown extension 0x12345678"),
        (behind_feature_names, UNSAFE, "data file"),
        (put(112, "Q", 0x6803F857_FFFFFFFF), UNSAFE, "beyond"),
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


def at(offset: int, magic: bytes) -> bytes:
    return (bytes(offset) + magic).ljust(40_000, b"\1")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (at(0, b"QFI\xfb\0\0\0\3"), {"qcow2"}),
        (at(0, b"QFI\xfb\0\0\0\2"), {"qcow2"}),
        (at(0, b"QFI\xfb\0\0\0\1"), {"qcow1"}),
        (at(0, b"QFI\xfb\0\0\0\7"), {"an unknown qcow"}),
        (at(0, b"QED\0"), {"QED"}),
        (at(0, b"KDMV"), {"VMDK"}),
        (at(0, b"COWD"), {"VMDK"}),
        (at(0, b"# Disk DescriptorFile\nversion=1\n"), {"VMDK"}),
        (at(0, b'\n# a comment\n  \nversion=1\nRW 128 FLAT "/etc/passwd" 0\n'), {"VMDK"}),
        (at(0, b"vhdxfile"), {"VHDX"}),
        (at(0x40, b"\x7f\x10\xda\xbe"), {"VDI"}),
        (at(0, b"LUKS\xba\xbe"), {"LUKS"}),
        (at(32769, b"CD001"), {"iso"}),
        (at(0, b"\x1f\x8b"), {"gzip"}),
        (at(0, b"\xfd7zXZ\0"), {"xz"}),
        (at(0, b"\x28\xb5\x2f\xfd"), {"zstd"}),
        (at(0, b"BZh9"), {"bzip2"}),
        (at(0, b"\n <!DOCTYPE html><html>"), {"HTML"}),
        (at(0, b"<!-- moved --><HTML>"), {"HTML"}),
        (b"QFI\xfb\0\0\0\3" + at(32769, b"CD001")[8:], {"qcow2", "iso"}),
        (at(0, b"\xeb\x63\x90 a boot sector"), set()),
        (b"", set()),
    ],
)
def test_what_bytes_look_like(head: bytes, expected: set[str]) -> None:
    assert detected(head) == expected
    assert (wrong_format(ImageFormat.RAW, detected(head)) is None) == (not expected)
    assert (wrong_format(ImageFormat.QCOW2, detected(head)) is None) == (expected == {"qcow2"})
    assert (wrong_format(ImageFormat.ISO, detected(head)) is None) == (expected == {"iso"})


def test_a_footer_counts_too() -> None:
    assert detected(at(0, b"x"), b"conectix".ljust(512, b"\0")) == {"VHD"}


def admitted(path: Path, declared: ImageFormat, max_virtual_bytes: int = 1 << 40) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return admit(fd, declared, max_virtual_bytes=max_virtual_bytes)
    finally:
        os.close(fd)


@needs_qemu_img
@pytest.mark.parametrize(
    "options",
    [
        "compat=1.1",
        "compat=0.10",
        "extended_l2=on",
        "lazy_refcounts=on",
        "cluster_size=2M",
        "cluster_size=512",
        "compression_type=zstd",
        "refcount_bits=1",
        "preallocation=metadata",
    ],
)
def test_what_qemu_img_makes_is_admitted(tmp_path: Path, options: str) -> None:
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, tmp_path / "i", str(64 * MIB))
    assert admitted(tmp_path / "i", ImageFormat.QCOW2) == 64 * MIB


@needs_qemu_img
@pytest.mark.parametrize(
    ("create", "says"),
    [
        (("-u", "-b", "/etc/passwd", "-F", "raw"), "backing file"),
        (("-u", "-b", "http://127.0.0.1:9/x", "-F", "qcow2"), "backing file"),
        (("-o", "data_file={dir}/data"), "data file"),
        (("--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"),
         "encrypted"),
    ],
)  # fmt: skip
def test_images_that_reach_outside_are_refused(tmp_path: Path, create: tuple[str, ...], says: str) -> None:
    options = [option.replace("{dir}", str(tmp_path)) for option in create]
    qemu_img("create", "-q", "-f", "qcow2", *options, tmp_path / "i", str(MIB))
    with pytest.raises(OperationFailed, match=says) as refused:
        admitted(tmp_path / "i", ImageFormat.QCOW2)
    assert refused.value.reason is UNSAFE


@needs_qemu_img
def test_internal_snapshots_are_refused(tmp_path: Path) -> None:
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(MIB))
    qemu_img("snapshot", "-c", "one", tmp_path / "i")
    with pytest.raises(OperationFailed, match="snapshots"):
        admitted(tmp_path / "i", ImageFormat.QCOW2)


@needs_qemu_img
def test_damage_behind_a_good_header_is_found_by_qemu(tmp_path: Path) -> None:
    path = tmp_path / "i"
    qemu_img("create", "-q", "-f", "qcow2", path, str(MIB))
    with path.open("r+b") as file:
        file.seek(2 << 16)  # the refcount block: every cluster is free now, so all are used twice
        file.write(bytes(64))
    with pytest.raises(OperationFailed, match="qemu-img check") as refused:
        admitted(path, ImageFormat.QCOW2)
    assert refused.value.reason is UNSAFE


def test_a_host_without_qemu_img_admits_no_qcow2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "i").write_bytes(bytes(a_header()).ljust(FILE_BYTES, b"\0"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperationFailed, match="missing") as refused:
        admitted(tmp_path / "i", ImageFormat.QCOW2)
    assert refused.value.reason is FailureReason.IO_ERROR  # of this host, not of the image


@needs_qemu_img
def test_the_check_runs_under_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(MIB))
    monkeypatch.setattr(image, "CHECK_ADDRESS_SPACE", 8 << 20)
    with pytest.raises(OperationFailed):
        admitted(tmp_path / "i", ImageFormat.QCOW2)


@pytest.mark.parametrize(
    ("size", "declared", "outcome"),
    [
        (1024, ImageFormat.RAW, 1024),
        (1025, ImageFormat.RAW, WRONG),
        (0, ImageFormat.RAW, WRONG),
        (4096, ImageFormat.RAW, FailureReason.TOO_LARGE),
        (1024, ImageFormat.ISO, WRONG),
        (1024, ImageFormat.QCOW2, WRONG),
    ],
)
def test_plain_bytes_are_a_raw_disk_of_whole_sectors(
    tmp_path: Path, size: int, declared: ImageFormat, outcome: int | FailureReason
) -> None:
    (tmp_path / "i").write_bytes(b"x" * size)
    if isinstance(outcome, int):
        assert admitted(tmp_path / "i", declared, max_virtual_bytes=2048) == outcome
        return
    with pytest.raises(
        OperationFailed, match=str(size) if declared is ImageFormat.RAW else "declared"
    ) as refused:
        admitted(tmp_path / "i", declared, max_virtual_bytes=2048)
    assert refused.value.reason is outcome
