"""How far a transfer is and how fast, told to whoever follows the log."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from goldpool.contracts.report import Progress

INTERVAL_SECONDS: Final = 1.0
RATE_SECONDS: Final = 10.0
"""The rate is that of so many last seconds: long enough to be read, short enough to show a source that slows down."""


def to_stdout(progress: Progress) -> None:
    """One line, ``{"progress": {...}}``, flushed; a closed stdout stops no transfer."""
    try:
        print(f'{{"progress": {progress.to_json()}}}', flush=True)
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
        self._mirror = ""
        self._seen: deque[tuple[float, int]] = deque()

    def report(self, done_bytes: int, total_bytes: int | None, mirror: str) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + INTERVAL_SECONDS
        rate = self._rate(now, done_bytes, mirror)
        self._tell(Progress(done_bytes=done_bytes, total_bytes=total_bytes, mirror=mirror, rate=rate))

    def _rate(self, now: float, done: int, mirror: str) -> int | None:
        """Of one transfer only: what was there when it began came at no rate."""
        if mirror != self._mirror or (self._seen and done < self._seen[-1][1]):
            self._mirror = mirror
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return int((done - before) / (now - since)) if now > since else None
