"""What bytes look like, and what is said when it is not what was declared."""

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.worker.gate.detection import detected, wrong_format


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
        (at(0, b"Bochs Virtual HD Image"), {"Bochs"}),
        (at(0, b"PK\5\6"), {"zip"}),
        (at(0, b"7z\xbc\xaf\x27\x1c"), {"7z"}),
        (at(0, b"Rar!\x1a\7"), {"rar"}),
        (at(257, b"ustar"), {"tar"}),
        (at(0, b"!<arch>\ndebian-binary"), {"deb"}),
        (b"\xef\xbb\xbf<!doctype html>", {"HTML"}),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', {"XML"}),
        (b'{"error": "not found"}', {"text"}),
        (b"Moved to caf\xc3\xa9\n".ljust(512, b"\0"), {"text"}),
        (b"a" * 511 + "é".encode() + b"a" * 100, {"text"}),  # the window cuts a character in two
        (b"a" * 511 + b"\0" + bytes(512), {"text"}),
        (b"a" * 100 + b"\1" + b"a" * 1000, set()),
        (b"a" * 100 + b"\xff" + b"a" * 1000, set()),
        (bytes(1024), set()),
    ],
)
def test_what_bytes_look_like(head: bytes, expected: set[str]) -> None:
    assert detected(head) == expected
    assert (wrong_format(ImageFormat.RAW, detected(head)) is None) == (not expected)
    assert (wrong_format(ImageFormat.QCOW2, detected(head)) is None) == (expected == {"qcow2"})
    assert (wrong_format(ImageFormat.ISO, detected(head)) is None) == (expected == {"iso"})


def test_a_footer_counts_too() -> None:
    assert detected(at(0, b"x"), b"conectix".ljust(512, b"\0")) == {"VHD"}


@pytest.mark.parametrize(
    ("found", "declared", "remedy"),
    [
        ({"iso"}, ImageFormat.RAW, "spec.format to iso"),
        ({"qcow2"}, ImageFormat.RAW, "spec.format to qcow2"),
        ({"VMDK"}, ImageFormat.RAW, "qemu-img convert"),
        ({"QED"}, ImageFormat.QCOW2, "qemu-img convert"),
        ({"xz"}, ImageFormat.QCOW2, "unpack it first"),
        ({"tar"}, ImageFormat.RAW, "archive"),
        ({"HTML"}, ImageFormat.QCOW2, "URL with a browser"),
        ({"LUKS"}, ImageFormat.RAW, "decrypt"),
        ({"iso", "qcow2"}, ImageFormat.QCOW2, "iso and qcow2"),
        (set(), ImageFormat.QCOW2, "a raw disk or something unknown"),
    ],
)
def test_a_wrong_format_comes_with_what_to_do(found: set[str], declared: ImageFormat, remedy: str) -> None:
    objection = wrong_format(declared, frozenset(found))
    assert objection is not None
    assert objection.startswith(f"declared {declared}, but the bytes look like ")
    assert remedy in objection
