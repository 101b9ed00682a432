"""The gate as a whole, against images that qemu-img makes and that we then spoil."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.report import PERMANENT, FailureReason
from tests.images.hostile import IMAGES, Hostile
from tests.unit.worker.builders import MIB, needs_qemu_img, qemu_img, qemu_io
from tests.unit.worker.gate.builders import admitted, refused

WRONG, UNSAFE, LARGE = FailureReason.WRONG_FORMAT, FailureReason.UNSAFE_IMAGE, FailureReason.TOO_LARGE


@needs_qemu_img
@pytest.mark.parametrize("written", [False, True], ids=["empty", "written"])
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
        "refcount_bits=64",
        "preallocation=metadata",
        "preallocation=falloc",
    ],
)
def test_what_qemu_img_makes_is_admitted(tmp_path: Path, options: str, written: bool) -> None:
    path = tmp_path / "i"
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, str(64 * MIB))
    if written:
        qemu_io("qcow2", path, "write -q -P 1 1M 1M", "write -q -P 2 60M 1M", "write -q -z 8M 1M")
    assert admitted(path) == 64 * MIB


@needs_qemu_img
@pytest.mark.parametrize("kind", ["zlib", "zstd"])
def test_a_compressed_image_is_admitted(tmp_path: Path, kind: str) -> None:
    (tmp_path / "raw").write_bytes(bytes(range(256)) * 8192)
    option = f"compression_type={kind}"
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", option, tmp_path / "raw", tmp_path / "i")
    assert admitted(tmp_path / "i") == 2 * MIB


@needs_qemu_img
@pytest.mark.parametrize("hostile", IMAGES, ids=[image.name for image in IMAGES])
def test_a_hostile_image_is_refused_by_its_own_name_and_stays_as_it_was(
    tmp_path: Path, hostile: Hostile
) -> None:
    path = tmp_path / "image"
    path.write_bytes(hostile.content(tmp_path))
    before = hashlib.sha256(path.read_bytes()).digest()
    failed = refused(path, ImageFormat(hostile.declared))
    assert hostile.says in failed.message
    assert failed.reason is hostile.reason
    assert failed.reason in PERMANENT
    assert hashlib.sha256(path.read_bytes()).digest() == before


@needs_qemu_img
def test_a_small_file_that_unpacks_to_much_is_too_large(tmp_path: Path) -> None:
    raw, image = tmp_path / "raw", tmp_path / "i"
    raw.write_bytes(b"\1" * (64 * MIB))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", raw, image)
    assert image.stat().st_size < MIB
    failed = refused(image, max_bytes=8 * MIB)
    assert failed.reason is LARGE
    assert "unpack to" in failed.message
    assert admitted(image, max_bytes=65 * MIB) == 64 * MIB


@needs_qemu_img
def test_much_empty_space_in_a_small_file_is_what_images_are_for(tmp_path: Path) -> None:
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(1 << 40))
    assert admitted(tmp_path / "i", max_bytes=256 * MIB) == 1 << 40


@needs_qemu_img
def test_leaked_clusters_come_with_their_remedy(tmp_path: Path) -> None:
    path = tmp_path / "i"
    qemu_img("create", "-q", "-f", "qcow2", path, str(MIB))
    with path.open("r+b") as file:
        file.seek((2 << 16) + 2 * 10)  # cluster 10 is counted and in no table
        file.write(b"\0\1")
        file.truncate(11 << 16)
    failed = refused(path)
    assert failed.reason is UNSAFE
    assert "finds 1 clusters that nothing uses" in failed.message
    qemu_img("check", "-q", "-r", "leaks", "-f", "qcow2", path)
    assert admitted(path) == MIB


@needs_qemu_img
def test_a_complaint_for_each_of_many_clusters_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "i"
    qemu_img(
        "create", "-q", "-f", "qcow2", "-o", "cluster_size=512,preallocation=metadata", path, str(16 * MIB)
    )
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 512 * 512)
    said = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", str(path)], check=True, capture_output=True, text=True
    )
    assert "cluster_size: 512" in said.stdout
    table = int.from_bytes(_at(path, 48, 8))
    block = int.from_bytes(_at(path, table, 8))
    with path.open("r+b") as file:
        file.seek(block)
        file.write(bytes(512))
        for place in range(1, 60):
            block = int.from_bytes(_at(path, table + 8 * place, 8))
            if block:
                file.seek(block)
                file.write(bytes(512))
    failed = refused(path)
    assert failed.reason is UNSAFE
    assert len(failed.message) < 400


def _at(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def test_a_host_without_qemu_img_admits_no_qcow2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(MIB))
    monkeypatch.setenv("PATH", str(tmp_path))
    failed = refused(tmp_path / "i")
    assert "missing" in failed.message
    assert failed.reason is FailureReason.IO_ERROR  # of this host, not of the image


@needs_qemu_img
def test_the_tools_run_under_their_limits(tmp_path: Path) -> None:
    """An image of many clusters, and less time and memory than looking at them takes."""
    path = tmp_path / "i"
    options = "cluster_size=512,preallocation=metadata"
    qemu_img("create", "-q", "-f", "qcow2", "-o", options, path, str(32 * MIB))
    assert admitted(path) == 32 * MIB
    failed = refused(path, check_memory_bytes=8 << 20)
    assert failed.reason not in {WRONG, LARGE}
    late = refused(path, check_seconds=0.001)
    assert "took over 0.001 s" in late.message
    assert late.reason is FailureReason.IO_ERROR


@pytest.mark.parametrize(
    ("size", "declared", "outcome"),
    [
        (1024, ImageFormat.RAW, 1024),
        (1025, ImageFormat.RAW, WRONG),
        (0, ImageFormat.RAW, WRONG),
        (4096, ImageFormat.RAW, LARGE),
        (1024, ImageFormat.ISO, WRONG),
        (1024, ImageFormat.QCOW2, WRONG),
    ],
)
def test_plain_bytes_are_a_raw_disk_of_whole_sectors(
    tmp_path: Path, size: int, declared: ImageFormat, outcome: int | FailureReason
) -> None:
    (tmp_path / "i").write_bytes(b"\x90" * size)
    if isinstance(outcome, int):
        assert admitted(tmp_path / "i", declared, max_virtual_bytes=2048) == outcome
        return
    failed = refused(tmp_path / "i", declared, max_virtual_bytes=2048)
    assert failed.reason is outcome
    assert (str(size) if declared is ImageFormat.RAW else "declared") in failed.message


def test_nobody_is_left_behind_when_the_worker_is_told_to_end(tmp_path: Path) -> None:
    """The tool's process is gone when ``admit`` has returned, whatever it returned."""
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(MIB))
    before, children = len(list(Path("/proc/self/fd").iterdir())), own_children()
    refused(tmp_path / "i", check_seconds=0.001)
    admitted(tmp_path / "i")
    assert own_children() <= children
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def own_children() -> set[str]:
    """Process ids, zombies among them; those of other tests of this process too."""
    return {
        pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    }
