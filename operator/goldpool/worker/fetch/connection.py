"""One URL opened: every hop of it, under the policy.

Redirects are followed here and not by urllib3, because each hop has to pass the policy; the environment's proxies
and .netrc are not looked at.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.exceptions import TimeoutError as ConnectionTimeoutError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import FailureReason, FetchPolicy
from goldpool.contracts.source import Source
from goldpool.worker.fetch.policy import REDIRECTS, MirrorFailed, forbidden, next_hop

_HEADERS: Final = {
    "User-Agent": "goldpool",
    "Accept": "*/*",
    # What is stored and hashed must be the file, not a server's compression of it.
    "Accept-Encoding": "identity",
}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Connections:
    """Opens what a source names. A context manager: what it opened is closed with it."""

    def __init__(self, policy: FetchPolicy, source: Source) -> None:
        self.policy = policy
        self._source = source
        self._pool = urllib3.PoolManager(retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.clear()

    def open(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] = _NO_HEADERS, deadline: float
    ) -> BaseHTTPResponse:
        """The answer at the end of all redirects, whatever its status, its body unread and not decoded; never a 3xx
        with another place to go. The caller closes it.

        ``MirrorFailed`` when nobody answers or a hop is refused. ``deadline`` is of ``time.monotonic``.
        """
        if (objection := forbidden(url)) is not None:
            raise MirrorFailed(FailureReason.UNSUPPORTED, objection)
        hops = 0
        while True:
            response = self._request(method, url, {**_HEADERS, **headers}, deadline)
            if response.status not in REDIRECTS:
                return response
            response.close()
            url = next_hop(url, response.headers.get("Location"), hops, self.policy.max_redirects)
            hops += 1

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], deadline: float
    ) -> BaseHTTPResponse:
        policy = self.policy
        left = seconds_left(deadline, policy)
        timeout = urllib3.Timeout(
            connect=min(policy.connect_seconds, left), read=min(policy.idle_seconds, left)
        )
        try:
            return self._pool.request(
                method,
                url,
                headers=headers,
                timeout=timeout,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except LocationValueError as error:
            raise MirrorFailed(FailureReason.SOURCE_REFUSED, "the URL is not valid") from error
        except (HTTPError, OSError, UnicodeError) as error:
            raise MirrorFailed(FailureReason.SOURCE_UNREACHABLE, spoken(error)) from error


def seconds_left(deadline: float, policy: FetchPolicy) -> float:
    """``MirrorFailed`` when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"not done within {policy.total_seconds:g} s")
    return left


def spoken(error: Exception) -> str:
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
