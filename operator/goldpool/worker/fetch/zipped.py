"""A zip with exactly one file in it, decoded while it arrives.

A zip is meant to be read from its end, where the directory is. From its beginning one member can be read as well, if it
says its size or ends by itself; the directory is then compared with what came, so that no other reader finds another
file in the same bytes. Source: PKWARE's APPNOTE 6.3.10.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.codecs import PIECE, Inflate, decoding, ends_early
from goldpool.worker.fetch.policy import MirrorFailed

LOCAL: Final = b"PK\3\4"
EMPTY: Final = b"PK\5\6"
SPANNED: Final = b"PK\7\x08"
_DESCRIPTOR: Final = SPANNED  # the same signature, in another place
_CENTRAL: Final = b"PK\1\2"
_END: Final = b"PK\5\6"
_END64: Final = b"PK\6\6"
_END64_LOCATOR: Final = b"PK\6\7"

_STORED: Final = 0
_DEFLATED: Final = 8
_ENCRYPTED: Final = 1 << 0 | 1 << 6 | 1 << 13
_SIZES_FOLLOW: Final = 1 << 3
_ZIP64: Final = 0xFFFFFFFF
_SLICE: Final = 64 << 10
_LONGEST_DESCRIPTOR: Final = 24
_LONGEST_END: Final = 512 << 10
"""Of the directory with its one entry, and the archive's comment: each of their four texts has at most 64 KiB."""


