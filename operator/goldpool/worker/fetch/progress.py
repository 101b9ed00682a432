"""How far a transfer is, told to whoever follows the log."""

import time
from collections.abc import Callable
from typing import Final

from goldpool.contracts.operations import Progress

INTERVAL_SECONDS: Final = 1.0


def to_stdout(progress: Progress) -> None:
    """One line, ``{"progress": {...}}``, flushed; a closed stdout stops no transfer."""
    try:
        print(f'{{"progress": {progress.model_dump_json()}}}', flush=True)
    except (OSError, ValueError):
        return


class Reporter:
    """Tells the progress at most once per ``INTERVAL_SECONDS``, beginning with the first."""

    def __init__(
        self,
        tell: Callable[[Progress], None] = to_stdout,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._next = float("-inf")

    def report(self, done_bytes: int, total_bytes: int | None, mirror: str) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._tell(Progress(done_bytes=done_bytes, total_bytes=total_bytes, mirror=mirror))
