"""Where a transfer's bytes go: to the file, through the digests, under the limits."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from goldpool.contracts.operations import FailureReason, FetchPolicy
from goldpool.worker import publish
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.verify import Digests

CHUNK: Final = 1 << 20
_ZEROS: Final = bytes(CHUNK)
_SPACE_INTERVAL: Final = 64 << 20


@dataclass(frozen=True)
class Room:
    """What a transfer may use. ``free_bytes`` asks the pool anew."""

    policy: FetchPolicy
    free_bytes: Callable[[], int]

    def admit(self, total: int) -> None:
        """Before the first byte, when the server said how many come."""
        if total > self.policy.max_bytes:
            raise _too_large(f"{total} bytes", self.policy)
        free = self.free_bytes()
        if total > free - self.policy.reserve_bytes:
            raise OperationFailed(
                FailureReason.POOL_FULL,
                f"{total} bytes to fetch, {free} bytes free, of which {self.policy.reserve_bytes} stay free",
            )

    def still(self, received: int) -> None:
        """Counted, because a server need not say the truth, nor anything."""
        if received > self.policy.max_bytes:
            raise _too_large(f"more than {received} bytes", self.policy)

    def left(self) -> None:
        """Others write to the pool too; a full one pauses every guest that lives there."""
        if (free := self.free_bytes()) < self.policy.reserve_bytes:
            raise OperationFailed(
                FailureReason.POOL_FULL, f"{free} bytes are left, {self.policy.reserve_bytes} must stay free"
            )


def _too_large(what: str, policy: FetchPolicy) -> MirrorFailed:
    return MirrorFailed(FailureReason.TOO_LARGE, f"{what}, at most {policy.max_bytes} are allowed")


class Sink:
    """A new file that receives one body from its first byte. Zeros become holes: images are mostly empty."""

    def __init__(self, fd: int, digests: Digests, room: Room) -> None:
        self._fd = fd
        self._room = room
        self._asked_at = 0
        self.digests = digests
        self.received = 0

    def expect(self, total: int | None) -> None:
        """``TooLarge`` or ``PoolFull`` before anything is written."""
        if total is None:
            self._room.left()
        else:
            self._room.admit(total)

    def write(self, data: bytes) -> None:
        """At most ``CHUNK`` bytes."""
        self._room.still(self.received + len(data))
        if self.received - self._asked_at >= _SPACE_INTERVAL:
            self._asked_at = self.received
            self._room.left()
        self.digests.update(data)
        if not _ZEROS.startswith(data):
            publish.write_all(self._fd, data, self.received)
        self.received += len(data)

    def close(self) -> None:
        """The file has its length, also if it ends in a hole."""
        os.ftruncate(self._fd, self.received)
