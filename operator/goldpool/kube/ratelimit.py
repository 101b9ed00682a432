"""A token bucket: an upper bound on how fast Goldpool writes, whatever its controllers wish for."""

import asyncio
import time
from collections.abc import Callable


class TokenBucket:
    """At most ``burst`` passes at once and ``rate`` per second in the long run, first come, first served.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a token bucket needs a rate and a burst, got {rate} and {burst}")
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Takes one token, going into debt if need be; seconds until it may be used."""
        self._refill()
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)

    def try_take(self) -> bool:
        """Takes a token only if there is one now."""
        self._refill()
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    async def wait(self) -> None:
        delay = self.reserve()
        if not delay:
            return
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            # A cancelled writer must not make those behind it wait for a request that is never sent.
            self._tokens = min(self._burst, self._tokens + 1.0)
            raise

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._rate)
        self._filled_at = now
