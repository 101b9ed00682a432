"""Where a transfer may go. Pure; knows URLs, not sockets."""

import re
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch import nfs_urls

SCHEMES: Final = ("http", "https")
_AUTHORITY: Final = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
"""A name, an IPv4 address or one of IPv6 in brackets, and a port. What else RFC 3986 lets stand there (escapes, say) is
read by one parser as one host and by another as another."""
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class MirrorFailed(Exception):
    """One mirror did not deliver; the next one may. ``digest`` tells a full but wrong answer, taken from its first
    byte, from another one: its sha256."""

    def __init__(self, reason: FailureReason, message: str, digest: str = "") -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.digest = digest


def origin(url: str) -> str:
    """The URL as messages show it: scheme, host and path. Never userinfo, and never a query, which may sign it."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "an invalid URL"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def unfetchable(url: str) -> str | None:
    """Why no body is fetched from this URL, or None: http, https and nfs are known."""
    if nfs_urls.is_nfs(url):
        return nfs_urls.objection(url)
    return forbidden(url)


def forbidden(url: str) -> str | None:
    """Why nothing is asked for over HTTP at this URL, a redirect's too, or None."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "the URL is not valid"
    return _bad_scheme(parts) or _no_host(parts) or _userinfo(parts) or _ambiguous(url, parts)


def _bad_scheme(parts: SplitResult) -> str | None:
    if parts.scheme in SCHEMES:
        return None
    return f"scheme {parts.scheme or '(none)'!r} is not supported, only {' and '.join(SCHEMES)}"


def _no_host(parts: SplitResult) -> str | None:
    return None if parts.hostname else "the URL names no host"


def _userinfo(parts: SplitResult) -> str | None:
    return "credentials in a URL are refused" if "@" in parts.netloc else None


def _ambiguous(url: str, parts: SplitResult) -> str | None:
    clear = _AUTHORITY.fullmatch(parts.netloc) and not _CONTROL.search(url)
    return None if clear else "the URL is not valid"


def next_hop(current: str, location: str | None, hops: int, max_redirects: int) -> str:
    """Where a redirect leads. ``hops`` redirects were followed before. ``SourceRefused`` when it may not."""
    if not location:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, "a redirect without a Location")
    if hops >= max_redirects:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"more than {max_redirects} redirects")
    try:
        target = urljoin(current, location)
    except ValueError:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, "redirected to an invalid URL") from None
    target = target.replace(" ", "%20")  # as browsers do: servers put names of files there
    if (objection := forbidden(target)) is not None:
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"redirected to {origin(target)}: {objection}")
    if urlsplit(current).scheme == "https" and urlsplit(target).scheme == "http":
        raise MirrorFailed(FailureReason.SOURCE_REFUSED, f"redirected from https to {origin(target)}")
    return target
