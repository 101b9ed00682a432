"""A body on its way from any source to the pool: read until its end, within the limits of time and speed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from goldpool.contracts.operations import Checksum, FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.connection import seconds_left
from goldpool.worker.fetch.partial import Partial, TargetOf, plain
from goldpool.worker.fetch.partials import Partials
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.reading import Reader
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.sink import Sink
from goldpool.worker.fetch.speed import Bandwidth, MinimumSpeed
from goldpool.worker.fetch.verify import Digests

LOOK_SECONDS = 0.1
"""Between two looks at the clock's limits and two reports of progress."""

Told = Callable[[int, int | None], None]
"""Called with the bytes received and the total (None if the server did not say)."""


@dataclass(frozen=True)
class Transfer:
    """What all transfers of one Fetch have in common. ``deadline`` is of ``time.monotonic``."""

    policy: FetchPolicy
    partials: Partials
    room: Room
    checksums: tuple[Checksum, ...]
    deadline: float
    target: TargetOf = plain

    def digests(self) -> Digests:
        return Digests(self.checksums)


def receive(read: Reader, partial: Partial, common: Transfer, told: Told) -> None:
    """``partial`` is complete: all of the body is in it, as many bytes as were announced; else ``MirrorFailed``, and
    what arrived is in it."""
    total = partial.version.total
    digests = partial.digests or common.digests()
    with partial.receiving(digests, common.room, common.target) as sink:
        told(sink.received, total)
        _read(read, sink, total, common, told)
        if total is not None and sink.received != total:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"{sink.received} of {total} bytes arrived")
        if sink.received == 0:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, "the body is empty")
        sink.finish()
        told(sink.received, total)


def _read(read: Reader, sink: Sink, total: int | None, common: Transfer, told: Told) -> None:
    """Until the server has no more, or ``total`` bytes are there: what comes behind them is nobody's."""
    policy = common.policy
    slowest = MinimumSpeed(policy.min_bytes_per_second, policy.min_speed_seconds)
    fastest = Bandwidth(policy.max_bytes_per_second)
    look_at = now = time.monotonic()
    while total is None or sink.received < total:
        space = sink.space()[: fastest.piece]
        began = time.monotonic()
        count = read(space if total is None else space[: total - sink.received])
        now = time.monotonic()
        if count == 0:
            return
        sink.filled(count)
        if (why := slowest.too_slow(now - began, count)) is not None:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, why)
        if (pause := fastest.pause(now, count)) > 0:
            time.sleep(pause)
        if now >= look_at:
            look_at = now + LOOK_SECONDS
            told(sink.received, total)
            seconds_left(common.deadline, policy)
