"""How many bytes a transfer may bring."""

from collections.abc import Callable
from dataclasses import dataclass

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.policy import MirrorFailed


@dataclass(frozen=True)
class Room:
    """What a transfer may use. ``free_bytes`` asks the pool anew; ``exactly`` is what a metalink says the body has."""

    policy: FetchPolicy
    free_bytes: Callable[[], int]
    exactly: int | None = None

    def expect(self, total: int | None, held: int = 0) -> None:
        """Before the first byte. ``held`` bytes are on the pool already; ``total`` is None if the server gave none.

        ``MirrorFailed`` (TooLarge, SizeMismatch) or ``OperationFailed`` (PoolFull).
        """
        if total is None:
            self.left()
            return
        if total > self.policy.max_bytes:
            raise _too_large(f"{total} bytes", self.policy)
        if self.exactly is not None and total != self.exactly:
            raise wrong_size(f"{total} bytes", self.exactly)
        free = self.free_bytes()
        if total - held > free - self.policy.reserve_bytes:
            raise OperationFailed(
                FailureReason.POOL_FULL,
                f"{total - held} bytes to fetch, {free} bytes free, of which {self.policy.reserve_bytes} stay free",
            )

    def still(self, received: int) -> None:
        """Counted, because a server need not say the truth, nor anything."""
        if received > self.policy.max_bytes:
            raise _too_large(f"more than {self.policy.max_bytes} bytes", self.policy)

        if self.exactly is not None and received > self.exactly:
            raise wrong_size(f"more than {self.exactly} bytes", self.exactly)

    def left(self) -> None:
        """Others write to the pool too; a full one pauses every guest that lives there."""
        if (free := self.free_bytes()) < self.policy.reserve_bytes:
            raise OperationFailed(
                FailureReason.POOL_FULL, f"{free} bytes are left, {self.policy.reserve_bytes} must stay free"
            )


def _too_large(what: str, policy: FetchPolicy) -> MirrorFailed:
    return MirrorFailed(FailureReason.TOO_LARGE, f"{what}, at most {policy.max_bytes} are allowed")


def wrong_size(found: str, said: int) -> MirrorFailed:
    """What the mirror has is another file, and it will have the same the next time."""
    return MirrorFailed(FailureReason.SIZE_MISMATCH, f"{found}, the metalink says {said}", found)
