"""Decoders of gzip, bzip2, xz and zstd: any number of members one after the other, in bounded memory.

The reference tools decode joined members (``cat a.gz b.gz``) and so does this. They part ways over what follows the last
one: gzip warns and bzip2 is silent about bytes that begin no member, xz and zstd fail. Here they are always an error,
because a member whose first bytes were damaged would otherwise be dropped, and half an image taken for the whole. Zeros
after it are the padding of blocks and tapes: any number of them for gzip and bzip2, multiples of four for xz.
"""

import bz2
import contextlib
import functools
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.policy import MirrorFailed

PIECE: Final = 1 << 20
"""Most bytes that one step of a decoder gives."""
_SLICE: Final = 64 << 10
_FIRST_SLICE: Final = 512
_XZ_OVERHEAD: Final = 2 << 20
"""What xz needs beside its dictionary, whose sizes are 2^n and 2^n + 2^(n-1): no larger one fits in because of it."""

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"
"""After a byte from 0x50 to 0x5f: a frame of anybody's own data, as pzstd writes it (RFC 8878, 3.1.2)."""


class Stream(Protocol):
    """One member being decoded: the surface that bz2, lzma and zstd share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Inflate:
    """zlib with that surface. ``window_bits``: 31 expects gzip's header and trailer, -15 nothing but deflate."""

    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # A full piece may have left more in zlib's own state, without a byte of input unread.
        self.needs_input = not self._zlib.unconsumed_tail and len(piece) < max_length
        return piece


@dataclass(frozen=True)
class Codec:
    """``begins`` judges a member's first bytes: True to go on, False to wait for more of them, None if they begin none."""

    name: str
    begins: Callable[[bytes], bool | None]
    open: Callable[[], Stream]
    padding: int = 0
    """Zeros may follow a member in multiples of this; 0 for never."""
    window_bytes: int = 0
    """The most that its decoder was allowed."""


class Members:
    """All members of one body. ``feed`` gives at most ``PIECE`` bytes at a time; ``finish`` says whether all of it came.

    ``MirrorFailed``: SourceCorrupt, TransferIncomplete, or Unsupported where more memory is asked for than allowed.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._stream: Stream | None = None
        self._head = b""
        self._padding = 0
        self._members = 0
        self._slice = _FIRST_SLICE

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """In slices: what follows the end of a member is copied, and there may be thousands of them in one buffer."""
        at = 0
        while at < len(data):
            piece = bytes(data[at : at + self._slice])
            at += len(piece)
            self._slice = min(2 * self._slice, _SLICE)
            yield from self._decode(piece)

    def finish(self) -> None:
        if self._stream is not None or self._head:
            raise ends_early(self._codec.name)
        self._padded()

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream is None:
                data = self._begin(data)
                if self._stream is None:
                    return
            stream = self._stream
            with decoding(self._codec.name, self._codec.window_bytes):
                piece = stream.decompress(data, PIECE)
            data = b""
            if piece:
                yield piece
            if stream.eof:
                data = stream.unused_data
                self._stream = None
                self._members += 1
                self._slice = _FIRST_SLICE
            elif stream.needs_input:
                return

    def _begin(self, data: bytes) -> bytes:
        """What the next member's decoder is to be given, if it could be opened."""
        if self._members and self._codec.padding and not self._head:
            stripped = data.lstrip(b"\0")
            self._padding += len(data) - len(stripped)
            data = stripped
        self._head += data
        if not self._head:
            return b""
        begins = self._codec.begins(self._head)
        if begins is None:
            raise _corrupt(f"the {self._codec.name} data are followed by something else")
        if not begins:
            return b""
        self._padded()
        self._padding = 0
        data, self._head = self._head, b""
        self._stream = self._codec.open()
        return data

    def _padded(self) -> None:
        if self._codec.padding and self._padding % self._codec.padding:
            raise _corrupt(f"{self._padding} zeros follow the {self._codec.name} data")


