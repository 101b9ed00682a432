"""Compressed bytes of every kind, made by the libraries that decode them elsewhere, and zips made by hand."""

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

from backports import zstd


def gz(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)


def bz(data: bytes) -> bytes:
    return bz2.compress(data, 1)


def xz(data: bytes, dictionary_bytes: int = 1 << 20) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary_bytes}]
    return lzma.compress(data, filters=filters)


def zst(data: bytes, window_log: int = 20) -> bytes:
    """Written as a stream, so that the window is the one asked for and not the data's length; checked, as zstd does."""
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.window_log: window_log, parameter.checksum_flag: 1}
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(data) + compressor.flush()


def skippable(content: bytes = b"anybody's") -> bytes:
    return struct.pack("<II", 0x184D2A53, len(content)) + content


def zipped(
    *files: bytes, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"", wide: bool = False
) -> bytes:
    """Its sizes stand in front of each file."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", method) as archive:
        archive.comment = comment
        for number, data in enumerate(files):
            with archive.open(f"disk-{number}.img", "w", force_zip64=wide) as member:
                member.write(data)
    return raw.getvalue()


class Unseekable(io.RawIOBase):
    """Where a writer cannot go back to fill in sizes: they follow each file."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self.written += data
        return len(data)


def zip_stream(data: bytes, method: int = zipfile.ZIP_DEFLATED, *, wide: bool = False) -> bytes:
    raw = Unseekable()
    with (
        zipfile.ZipFile(raw, "w", method) as archive,
        archive.open("disk.img", "w", force_zip64=wide) as member,
    ):
        member.write(data)
    return bytes(raw.written)


def zip_by_hand(
    data: bytes,
    *,
    flags: int = 0,
    method: int = 0,
    name: bytes = b"disk.img",
    directory_name: bytes | None = None,
    crc: int | None = None,
) -> bytes:
    """A stored file, with what one wants to be wrong about it."""
    crc = zlib.crc32(data) if crc is None else crc
    directory_name = name if directory_name is None else directory_name
    common = struct.pack("<HHIIII", flags, method, 0, crc, len(data), len(data))
    local = b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<HH", len(name), 0) + name + data
    entry = b"PK\1\2" + struct.pack("<HH", 20, 20) + common
    entry += struct.pack("<HHHHHII", len(directory_name), 0, 0, 0, 0, 0, 0) + directory_name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + end


def bomb(codec: str) -> bytes:
    """Expands to 512 MiB of zeros, and is made without them."""
    mebibyte = bytes(1 << 20)
    if codec in JOINABLE:
        return CODECS[codec](mebibyte * 8) * 64
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = b"".join(compressor.compress(mebibyte) for _ in range(512)) + compressor.flush()
    return b"PK\3\4" + struct.pack("<HHHIIIIHH", 20, 8, 8, 0, 0, 0, 0, 1, 0) + b"a" + deflated


CODECS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gz,
    "bzip2": bz,
    "xz": xz,
    "zstd": zst,
    "zip": zipped,
    "zip stored": lambda data: zipped(data, method=zipfile.ZIP_STORED),
    "zip as a stream": zip_stream,
    "zip64": lambda data: zipped(data, wide=True),
    "zip64 as a stream": lambda data: zip_stream(data, wide=True),
}
JOINABLE: Final = ("gzip", "bzip2", "xz", "zstd")
