"""The ProbeSource operation: what a template's source serves, by a HEAD and the first bytes of a GET.

Presigned URLs and many object stores answer only the method they were signed for, so a refused HEAD says nothing; a
server that ignores Range is left after the same few bytes.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import FetchPolicy, ProbeSource
from goldpool.contracts.report import FailureReason, Probed
from goldpool.contracts.source import MirrorResult, Source
from goldpool.worker.failures import OperationFailed, shortened
from goldpool.worker.fetch import nfs
from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.connection import Connections, seconds_left, spoken
from goldpool.worker.fetch.decompress import Compression, Decoder, Limits, recognised
from goldpool.worker.fetch.listing import Listing, listed
from goldpool.worker.fetch.nfs_urls import is_nfs
from goldpool.worker.fetch.policy import MirrorFailed, origin
from goldpool.worker.fetch.refusals import refused
from goldpool.worker.gate.detection import detected, wrong_format
from goldpool.worker.gate.image import SECTOR

HEAD_BYTES: Final = 64 << 10
"""Enough for every magic number, an ISO's at 32,769 too."""
MIRRORS_ASKED: Final = 10
_VALIDATOR_LIMIT: Final = 256
_COMPRESSIONS: Final[Mapping[Compression, str]] = {
    Compression.GZIP: "gz",
    Compression.BZIP2: "bz2",
    Compression.XZ: "xz",
    Compression.ZSTD: "zst",
    Compression.ZIP: "zip",
}
_CONTENT_RANGE: Final = re.compile(r"bytes 0-[0-9]+/([0-9]+|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Findings:
    """``probed`` is None when no mirror can serve: ``failure`` says why. ``mirrors`` are in the order of trying."""

    mirrors: tuple[MirrorResult, ...]
    probed: Probed | None = None
    failure: OperationFailed | None = None


def probe_source(operation: ProbeSource, deadline: float) -> Findings:
    """Never raises for what a source answered; ``OperationFailed`` when its Secret or CA bundle is at fault.

    ``deadline`` is of ``time.monotonic``.
    """
    source = operation.source
    listing = Listing(source.urls)
    if source.metalink:
        url = source.urls[0]
        try:
            with Connections(operation.policy, source) as connections:
                listing = listed(url, source, connections, deadline)
        except MirrorFailed as failed:
            failure = OperationFailed(failed.reason, f"{origin(url)}: {failed.message}")
            return Findings((_result(url, failed),), failure=failure)
    urls = listing.mirrors[:MIRRORS_ASKED]
    # Side by side: one that does not answer must not use up the time of those behind it.
    with ThreadPoolExecutor(max_workers=max(1, len(urls))) as pool:
        answers = [*pool.map(lambda url: _ask(url, operation, listing, deadline), urls)]
    results = tuple(_result(url, answer) for url, answer in zip(urls, answers, strict=True))
    good = [answer for answer in answers if isinstance(answer, Probed)]
    if not good:
        heard = Answers()
        for url, answer in zip(urls, answers, strict=True):
            if isinstance(answer, MirrorFailed):
                heard.failed(url, answer)
        return Findings(results, failure=heard.conclusion())
    return Findings(results, next((p for p in good if p.mirror == operation.mirror), good[0]))


def _result(url: str, answer: Probed | MirrorFailed) -> MirrorResult:
    mirror = shortened(origin(url), 160)
    if isinstance(answer, MirrorFailed):
        return MirrorResult(mirror=mirror, reason=answer.reason, message=shortened(answer.message, 160))
    return MirrorResult(mirror=mirror)


def _ask(url: str, operation: ProbeSource, listing: Listing, deadline: float) -> Probed | MirrorFailed:
    try:
        found = _asked(url, operation.source, operation.policy, deadline)
        return _as_said(_understood(url, found, operation.format, operation.policy), listing)
    except MirrorFailed as failed:
        return failed


def _as_said(probed: Probed, said: Listing) -> Probed:
    """What a metalink says holds where a server says nothing; where it says otherwise, it is another file."""
    if said.size is not None and probed.size is not None and said.size != probed.size:
        message = f"it has {probed.size} bytes, the metalink says {said.size}"
        raise MirrorFailed(FailureReason.SIZE_MISMATCH, message)
    digest = next((f"sha256:{c.hex}" for c in said.checksums if c.algorithm == "sha256"), "")
    return probed.replace(size=said.size or probed.size, digest=digest)


# --- one mirror


@dataclass(frozen=True, slots=True)
class _Answer:
    size: int | None = None
    etag: str = ""
    last_modified: str = ""
    head: bytes = b""


def _asked(url: str, source: Source, policy: FetchPolicy, deadline: float) -> _Answer:
    if is_nfs(url):  # the tool tells no size and no time
        return _Answer(head=nfs.first_bytes(url, policy, deadline, HEAD_BYTES))
    with Connections(policy, source) as connections:
        known = _by_head(connections, url, deadline)
        response = connections.open(url, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}"}, deadline=deadline)
        try:
            failure = refused(response.status, response.reason, response.headers, ranged=True)
            if failure is not None:
                raise failure
            size = _size(response)
            return replace(
                _validators(response, known),
                size=known.size if size is None else size,
                head=_first(response, HEAD_BYTES, policy, deadline),
            )
        finally:
            response.close()


def _by_head(connections: Connections, url: str, deadline: float) -> _Answer:
    """What a HEAD tells; nothing when it is refused."""
    try:
        response = connections.open(url, method="HEAD", deadline=deadline)
    except MirrorFailed:
        return _Answer()
    try:
        if response.status != 200:
            return _Answer()
        return replace(_validators(response, _Answer()), size=_number(response.headers.get("Content-Length")))
    finally:
        response.close()


def _validators(response: BaseHTTPResponse, known: _Answer) -> _Answer:
    return replace(
        known,
        etag=response.headers.get("ETag", known.etag)[:_VALIDATOR_LIMIT],
        last_modified=response.headers.get("Last-Modified", known.last_modified)[:_VALIDATOR_LIMIT],
    )


def _size(response: BaseHTTPResponse) -> int | None:
    if response.status == 200:
        return _number(response.headers.get("Content-Length"))
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None:
        raise MirrorFailed(
            FailureReason.SOURCE_REFUSED, "answered 206 with another range than the one asked for"
        )
    return _number(match[1])


def _number(text: str | None) -> int | None:
    """None too for what is no number: an unknown size is no error."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text.strip()) else None


def _first(response: BaseHTTPResponse, most: int, policy: FetchPolicy, deadline: float) -> bytes:
    data = b""
    try:
        while len(data) < most and (more := response.read1(most - len(data))):
            data += more
            seconds_left(deadline, policy)
    except (HTTPError, OSError) as error:
        raise MirrorFailed(FailureReason.SOURCE_UNREACHABLE, spoken(error)) from error
    return data


# --- what the first bytes mean


def _understood(url: str, found: _Answer, declared: ImageFormat, policy: FetchPolicy) -> Probed:
    probed = Probed(
        mirror=shortened(origin(url), 160),
        size=found.size,
        etag=found.etag,
        last_modified=found.last_modified,
    )
    if found.size is not None and found.size > policy.max_bytes:
        raise MirrorFailed(
            FailureReason.TOO_LARGE, f"it has {found.size} bytes, at most {policy.max_bytes} are allowed"
        )
    if not found.head:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, "the body is empty")
    compression = recognised(found.head)
    head = found.head if compression is None else _expanded(found.head, policy)
    looks_like = detected(head)
    if head and (objection := wrong_format(declared, looks_like)) is not None:
        raise MirrorFailed(FailureReason.WRONG_FORMAT, objection)
    return probed.replace(
        format=next(iter(looks_like), ""),
        compression=_COMPRESSIONS[compression] if compression is not None else "",
        virtual_bytes=_virtual_bytes(head, found.size if compression is None else None, declared),
    )


def _expanded(head: bytes, policy: FetchPolicy) -> bytes:
    """The beginning of what is compressed; possibly nothing, for a decoder may want more than these bytes."""
    data = b""
    for piece in Decoder(Limits.of(policy)).feed(head):
        data += piece
        if len(data) >= HEAD_BYTES:
            break
    return data


def _virtual_bytes(head: bytes, size: int | None, declared: ImageFormat) -> int | None:
    """As far as it can be told without reading the image: nothing here is trusted."""
    match declared:
        case ImageFormat.QCOW2:
            return int.from_bytes(head[24:32], "big") if len(head) >= 32 else None
        case _:
            return -(-size // SECTOR) * SECTOR if size is not None else None
