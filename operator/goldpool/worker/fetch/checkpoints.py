"""What of a file is durable while it grows.

Beside the transfer, in a thread of its own: the disk works from the beginning on instead of at the end, and who is
killed has lost a second's work.
"""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

STEP_BYTES: Final = 32 << 20
INTERVAL_SECONDS: Final = 1.0


class Checkpoints:
    """A context manager. ``durable`` is called with a number of bytes that no power cut takes any more: after so many
    more bytes or so much time, whichever comes first; never again once the block was left. ``failed`` is called, in
    place of it, with what the disk said."""

    def __init__(
        self, fd: int, start: int, durable: Callable[[int], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._fd = fd
        self._durable, self._failed = durable, failed
        self._written = self._synced = start
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._wake.set()
        try:
            self._thread.join()
        except BaseException:
            self._thread.join()  # as for a pipeline's threads: the descriptor is closed after this
            raise

    def written(self, offset: int) -> None:
        """The file has the bytes up to here. From any one thread."""
        self._written = offset
        if offset - self._synced >= STEP_BYTES:
            self._wake.set()

    def _run(self) -> None:
        try:
            while not self._ended:
                self._wake.wait(INTERVAL_SECONDS)
                self._wake.clear()
                if (offset := self._written) > self._synced and not self._ended:
                    os.fdatasync(self._fd)
                    self._synced = offset
                    self._durable(offset)
        except BaseException as error:
            self._failed(error)
