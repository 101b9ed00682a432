"""Which mirrors there are to ask: a template's own URL, or those that a metalink names."""

import hashlib
from dataclasses import dataclass

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.operations import Checksum
from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import Source
from goldpool.worker.fetch.connection import Connections, seconds_left, spoken
from goldpool.worker.fetch.metalink import (
    DOCUMENT_LIMIT,
    MIRRORS_LIMIT,
    Metalink,
    MetalinkInvalid,
    Skipped,
    in_order,
    parse,
)
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.refusals import refused

_READ_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Listing:
    """Mirrors of the same bytes in the order they are asked, and what is said of those bytes."""

    mirrors: tuple[str, ...]
    checksums: tuple[Checksum, ...] = ()
    size: int | None = None
    skipped: tuple[Skipped, ...] = ()


def listed(url: str, source: Source, connections: Connections, deadline: float) -> Listing:
    """What ``url``, one of the source's, leads to. ``MirrorFailed`` when it is a metalink that cannot be had."""
    if not source.metalink:
        return Listing((url,))
    document = _document(url, connections, deadline)
    try:
        return _listing(parse(document, source.file), source.location)
    except MetalinkInvalid as invalid:
        # An error page may pass; the same document again is what the server has.
        seen = hashlib.sha256(document).hexdigest()
        raise MirrorFailed(FailureReason.METALINK_INVALID, invalid.message, seen) from invalid


def _listing(found: Metalink, location: str) -> Listing:
    urls = tuple(link.url for link in in_order(found.links, location))
    skipped = found.skipped
    if (left := len(urls) - MIRRORS_LIMIT) > 0:
        skipped += (Skipped(f"{left} mirrors", f"no more than {MIRRORS_LIMIT} are asked"),)
    return Listing(urls[:MIRRORS_LIMIT], found.checksums, found.size, skipped)


def _document(url: str, connections: Connections, deadline: float) -> bytes:
    response = connections.open(url, deadline=deadline)
    try:
        failure = refused(response.status, response.reason, response.headers, "the metalink")
        if failure is not None:
            raise failure
        return _body(response, connections, deadline)
    finally:
        response.close()


def _body(response: BaseHTTPResponse, connections: Connections, deadline: float) -> bytes:
    """All of it, or one byte too many for ``parse``."""
    announced = getattr(response, "length_remaining", None)
    body = b""
    while len(body) <= DOCUMENT_LIMIT:
        seconds_left(deadline, connections.policy)
        try:
            data = response.read1(min(_READ_BYTES, DOCUMENT_LIMIT + 1 - len(body)))
        except (HTTPError, OSError) as error:
            raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"the metalink: {spoken(error)}") from error
        if not data:
            if announced is not None and announced != len(body):
                said = f"{len(body)} of {announced} bytes of the metalink arrived"
                raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, said)
            break
        body += data
    return body