class Zip:
    """The one member of a zip. ``feed`` gives at most ``PIECE`` bytes at a time; ``finish`` says whether all of it came.

    ``MirrorFailed``: SourceCorrupt, TransferIncomplete, WrongFormat if there is not exactly one file, Unsupported for
    encryption and other methods than store and deflate.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._member: _Member | None = None
        self._end = bytearray()
        self._end_checked = False

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        for at in range(0, len(data), _SLICE):
            rest = bytes(data[at : at + _SLICE])
            if self._member is None:
                self._header += rest
                self._member = _opened(self._header)
                if self._member is None:
                    continue
                rest, self._header = bytes(self._header[self._member.header_bytes :]), bytearray()
            if not self._member.complete:
                yield from self._member.decode(rest)
                rest = self._member.unused
            if self._member.complete:
                self._follow(self._member, rest)

    def finish(self) -> None:
        if self._member is None or not self._member.complete:
            raise ends_early("zip")
        _compare_directory(self._member, bytes(self._end[_descriptor(self._member, bytes(self._end)) :]))

    def _follow(self, member: "_Member", data: bytes) -> None:
        self._end += data
        if len(self._end) > _LONGEST_END:
            raise _not_one("more follows its first file than a directory")
        if not self._end_checked and len(self._end) >= _LONGEST_DESCRIPTOR + 4:
            self._end_checked = True
            _descriptor(member, bytes(self._end))


class _Member:
    """What the local header says, and the bytes behind it."""

    def __init__(self, fields: "_Fields", name: bytes, header_bytes: int) -> None:
        self.fields = fields
        self.name = name
        self.header_bytes = header_bytes
        self.sizes_follow = bool(fields.flags & _SIZES_FOLLOW)
        self.crc = 0
        self.stored_bytes = 0
        self.file_bytes = 0
        self.unused = b""
        self._inflate = Inflate(-15) if fields.method == _DEFLATED else None

    @property
    def complete(self) -> bool:
        if self._inflate is not None:
            return self._inflate.eof
        return self.stored_bytes == self.fields.stored_bytes

    def decode(self, data: bytes) -> Iterator[bytes]:
        self.stored_bytes += len(data)
        if self._inflate is None:
            beyond = max(0, self.stored_bytes - self.fields.stored_bytes)
            self.stored_bytes -= beyond
            self.unused = data[len(data) - beyond :]
            yield from self._counted(data[: len(data) - beyond])
            return
        while True:
            with decoding("zip"):
                piece = self._inflate.decompress(data, PIECE)
            yield from self._counted(piece)
            data = b""
            if self._inflate.eof or self._inflate.needs_input:
                break
        self.unused = self._inflate.unused_data
        self.stored_bytes -= len(self.unused)

    def _counted(self, piece: bytes) -> Iterator[bytes]:
        if piece:
            self.crc = zlib.crc32(piece, self.crc)
            self.file_bytes += len(piece)
            yield piece

    def differs(self, crc: int, stored_bytes: int, file_bytes: int) -> bool:
        return (crc, stored_bytes, file_bytes) != (self.crc, self.stored_bytes, self.file_bytes)


class _Fields:
    """What a local header and a directory entry both have; sizes from the zip64 extra where it has them."""

    def __init__(self, common: bytes, extra: bytes, *, offset: int = 0) -> None:
        self.flags, self.method = struct.unpack_from("<HH", common)
        sizes: tuple[int, int, int] = struct.unpack_from("<III", common, 8)
        self.crc, self.stored_bytes, self.file_bytes = sizes
        self.offset = offset
        wide = iter(_zip64(extra))
        # Only what did not fit is there, in this order.
        if self.file_bytes == _ZIP64:
            self.file_bytes = next(wide, self.file_bytes)
        if self.stored_bytes == _ZIP64:
            self.stored_bytes = next(wide, self.stored_bytes)
        if self.offset == _ZIP64:
            self.offset = next(wide, self.offset)


def _zip64(extra: bytes) -> Iterator[int]:
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1:
            for at in range(4, min(4 + size, len(extra)) - 7, 8):
                yield int.from_bytes(extra[at : at + 8], "little")
            return
        extra = extra[4 + size :]


def _opened(header: bytearray) -> _Member | None:
    """The member, once its whole header is there."""
    if len(header) < 4:
        return None
    if not header.startswith(LOCAL):
        raise _not_one("it is empty" if header.startswith(EMPTY) else "it is one part of several")
    if len(header) < 30:
        return None
    name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
    if len(header) < 30 + name_bytes + extra_bytes:
        return None
    name = bytes(header[30 : 30 + name_bytes])
    fields = _Fields(bytes(header[6:26]), bytes(header[30 + name_bytes :][:extra_bytes]))
    if fields.flags & _ENCRYPTED:
        raise MirrorFailed(FailureReason.UNSUPPORTED, "the zip is encrypted")
    if fields.method not in {_STORED, _DEFLATED}:
        raise MirrorFailed(
            FailureReason.UNSUPPORTED,
            f"the zip is compressed by method {fields.method}; write it with deflate, or use zstd",
        )
    if fields.method == _STORED and fields.flags & _SIZES_FOLLOW:
        raise MirrorFailed(
            FailureReason.UNSUPPORTED, "the zip's file is stored without its size in front of it; deflate it"
        )
    if name.endswith(b"/"):
        raise _not_one("it holds a directory")
    return _Member(fields, name, 30 + name_bytes + extra_bytes)


def _descriptor(member: _Member, end: bytes) -> int:
    """How many bytes come between the member and what follows it; that this is the directory.

    Its signature is optional and its sizes have four or eight bytes: writers do as they like, so what fits is taken.
    """
    if not member.sizes_follow:
        fields = member.fields
        if member.differs(fields.crc, fields.stored_bytes, fields.file_bytes):
            raise _damaged("its file is not what its header says")
        _no_second(end)
        return 0
    for prefix in (_DESCRIPTOR, b""):
        for layout in ("<III", "<IQQ"):
            size = len(prefix) + struct.calcsize(layout)
            if len(end) >= size and end.startswith(prefix):
                if member.differs(*struct.unpack_from(layout, end, len(prefix))):
                    continue
                if not any(header.startswith(end[size : size + 4]) for header in (_CENTRAL, LOCAL)):
                    continue  # the first half of the longer layout reads like the shorter one where a size is 0
                _no_second(end[size:])
                return size
    if len(end) < _LONGEST_DESCRIPTOR:
        raise ends_early("zip")
    raise _damaged("its file is not what the descriptor says")


def _no_second(end: bytes) -> None:
    if end.startswith(LOCAL):
        raise _not_one("it holds more than one file")


def _compare_directory(member: _Member, directory: bytes) -> None:
    """The directory names this member and no other, and nothing follows it."""
    if len(directory) < 46 and _CENTRAL.startswith(directory[:4]):
        raise ends_early("zip")
    if not directory.startswith(_CENTRAL):
        raise _damaged("its directory is not where it should be")
    name_bytes, extra_bytes, comment_bytes = struct.unpack_from("<HHH", directory, 28)
    end = 46 + name_bytes + extra_bytes + comment_bytes
    if len(directory) < end:
        raise ends_early("zip")
    name, extra = directory[46 : 46 + name_bytes], directory[46 + name_bytes :][:extra_bytes]
    (offset,) = struct.unpack_from("<I", directory, 42)
    entry = _Fields(directory[8:28], extra, offset=offset)
    same = (entry.method, entry.offset, name) == (member.fields.method, 0, member.name)
    if not same or member.differs(entry.crc, entry.stored_bytes, entry.file_bytes):
        raise _damaged("its directory is not about its file")
    _compare_end(directory[end:])


def _compare_end(end: bytes) -> None:
    if end.startswith(_CENTRAL):
        raise _not_one("its directory names more than one file")
    if end.startswith(_END64) and len(end) >= 12:
        end = end[12 + int.from_bytes(end[4:12], "little") :]
    if end.startswith(_END64_LOCATOR):
        end = end[20:]
    if len(end) < 22:
        raise ends_early("zip")
    entries, comment_bytes = struct.unpack_from("<H8xH", end, 10)
    if not end.startswith(_END) or entries not in {1, 0xFFFF}:
        raise _damaged("its directory's end is not where it should be")
    if len(end) < 22 + comment_bytes:
        raise ends_early("zip")
    if len(end) > 22 + comment_bytes:
        raise _damaged("something else follows it")


def _not_one(why: str) -> MirrorFailed:
    return MirrorFailed(FailureReason.WRONG_FORMAT, f"a zip must hold exactly one file, but {why}")


def _damaged(how: str) -> MirrorFailed:
    return MirrorFailed(FailureReason.SOURCE_CORRUPT, f"the zip is damaged: {how}")
