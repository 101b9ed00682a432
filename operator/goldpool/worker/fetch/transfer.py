"""One body over HTTP or HTTPS, whole or not at all."""

from collections.abc import Callable, Iterator

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import FailureReason, FetchPolicy
from goldpool.worker.fetch.connection import Connections, seconds_left, spoken
from goldpool.worker.fetch.policy import MirrorFailed, refusal
from goldpool.worker.fetch.sink import CHUNK, Sink

Told = Callable[[int, int | None], None]
"""Called with the bytes received and the total (None if the server did not say)."""


def transfer(connections: Connections, url: str, sink: Sink, deadline: float, told: Told) -> None:
    """All of the body is in the sink, as many bytes as were announced; else ``MirrorFailed``.

    A full or failing pool is ``OperationFailed`` or ``OSError``: no other mirror helps. ``deadline`` is of
    ``time.monotonic``.
    """
    response = connections.open(url, deadline=deadline)
    try:
        _judge(response)
        _receive(response, sink, connections.policy, deadline, told)
    finally:
        response.close()


def _judge(response: BaseHTTPResponse) -> None:
    if (reason := refusal(response.status)) is not None:
        raise MirrorFailed(reason, f"answered {response.status} {response.reason or ''}".rstrip())
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"sent the body with Content-Encoding {encoding}")


def _receive(
    response: BaseHTTPResponse, sink: Sink, policy: FetchPolicy, deadline: float, told: Told
) -> None:
    total = getattr(response, "length_remaining", None)  # None too for a chunked body
    sink.expect(total)
    told(0, total)
    for data in _chunks(response):
        sink.write(data)
        told(sink.received, total)
        seconds_left(deadline, policy)
    if total is not None and sink.received != total:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"{sink.received} of {total} bytes arrived")
    if sink.received == 0:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, "the body is empty")
    sink.close()


def _chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """What each read of the socket brings: waiting for a full buffer, a server that drips would outlive any deadline."""
    while True:
        try:
            data = response.read1(CHUNK)
        except (HTTPError, OSError) as error:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, spoken(error)) from error
        if not data:
            return
        yield data
