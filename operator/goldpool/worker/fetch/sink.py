"""Where a transfer's bytes go: through the digests, to the file, under the limits."""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from goldpool.worker import publish
from goldpool.worker.fetch.pipeline import Pipeline
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.verify import Digests

_SPACE_INTERVAL: Final = 64 << 20
_BLOCK: Final = 64 << 10
"""Written at once, or left out when it is zeros: QEMU's default cluster, and a whole number of any file system's blocks.

Writes of a mebibyte take twice the CPU: Linux backs them with contiguous memory of that size, whose first use may be dear
in a virtual machine (docs/performance.md, Imports).
"""
_ZEROS: Final = bytes(_BLOCK)


class Target(Protocol):
    """What makes a file of a body's bytes. Called in a thread of its own, from the first byte on."""

    @property
    def resumable(self) -> bool:
        """So far the file's bytes are the body's: another transfer may go on at its end."""

    @property
    def revision(self) -> str | None:
        """The sha256 of the finished file; None when it is the body's."""

    def write(self, data: memoryview) -> None:
        """At most ``pipeline.CHUNK`` bytes; the memory is used again afterwards."""

    def finish(self) -> None:
        """The body is complete; the file is too when this returns."""


class SparseFile:
    """Bytes go to the end of what is there. Zeros become holes: images are mostly empty."""

    def __init__(self, fd: int, length: int = 0) -> None:
        self._fd = fd
        self.length = length
        self.resumable = True
        self.revision: str | None = None

    def write(self, data: memoryview) -> None:
        start = 0
        while start < len(data):
            # Counted from the file's beginning, whatever the pieces it comes in.
            block = data[start : start + _BLOCK - self.length % _BLOCK]
            if not _ZEROS.startswith(block):
                publish.write_all(self._fd, block, self.length)
            self.length += len(block)
            start += len(block)

    def finish(self) -> None:
        """The file has its length, also if it ends in a hole."""
        os.ftruncate(self._fd, self.length)


class Sink:
    """Receives one body. A context manager: when it is left, all that was received is hashed and written, or failed.

    ``written`` is called in the writing thread with the number of the body's bytes that the target has.
    """

    def __init__(
        self,
        target: Target,
        digests: Digests,
        room: Room | None = None,
        *,
        start: int = 0,
        written: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._target = target
        self._room = room
        self._asked_at = start
        self._written = written
        self._offset = start
        self.digests = digests
        self.received = start

    def __enter__(self) -> Self:
        self._pipeline = Pipeline((*self.digests.stages(), self._write))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.stop()

    def space(self) -> memoryview:
        """Memory for the next bytes, at least one. Raises what hashing or writing met."""
        return self._pipeline.space()

    def filled(self, count: int) -> None:
        """``count`` bytes of that memory are the body's next ones."""
        if self._room is not None:
            self._room.still(self.received + count)
            if self.received - self._asked_at >= _SPACE_INTERVAL:
                self._asked_at = self.received
                self._room.left()
        self._pipeline.filled(count)
        self.received += count

    def write(self, data: bytes | memoryview) -> None:
        """For who has the bytes already."""
        left = memoryview(data)
        while left:
            space = self.space()
            count = min(len(left), len(space))
            space[:count] = left[:count]
            self.filled(count)
            left = left[count:]

    def finish(self) -> None:
        """The body is complete: so is the file, and ``digests`` are of all of it."""
        self._pipeline.drain()
        self._target.finish()

    def fail(self, error: BaseException) -> None:
        """From another thread: who fills hears of it at its next call."""
        self._pipeline.fail(error)

    @property
    def intact(self) -> bool:
        """Left, with all that was received in the target and in the digests, and in nothing else."""
        return self._offset == self.received and self._pipeline.ended_well

    def _write(self, data: memoryview) -> None:
        self._target.write(data)
        self._offset += len(data)
        self._written(self._offset)
