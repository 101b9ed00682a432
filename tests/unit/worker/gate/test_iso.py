"""An installer's medium is one, and all of it is there."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.report import FailureReason
from tests.images.medium import BLOCK, a_medium
from tests.unit.worker.gate.builders import admitted, refused

PRIMARY = 16 * BLOCK
Spoil = Callable[[bytearray], None]


def both(offset: int, code: str, value: int) -> Spoil:
    def spoil(medium: bytearray) -> None:
        size = struct.calcsize(code)
        struct.pack_into("<" + code, medium, PRIMARY + offset, value)
        struct.pack_into(">" + code, medium, PRIMARY + offset + size, value)

    return spoil


def one(offset: int, code: str, value: int) -> Spoil:
    return lambda medium: struct.pack_into(code, medium, offset, value)


def cut(blocks: int) -> Spoil:
    def spoil(medium: bytearray) -> None:
        del medium[blocks * BLOCK :]

    return spoil


def test_a_medium_is_admitted_whatever_stands_before_and_behind_it(tmp_path: Path) -> None:
    medium = a_medium()
    medium[:512] = b"\xeb\x63\x90".ljust(510, b"\7") + b"\x55\xaa"  # a hybrid: it boots from a stick, too
    (tmp_path / "i").write_bytes(medium + bytes(300 * BLOCK + 100))
    assert admitted(tmp_path / "i", ImageFormat.ISO) == (len(medium) + 300 * BLOCK + 100 + 511) // 512 * 512


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut(20), "it was cut off"),
        (cut(17), "no end"),
        (both(80, "I", 0), "says it has 0 bytes"),
        (both(80, "I", 25), "51200 bytes, the file has 49152"),
        (both(80, "I", 0xFFFFFFFF), "cut off"),
        (one(PRIMARY + 80, "<I", 23), "volume size is 23 in one byte order and 24 in the other"),
        (both(128, "H", 0), "blocks have 0 bytes"),
        (both(128, "H", 4096), "blocks have 4096 bytes"),
        (one(PRIMARY + 140, "<I", 24), "path table (10 bytes at 49152) lies outside"),
        (one(PRIMARY + 140, "<I", 0), "path table (10 bytes at 0)"),
        (both(132, "I", 0), "path table (0 bytes"),
        (both(158, "I", 24), "root directory (2048 bytes at 49152)"),
        (both(166, "I", 1 << 30), "root directory"),
        (one(17 * BLOCK, "B", 2), "no end"),
        (one(PRIMARY, "B", 0), "no primary volume descriptor"),
        (lambda medium: medium.extend(b"conectix".ljust(512, b"\0")), "VHD and iso"),
    ],
)
def test_a_medium_that_is_none_is_refused(tmp_path: Path, spoil: Spoil, says: str) -> None:
    medium = a_medium()
    spoil(medium)
    (tmp_path / "i").write_bytes(medium)
    failed = refused(tmp_path / "i", ImageFormat.ISO)
    assert says in failed.message
    assert failed.reason is FailureReason.WRONG_FORMAT


def test_a_medium_has_a_largest_size_too(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(a_medium())
    assert refused(tmp_path / "i", ImageFormat.ISO, max_virtual_bytes=BLOCK).reason is FailureReason.TOO_LARGE
