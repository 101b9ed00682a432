"""One body over HTTP or HTTPS: from its beginning, or from where an earlier transfer of the same version ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import PERMANENT, Checksum, FailureReason, FetchPolicy
from goldpool.worker.fetch.connection import Connections, seconds_left
from goldpool.worker.fetch.partial import Partial, TargetOf
from goldpool.worker.fetch.partials import Partials
from goldpool.worker.fetch.policy import MirrorFailed, origin, refusal
from goldpool.worker.fetch.reading import reader
from goldpool.worker.fetch.resume import objection, range_headers, version_of
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.sink import Sink, SparseFile
from goldpool.worker.fetch.speed import Bandwidth, MinimumSpeed
from goldpool.worker.fetch.verify import Digests
from goldpool.worker.log import log

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
    target: TargetOf = SparseFile

    def digests(self) -> Digests:
        return Digests(self.checksums)


def transfer(connections: Connections, url: str, common: Transfer, told: Told) -> Partial:
    """All of the body is on the pool, as many bytes as were announced, and hashed; else ``MirrorFailed``, and what
    arrived is kept for the next try if the server can continue it.

    A full or failing pool is ``OperationFailed`` or ``OSError``: no other mirror helps.
    """
    partials = common.partials
    try:
        partial = partials.restored(url, common.digests(), common.room, told)
        if partial is not None and partial.complete:
            return partial
        return _transferred(connections, url, partial, common, told)
    except MirrorFailed as failed:
        if (left := partials.of(url)) is not None and (failed.reason in PERMANENT or not left.worth_keeping):
            partials.discard(left)
        raise


def _transferred(
    connections: Connections, url: str, partial: Partial | None, common: Transfer, told: Told
) -> Partial:
    headers = {} if partial is None else range_headers(partial.version, partial.received)
    response = connections.open(url, headers=headers, deadline=common.deadline)
    try:
        if partial is not None:
            why = objection(partial.version, partial.received, response.status, response.headers)
            if why is None:
                log("transfer continued", mirror=origin(url), received=partial.received)
                _receive(response, partial, common, told)
                return partial
            log("transfer not continued", mirror=origin(url), received=partial.received, why=why)
            if response.status in {206, 416}:  # the server's answer to the range, of no use
                response.close()
                response = connections.open(url, deadline=common.deadline)
        total = _total_of_full_body(response)
        partial = common.partials.begin(url, version_of(response.headers, total), common.room)
        _receive(response, partial, common, told)
        return partial
    finally:
        response.close()


def _total_of_full_body(response: BaseHTTPResponse) -> int | None:
    if (reason := refusal(response.status)) is not None:
        raise MirrorFailed(reason, f"answered {response.status} {response.reason or ''}".rstrip())
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"sent the body with Content-Encoding {encoding}")
    total: int | None = getattr(response, "length_remaining", None)  # None too for a chunked body
    return total


def _receive(response: BaseHTTPResponse, partial: Partial, common: Transfer, told: Told) -> None:
    total = partial.version.total
    digests = partial.digests or common.digests()
    with partial.receiving(digests, common.room, common.target) as sink:
        told(sink.received, total)
        _read(response, sink, total, common, told)
        if total is not None and sink.received != total:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"{sink.received} of {total} bytes arrived")
        if sink.received == 0:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, "the body is empty")
        sink.finish()
        told(sink.received, total)


def _read(response: BaseHTTPResponse, sink: Sink, total: int | None, common: Transfer, told: Told) -> None:
    """Until the server has no more, or ``total`` bytes are there: what comes behind them is nobody's."""
    policy = common.policy
    read = reader(response)
    slowest = MinimumSpeed(policy.min_bytes_per_second, policy.min_speed_seconds)
    fastest = Bandwidth(policy.max_bytes_per_second)
    look_at = now = time.monotonic()
    while total is None or sink.received < total:
        space = sink.space()
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
