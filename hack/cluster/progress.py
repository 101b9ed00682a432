"""What the commands say while they work: one line per finished step, with the seconds since the start."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO


class Progress:
    """Prints whole lines from any thread. Steps are told in the past tense, when they are done."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._start = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def done(self, step: str) -> None:
        with self._lock:
            print(f"{self.elapsed:6.1f}s  {step}", file=self._out, flush=True)
