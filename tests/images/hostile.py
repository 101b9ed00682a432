"""Images that must not become parents: what each is declared as, how it is made, and what is said of it.

Made with qemu-img where it makes such things, and by writing over its bytes where it does not.
"""

import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goldpool.contracts.report import FailureReason

_WRONG, _UNSAFE, _LARGE = FailureReason.WRONG_FORMAT, FailureReason.UNSAFE_IMAGE, FailureReason.TOO_LARGE
CLUSTER: Final = 1 << 16
VMDK: Final = (
    b'# Disk DescriptorFile\nversion=1\nCID=1\ncreateType="monolithicFlat"\nRW 128 FLAT "/etc/passwd" 0\n'
)
PAGE: Final = b"<!DOCTYPE html>\n<html><body>Please sign in to download debian-12.qcow2</body></html>\n"


@dataclass(frozen=True)
class Hostile:
    """``make`` writes the image to a path that does not exist; ``says`` is in the finding."""

    name: str
    make: Callable[[Path], None]
    says: str
    reason: FailureReason = _UNSAFE
    declared: str = "qcow2"

    def content(self, directory: Path) -> bytes:
        path = directory / self.name.replace(" ", "-")
        self.make(path)
        return path.read_bytes()


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, timeout=120)


def created(*options: str, size: str = "1M") -> Callable[[Path], None]:
    """By ``qemu-img create``; ``{dir}`` in an option is the image's directory."""

    def make(path: Path) -> None:
        filled = [option.replace("{dir}", str(path.parent)) for option in options]
        qemu_img("create", "-q", "-f", "qcow2", *filled, path, size)

    return make


def patched(make: Callable[[Path], None], *patches: tuple[int, str, int]) -> Callable[[Path], None]:
    """With numbers (offset, struct code, value) written over it, big-endian."""

    def spoil(path: Path) -> None:
        make(path)
        with path.open("r+b") as file:
            for offset, code, value in patches:
                file.seek(offset)
                file.write(struct.pack(">" + code, value))

    return spoil


def content(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def _snapshots(path: Path) -> None:
    created()(path)
    qemu_img("snapshot", "-c", "one", path)


def _archive(path: Path) -> None:
    inner = path.with_suffix(".inner")
    created()(inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "disk.qcow2")


def _written(path: Path) -> None:
    """One megabyte of data: two L2 tables' worth of disk, of which one is used."""
    created(size="1G")(path)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 1M", str(path)], check=True, timeout=120)


def _cut(path: Path) -> None:
    _written(path)
    with path.open("r+b") as file:
        file.truncate(10 * CLUSTER)


JSON_BACKING: Final = 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}'
_LUKS: Final = (
    "--object", "secret,id=s,data=x", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
)  # fmt: skip
_L1, _REFCOUNTS, _REFBLOCK = 3 * CLUSTER, CLUSTER, 2 * CLUSTER
"""Where qemu-img puts them in an image of 64 KiB clusters."""
_COPIED: Final = 1 << 63

IMAGES: Final = (
    Hostile("backing file", created("-u", "-b", "/etc/passwd", "-F", "raw"), "backing file (/etc/passwd)"),
    Hostile("json backing file", created("-u", "-b", JSON_BACKING, "-F", "raw"), "names a backing file (json:"),
    Hostile("backing url", created("-u", "-b", "http://127.0.0.1:9/x", "-F", "qcow2"), "a backing file (http://"),
    Hostile("data file", created("-o", "data_file={dir}/data,data_file_raw=on"), "names an external data file"),
    Hostile(
        "data file by extension only",
        patched(created(), (112, "I", 0x44415441), (116, "I", 8), (120, "Q", 0x2F6574632F706173), (128, "Q", 0)),
        "its header has an external data file",
    ),
    Hostile("encrypted", created(*_LUKS), "it is encrypted (method 2)"),
    Hostile("internal snapshots", _snapshots, "it holds 1 internal snapshots"),
    Hostile("many snapshots", patched(created(), (60, "I", 65535), (64, "Q", 1 << 20)), "65535 internal snapshots"),
    Hostile("60 PiB", created("-o", "cluster_size=2M", size="60P"), "67553994410557440 bytes", _LARGE),
    Hostile("unknown feature", patched(created(), (72, "Q", 1 << 13)), "incompatible features 0x2000 are unknown"),
    Hostile("dirty", patched(created(), (72, "Q", 1)), "marked dirty"),
    Hostile("corrupt", patched(created(), (72, "Q", 2)), "marked corrupt"),
    Hostile("oversized L1 table", patched(created(), (36, "I", 1 << 28)), "larger than the 32 MiB QEMU reads"),
    Hostile("oversized refcount table", patched(created(), (56, "I", 1 << 20)), "larger than the 8 MiB QEMU reads"),
    Hostile("L1 table outside", patched(created(), (40, "Q", 1 << 40)), "the L1 table lies outside the file"),
    Hostile("one table twice", patched(created(), (40, "Q", CLUSTER)), "its L1 table and its refcount table lie"),
    Hostile("L1 entry reserved", patched(_written, (_L1, "Q", _COPIED | 5 << 16 | 1)), "has reserved bits set"),
    Hostile("L1 entry unaligned", patched(_written, (_L1, "Q", _COPIED | 512)), "not at the start of a cluster"),
    Hostile("L1 entry outside", patched(_written, (_L1, "Q", _COPIED | 1 << 40)), "L2 table of entry 0 lies outside"),
    Hostile("L1 entry onto the header's table", patched(_written, (_L1, "Q", _COPIED | CLUSTER)), "same cluster"),
    Hostile(
        "one L2 table twice",
        patched(_written, (_L1, "Q", _COPIED | 4 << 16), (_L1 + 8, "Q", _COPIED | 4 << 16)),
        "two entries name the L2 table",
    ),
    Hostile("refcount block outside", patched(created(), (_REFCOUNTS, "Q", 1 << 40)), "refcount block of entry 0 lies"),
    Hostile("refcounts of nothing", patched(created(), (_REFBLOCK, "Q", 0)), "qemu-img check"),
    Hostile("cut off", _cut, "qemu-img check"),
    Hostile("text vmdk as raw", content(VMDK.ljust(2048, b"\0")), "look like VMDK", _WRONG, "raw"),
    Hostile("qcow2 as raw", created("-u", "-b", "/etc/passwd", "-F", "raw"), "spec.format to qcow2", _WRONG, "raw"),
    Hostile("page as qcow2", content(PAGE), "the server sent a page", _WRONG),
    Hostile("page as raw", content(PAGE.ljust(512, b" ")), "the server sent a page", _WRONG, "raw"),
    Hostile("archive as qcow2", _archive, "it is an archive", _WRONG),
    Hostile("page as iso", content(PAGE.ljust(1 << 16, b"\n")), "the server sent a page", _WRONG, "iso"),
)  # fmt: skip
BY_NAME: Final = {image.name: image for image in IMAGES}
