"""One URL opened: every hop of it, under the policy.

Redirects are followed here and not by urllib3, because each hop has to pass the policy, and what it may see of the
Secret is decided anew; the environment's proxies and .netrc are not looked at.
"""

import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)
from urllib3.exceptions import TimeoutError as ConnectionTimeoutError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import CA_DIRECTORY, CA_FILE, CREDENTIALS_DIRECTORY, Source
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch import credentials, tls
from goldpool.worker.fetch.addresses import objection, parse
from goldpool.worker.fetch.alarm import Alarm
from goldpool.worker.fetch.dialing import literal, pool_classes
from goldpool.worker.fetch.policy import REDIRECTS, MirrorFailed, forbidden, next_hop
from goldpool.worker.fetch.proxies import proxy_for

_HEADERS: Final = {
    "User-Agent": "goldpool",
    "Accept": "*/*",
    # What is stored and hashed must be the file, not a server's compression of it.
    "Accept-Encoding": "identity",
}
_WORDS: Final[Mapping[type, str]] = {
    NewConnectionError: "no connection",
    ProxyError: "no connection",
    NameResolutionError: "the host's name is not known",
}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Connections:
    """Opens what a source names. A context manager: what it opened is closed with it.

    ``root`` is where the Job's mounts are; the Secret and the CA bundle are read for each connection, so that a renewed
    one counts as soon as the kubelet has brought it.
    """

    def __init__(self, policy: FetchPolicy, source: Source, root: Path = Path("/")) -> None:
        self.policy = policy
        self._source = source
        self._root = root
        self._pools: urllib3.PoolManager | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pools is not None:
            self._pools.clear()

    def open(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] = _NO_HEADERS, deadline: float
    ) -> BaseHTTPResponse:
        """The answer at the end of all redirects, whatever its status, its body unread and not decoded; never a 3xx
        with another place to go. The caller closes it.

        ``MirrorFailed`` when nobody answers or a hop is refused; ``OperationFailed`` when the Secret or the CA bundle is
        at fault, where no other mirror helps. ``deadline`` is of ``time.monotonic``.
        """
        if (why := forbidden(url)) is not None:
            raise MirrorFailed(FailureReason.UNSUPPORTED, why)
        hops = 0
        while True:
            response = self._request(method, url, headers, deadline)
            if response.status not in REDIRECTS:
                return response
            response.close()
            url = next_hop(url, _location(response), hops, self.policy.max_redirects)
            hops += 1

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], deadline: float
    ) -> BaseHTTPResponse:
        policy = self.policy
        left = seconds_left(deadline, policy)
        shown = self._credentials().at(url)
        idle = min(policy.idle_seconds, left)
        with Alarm(min(policy.connect_seconds + idle, left)) as alarm:
            try:
                response = self._pools_for(url, shown, alarm).request(
                    method,
                    url,
                    headers={**_HEADERS, **shown.headers, **headers},
                    timeout=urllib3.Timeout(connect=min(policy.connect_seconds, left), read=idle),
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
            except LocationValueError as error:
                raise MirrorFailed(FailureReason.SOURCE_REFUSED, "the URL is not valid") from error
            except (HTTPError, OSError, UnicodeError) as error:
                raise (_late(alarm) if alarm.rang else failure(error)) from error
        if alarm.rang:  # http.client takes the end of the connection for the end of the head
            response.close()
            raise _late(alarm)
        return response

    def _pools_for(self, url: str, shown: credentials.Credentials, alarm: Alarm) -> urllib3.PoolManager:
        if self._pools is not None:
            self._pools.clear()  # of the hop before; what is being read stays open
        secure = urlsplit(url).scheme == "https"
        context = tls.context(self._ca_bundle(), shown.certificate) if secure else None
        proxy = proxy_for(url, self.policy.proxies)
        if proxy is None:
            self._pools = urllib3.PoolManager(retries=False, ssl_context=context)
        else:
            self._refuse_literal(url)
            self._pools = urllib3.ProxyManager(proxy, retries=False, ssl_context=context)
        self._pools.pool_classes_by_scheme = pool_classes(self.policy.addresses, alarm.watch)
        return self._pools

    def _refuse_literal(self, url: str) -> None:
        """The proxy resolves names; only an address in the URL itself can be judged here."""
        address = literal(urlsplit(url).hostname or "")
        if address is not None and (why := objection(parse(address), self.policy.addresses)) is not None:
            raise MirrorFailed(FailureReason.ADDRESS_REFUSED, why)

    def _credentials(self) -> credentials.Credentials:
        name = self._source.secret
        return credentials.read(self._mount(CREDENTIALS_DIRECTORY), name) if name else credentials.NOTHING

    def _ca_bundle(self) -> str:
        if not self._source.ca_bundle:
            return ""
        content = credentials.mounted(self._mount(CA_DIRECTORY)).get(CA_FILE)
        if content is None:
            raise OperationFailed(
                FailureReason.CA_BUNDLE_MISSING,
                f"there is no ConfigMap {self._source.ca_bundle} in the data namespace, or it has not the key that "
                "spec.source.caBundleRef names: make it, or correct the reference",
            )
        return content.decode("utf-8", "replace")

    def _mount(self, path: object) -> Path:
        return self._root / str(path).lstrip("/")


def _location(response: BaseHTTPResponse) -> str | None:
    """http.client reads headers as Latin-1, and servers write names of files in UTF-8."""
    text = response.headers.get("Location")
    try:
        return text.encode("latin-1").decode() if text else text
    except UnicodeError:
        return text


def seconds_left(deadline: float, policy: FetchPolicy) -> float:
    """``MirrorFailed`` when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"not done within {policy.total_seconds:g} s")
    return left


def _late(alarm: Alarm) -> MirrorFailed:
    return MirrorFailed(FailureReason.SOURCE_UNREACHABLE, f"no answer within {alarm.seconds:g} s")


def failure(error: Exception) -> MirrorFailed:
    """Why there is no answer."""
    if (broken := _cause(error, ssl.SSLError)) is not None:
        return MirrorFailed(FailureReason.TLS_FAILED, tls.distrust(broken))
    if isinstance(error, ProxyError):
        refused = re.match(r"Tunnel connection failed: (\d{3})", str(error.original_error))
        why = f"answered {refused[1]}" if refused else spoken(error)
        return MirrorFailed(FailureReason.SOURCE_UNREACHABLE, f"the proxy: {why}")
    return MirrorFailed(FailureReason.SOURCE_UNREACHABLE, spoken(error))


def spoken(error: Exception) -> str:
    """urllib3's texts carry object addresses and the full URL: the kind of error and its cause say it better."""
    if isinstance(error, ReadTimeoutError):
        return "no byte arrived in time"
    # urllib3 counts a connection that was refused, and a name that nobody knows, among what took too long.
    if isinstance(error, ConnectionTimeoutError) and not isinstance(error, NewConnectionError):
        return "no connection in time"
    what = _WORDS.get(type(error), type(error).__name__)
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    return f"{what}: {cause.strerror}" if isinstance(cause, OSError) else what


def _cause(error: BaseException | None, kind: type[ssl.SSLError]) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
