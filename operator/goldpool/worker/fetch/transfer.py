"""One body over HTTP or HTTPS, whole or not at all.

Redirects are followed here and not by urllib3, because each hop has to pass the policy; no credentials are
sent anywhere, and the environment's proxies and .netrc are not looked at.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.exceptions import TimeoutError as ConnectionTimeoutError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import FailureReason, FetchPolicy
from goldpool.worker.fetch.policy import REDIRECTS, MirrorFailed, forbidden, next_hop, refusal
from goldpool.worker.fetch.sink import CHUNK, Sink

_HEADERS: Final = {
    "User-Agent": "goldpool",
    "Accept": "*/*",
    # What is stored and hashed must be the file, not a server's compression of it.
    "Accept-Encoding": "identity",
}

Told = Callable[[int, int | None], None]
"""Called with the bytes received and the total (None if the server did not say)."""


def transfer(url: str, sink: Sink, policy: FetchPolicy, deadline: float, told: Told) -> None:
    """All of the body is in the sink, as many bytes as were announced; else ``MirrorFailed``.

    A full or failing pool is ``OperationFailed`` or ``OSError``: no other mirror helps. ``deadline`` is of
    ``time.monotonic``.
    """
    with urllib3.PoolManager(retries=False) as connections:
        response = _opened(connections, url, policy, deadline)
        try:
            _receive(response, sink, policy, deadline, told)
        finally:
            response.close()


def _opened(
    connections: urllib3.PoolManager, url: str, policy: FetchPolicy, deadline: float
) -> BaseHTTPResponse:
    if (objection := forbidden(url)) is not None:
        raise MirrorFailed(FailureReason.UNSUPPORTED, objection)
    hops = 0
    while True:
        response = _request(connections, url, policy, deadline)
        if response.status not in REDIRECTS:
            break
        response.close()
        url = next_hop(url, response.headers.get("Location"), hops, policy.max_redirects)
        hops += 1
    if (reason := refusal(response.status)) is not None:
        response.close()
        raise MirrorFailed(reason, f"answered {response.status} {response.reason or ''}".rstrip())
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        response.close()
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"sent the body with Content-Encoding {encoding}")
    return response


def _request(
    connections: urllib3.PoolManager, url: str, policy: FetchPolicy, deadline: float
) -> BaseHTTPResponse:
    left = _left(deadline, policy)
    timeout = urllib3.Timeout(connect=min(policy.connect_seconds, left), read=min(policy.idle_seconds, left))
    try:
        return connections.request(
            "GET",
            url,
            headers=_HEADERS,
            timeout=timeout,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    except LocationValueError as error:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, "the URL is not valid") from error
    except (HTTPError, OSError, UnicodeError) as error:
        raise MirrorFailed(FailureReason.SOURCE_UNREACHABLE, _spoken(error)) from error


def _receive(
    response: BaseHTTPResponse, sink: Sink, policy: FetchPolicy, deadline: float, told: Told
) -> None:
    total = getattr(response, "length_remaining", None)  # None too for a chunked body
    sink.expect(total)
    told(0, total)
    for data in _chunks(response):
        sink.write(data)
        told(sink.received, total)
        _left(deadline, policy)
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
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, _spoken(error)) from error
        if not data:
            return
        yield data


def _left(deadline: float, policy: FetchPolicy) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"not done within {policy.total_seconds:g} s")
    return left


def _spoken(error: Exception) -> str:
    """urllib3's texts carry object addresses and the full URL: the kind of error and its cause say it better."""
    if isinstance(error, ReadTimeoutError):
        return "no byte arrived in time"
    if isinstance(error, ConnectionTimeoutError):
        return "no connection in time"
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError):
        return f"{type(error).__name__}: {cause.strerror}"
    return type(error).__name__