@contextlib.contextmanager
def decoding(name: str, window_bytes: int = 0) -> Iterator[None]:
    """What a decoder raises in the block, as what it means. None of it is the pool's: bz2 raises ``OSError``, too."""
    try:
        yield
    except Exception as error:
        # lzma has no other way to tell its memory limit from the rest.
        limited = isinstance(error, lzma.LZMAError) and "emory usage limit" in str(error)
        if limited or isinstance(error, MemoryError):
            raise MirrorFailed(
                FailureReason.UNSUPPORTED,
                f"the {name} data need a window above the {window_bytes >> 10} KiB that are allowed: "
                "compress the image with a smaller one",
            ) from error
        raise _corrupt(f"the {name} data are damaged: {error}") from error


def ends_early(name: str) -> MirrorFailed:
    return MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"the {name} data end too early")


def _corrupt(message: str) -> MirrorFailed:
    return MirrorFailed(FailureReason.SOURCE_CORRUPT, message)


def window_too_large(name: str, wanted: int, allowed: int) -> MirrorFailed:
    return MirrorFailed(
        FailureReason.UNSUPPORTED,
        f"the {name} data need a window of {wanted >> 10} KiB, at most {allowed >> 10} KiB are allowed: "
        "compress the image with a smaller one",
    )


def gzip() -> Codec:
    return Codec("gzip", functools.partial(_magic, b"\x1f\x8b"), functools.partial(Inflate, 31), padding=1)


def bzip2() -> Codec:
    return Codec("bzip2", functools.partial(_magic, b"BZh"), bz2.BZ2Decompressor, padding=1)


def xz(window_bytes: int) -> Codec:
    """``Unsupported`` for a dictionary above ``window_bytes``."""

    def opened() -> Stream:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=window_bytes + _XZ_OVERHEAD)

    return Codec("xz", functools.partial(_magic, b"\xfd7zXZ\0"), opened, padding=4, window_bytes=window_bytes)


def zstd(window_bytes: int) -> Codec:
    """``Unsupported`` for a window above ``window_bytes``, of any frame, and for a frame that needs a dictionary."""
    from backports import zstd as library  # few sources need it

    def opened() -> Stream:
        # What the frame's header says was compared exactly; the decoder knows powers of two only.
        log = max((window_bytes - 1).bit_length(), 10)
        return library.ZstdDecompressor(options={library.DecompressionParameter.window_log_max: log})

    def begins(head: bytes) -> bool | None:
        if (known := _magic(ZSTD_MAGIC, head)) is None:
            return _skippable(head)
        window = zstd_window(head) if known else None
        if window is None:
            return False
        if window > window_bytes:
            raise window_too_large("zstd", window, window_bytes)
        return True

    return Codec("zstd", begins, opened, window_bytes=window_bytes)


def _magic(magic: bytes, head: bytes) -> bool | None:
    if head.startswith(magic):
        return True
    return False if magic.startswith(head) else None


def _skippable(head: bytes) -> bool | None:
    if 0x50 <= head[0] <= 0x5F:
        return _magic(_ZSTD_SKIPPABLE, head[1:4])
    return None


def zstd_window(head: bytes) -> int | None:
    """Bytes of memory that a frame's header asks for; None while the header is not all there. RFC 8878, 3.1.1.1."""
    if len(head) < 5:
        return None
    descriptor = head[4]
    single_segment = bool(descriptor & 0x20)
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    size_bytes = (int(single_segment), 2, 4, 8)[descriptor >> 6]
    at = 5 + (not single_segment)
    if len(head) < at + dictionary_bytes + size_bytes:
        return None
    if any(head[at : at + dictionary_bytes]):
        raise MirrorFailed(FailureReason.UNSUPPORTED, "the zstd data need a dictionary")
    if single_segment:  # all of the frame's content is the window
        size = int.from_bytes(head[at + dictionary_bytes :][:size_bytes], "little")
        return size + 256 if size_bytes == 2 else size
    base = 1 << (10 + (head[5] >> 3))
    return base + base // 8 * (head[5] & 7)
