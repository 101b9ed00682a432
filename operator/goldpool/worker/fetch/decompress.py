"""What was transferred, as the bytes of the image: expanded if it is compressed, else as it came.

The template's checksums are of the bytes that were transferred, its revision is of those that are published.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch import codecs, zipped
from goldpool.worker.fetch.policy import MirrorFailed

HEAD_BYTES: Final = 10
"""By so many first bytes a compression is recognised: never by a name, which says nothing about what is sent."""
_LEAST_TRANSFERRED: Final = 1 << 20
"""A short body may expand as far as one of a megabyte: the beginning of a disk is often empty."""


class Compression(StrEnum):
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"
    ZIP = "zip"


class _Expander(Protocol):
    def feed(self, data: bytes | memoryview) -> Iterator[bytes]: ...
    def finish(self) -> None: ...


def recognised(head: bytes) -> Compression | None:
    """What the body's first ``HEAD_BYTES`` bytes (or all of it, if it is shorter) say that it is.

    The more of a header is compared, the less likely a raw disk is mistaken for it.
    """
    if head.startswith(b"\x1f\x8b\x08") and len(head) > 3 and not head[3] & 0xE0:
        return Compression.GZIP
    if head.startswith(b"BZh") and head[4:10] in {b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"}:
        return Compression.BZIP2
    if head.startswith(b"\xfd7zXZ\0"):
        return Compression.XZ
    if head.startswith(codecs.ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return Compression.ZSTD
    if head.startswith((zipped.LOCAL, zipped.EMPTY, zipped.SPANNED)):
        return Compression.ZIP
    return None


@dataclass(frozen=True)
class Limits:
    """``amplification`` is the most bytes of image per byte transferred, over all of the body."""

    max_bytes: int
    amplification: int
    window_bytes: int

    @classmethod
    def of(cls, policy: FetchPolicy) -> "Limits":
        return cls(policy.max_bytes, policy.max_amplification, policy.max_window_bytes)


class Decoder:
    """Takes the body in pieces of any size and gives the image in pieces of at most ``codecs.PIECE`` bytes.

    A plain body comes out as the very objects that went in. Never more memory than a few pieces and the window, never
    more bytes than the limits allow: they are counted before a piece is given. ``MirrorFailed`` else.
    """

    def __init__(self, limits: Limits, total: int | None = None, *, continues_plain: bool = False) -> None:
        """``total`` bytes are announced; ``continues_plain``: the first bytes of this body came before, and were plain."""
        self.compression: Compression | None = None
        self.decided = continues_plain
        self.transferred = 0
        self.expanded = 0
        self._limits = limits
        self._total = total or 0
        self._head = b""
        self._expander: _Expander | None = None

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        self.transferred += len(data)
        if not self.decided:
            if self._head or len(data) < HEAD_BYTES:
                data = self._head = self._head + bytes(data)
                if len(data) < HEAD_BYTES:
                    return
            self._decide(bytes(data[:HEAD_BYTES]))
        if self._expander is None:
            if data:
                yield data
            return
        for piece in self._expander.feed(data):
            self._admit(len(piece))
            yield piece

    def finish(self) -> Iterator[bytes]:
        """The rest, after the body's last byte. ``TransferIncomplete`` if the compressed data do not end with it."""
        if not self.decided:
            head = self._head
            self._decide(head)
            if self._expander is None:
                if head:
                    yield head
                return
            yield from self._expander.feed(head)
        if self._expander is not None:
            self._expander.finish()

    def _decide(self, head: bytes) -> None:
        self.decided = True
        self._head = b""
        self.compression = recognised(head)
        if self.compression is not None:
            self._expander = _expander(self.compression, self._limits.window_bytes)

    def _admit(self, size: int) -> None:
        self.expanded += size
        if self.expanded > self._limits.max_bytes:
            raise MirrorFailed(
                FailureReason.TOO_LARGE,
                f"expands to more than the {self._limits.max_bytes} bytes that are allowed",
            )
        transferred = max(self.transferred, self._total, _LEAST_TRANSFERRED)
        if self.expanded > self._limits.amplification * transferred:
            raise MirrorFailed(
                FailureReason.UNSAFE_IMAGE,
                f"expands to {self.expanded} bytes and more, over {self._limits.amplification} times what is sent: "
                "a decompression bomb, or a disk that is almost empty",
            )


def _expander(compression: Compression, window_bytes: int) -> _Expander:
    match compression:
        case Compression.GZIP:
            return codecs.Members(codecs.gzip())
        case Compression.BZIP2:
            return codecs.Members(codecs.bzip2())
        case Compression.XZ:
            return codecs.Members(codecs.xz(window_bytes))
        case Compression.ZSTD:
            return codecs.Members(codecs.zstd(window_bytes))
        case Compression.ZIP:
            return zipped.Zip()
