"""How slow a mirror may be, and how fast."""

from dataclasses import dataclass, field

from goldpool.worker.fetch.pipeline import CHUNK


@dataclass
class MinimumSpeed:
    """Judges a mirror by windows of ``window_seconds`` of waiting for it: the time that our own disk takes, or that a
    bandwidth limit makes us pause, is not its fault."""

    bytes_per_second: int
    window_seconds: float
    _bytes: int = field(default=0, init=False)
    _seconds: float = field(default=0.0, init=False)

    def too_slow(self, waited_seconds: float, received: int) -> str | None:
        """Why it is given up, for people; None while it is fast enough. Told of each read."""
        self._seconds += waited_seconds
        self._bytes += received
        if self._seconds < self.window_seconds:
            return None
        rate, seconds = self._bytes / self._seconds, self._seconds
        self._bytes, self._seconds = 0, 0.0
        if rate >= self.bytes_per_second:
            return None
        return f"{rate:.0f} bytes a second over {seconds:.0f} s, at least {self.bytes_per_second} are wanted"


@dataclass
class Bandwidth:
    """Spreads bytes over time; 0 is no limit. What was not used is not saved up for more than ``_CREDIT_SECONDS``."""

    bytes_per_second: int
    _free_at: float = field(default=float("-inf"), init=False)

    @property
    def piece(self) -> int:
        """So many bytes at once are a pause of a quarter of a second, in which nobody looks at the clock."""
        return max(1, int(self.bytes_per_second * _CREDIT_SECONDS)) if self.bytes_per_second > 0 else CHUNK

    def pause(self, now: float, received: int) -> float:
        """Seconds to wait after so many bytes."""
        if self.bytes_per_second <= 0:
            return 0.0
        self._free_at = max(self._free_at, now - _CREDIT_SECONDS) + received / self.bytes_per_second
        return max(0.0, self._free_at - now)


_CREDIT_SECONDS = 0.25
