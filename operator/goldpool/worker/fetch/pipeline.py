"""A body's bytes on their way through threads: one fills buffers, the others take what it filled, one after the other.

Hashing and writing release the interpreter's lock, so a transfer takes as long as the slowest of its parts and not as
long as their sum. The buffers go round: memory is bounded, and a slow disk slows the source down.
"""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

CHUNK: Final = 1 << 20
_SPARE_BUFFERS: Final = 4
"""Beside one for each stage: so much may a part be ahead of the next one. 16 of them are no faster."""

Stage = Callable[[memoryview], None]
"""Sees all bytes, in order, at most ``CHUNK`` at once; the memory is used again when it returns."""

_Filled = tuple[memoryview, int]


class Pipeline:
    """What was filled before ``drain`` went through every stage, in order, unless one of them failed.

    Only the thread that made it may fill and drain; it may be interrupted anywhere by an exception of a signal.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._current: memoryview | None = None
        self._used = 0
        self._error: BaseException | None = None
        for _ in range(_SPARE_BUFFERS + len(stages)):
            self._free.put(memoryview(bytearray(CHUNK)))
        queues: list[SimpleQueue[_Filled | None]] = [SimpleQueue() for _ in stages]
        self._first = queues[0]
        self._threads = [
            threading.Thread(
                target=self._run, args=(stage, queues[place], queues[place + 1 : place + 2]), daemon=True
            )
            for place, stage in enumerate(stages)
        ]
        for thread in self._threads:
            thread.start()

    def space(self) -> memoryview:
        """Memory to fill, never empty. Waits for the stages; raises what one of them raised."""
        if self._current is None:
            self._current = self._free.get()
            self._used = 0
        if self._error is not None:
            raise self._error
        return self._current[self._used :]

    def filled(self, count: int) -> None:
        """The first ``count`` bytes of what ``space`` gave are the next ones."""
        self._used += count
        if self._used == CHUNK:
            self._push()

    def drain(self) -> None:
        """All stages have seen everything, and their threads have ended. Raises what one of them raised."""
        self.stop()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """The same without raising, for the way out; a second time it does nothing."""
        if not self._threads:
            return
        try:
            self._end()
        except BaseException:
            # A signal's, which comes once. The threads must not outlive the file: its descriptor may be another one's.
            self._end()
            raise

    def fail(self, error: BaseException) -> None:
        """From any thread: the pipeline's user hears of it at its next call, and the stages see no more bytes."""
        if self._error is None:
            self._error = error

    @property
    def ended_well(self) -> bool:
        return self._error is None and not self._threads

    def _end(self) -> None:
        self._push()
        self._first.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _push(self) -> None:
        current, used, self._current, self._used = self._current, self._used, None, 0
        if current is not None and used:
            self._first.put((current, used))

    def _run(
        self,
        stage: Stage,
        taken: "SimpleQueue[_Filled | None]",
        following: "Sequence[SimpleQueue[_Filled | None]]",
    ) -> None:
        while (filled := taken.get()) is not None:
            buffer, used = filled
            if self._error is None:
                try:
                    stage(buffer[:used])
                except BaseException as error:
                    self.fail(error)
            # Also after a failure: whoever waits for a free buffer must hear of it, not hang.
            if following:
                following[0].put(filled)
            else:
                self._free.put(buffer)
        if following:
            following[0].put(None)
