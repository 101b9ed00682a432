"""The Fetch operation: what the other modules of this package do, in order."""

import os
import time
from collections.abc import Callable
from dataclasses import replace

from goldpool.contracts.layout import ParentSidecar
from goldpool.contracts.operations import Fetch
from goldpool.contracts.report import FailureReason, Fetched
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch import http, nfs
from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.checksums import strongest
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.expanding import expanding
from goldpool.worker.fetch.listing import Listing, listed
from goldpool.worker.fetch.lock import only_fetch
from goldpool.worker.fetch.mirrors import first_good
from goldpool.worker.fetch.nfs_urls import is_nfs
from goldpool.worker.fetch.partial import Partial
from goldpool.worker.fetch.partials import Partials
from goldpool.worker.fetch.policy import MirrorFailed, origin
from goldpool.worker.fetch.progress import Reporter
from goldpool.worker.fetch.receiving import Told, Transfer
from goldpool.worker.fetch.room import Room, wrong_size
from goldpool.worker.gate import admit
from goldpool.worker.parents import publish_parent, published
from goldpool.worker.pool import Location


def fetch(
    location: Location, operation: Fetch, answers: Answers, reporter: Callable[[], Reporter] = Reporter
) -> Fetched:
    """``templates/<parent>`` holds the template's bytes: complete, verified, admitted, immutable, durable.

    Or it does not exist, and ``tmp/`` holds at most what the next fetch of the same parent goes on with, and its deletion
    removes. A parent that stands there already is success without a transfer. ``answers`` learns of every mirror asked.
    """
    with only_fetch(operation.parent, tmp=location.tmp, patience_seconds=operation.policy.idle_seconds):
        # Asked under the lock: the fetch that was waited for may just have published it.
        if (found := published(location, operation)) is not None:
            os.fsync(location.templates)  # its publisher may have died before this
            return _fetched(found, operation)
        with Partials(location, operation) as partials:
            return _fetch_by(partials, location, operation, answers, reporter())


def _fetch_by(
    partials: Partials, location: Location, operation: Fetch, answers: Answers, reporter: Reporter
) -> Fetched:
    policy = operation.policy
    deadline = time.monotonic() + policy.total_seconds
    room = Room(policy, location.free_bytes)
    common = Transfer(policy, partials, room, operation.checksums, deadline, expanding(policy, room))
    with Connections(policy, operation.source) as connections:

        def one(url: str, listing: Listing) -> tuple[Partial, ParentSidecar, Fetch]:
            shown = origin(url)
            demand = _demand(operation, listing)
            partial = _transferred(
                connections,
                url,
                replace(common, checksums=demand.checksums, room=replace(room, exactly=listing.size)),
                lambda done, total: reporter.report(done, total, shown),
            )
            try:
                return partial, _admitted(partial, demand, listing.size), demand
            except MirrorFailed:
                partials.discard(partial)
                raise

        (partial, sidecar, demand), url, attempt = first_good(
            operation.source.urls,
            policy.attempts,
            deadline,
            answers,
            listed=lambda url: listed(url, operation.source, connections, deadline),
            one=one,
        )
    publish_parent(location, partials.publishable(partial), sidecar)
    return _fetched(sidecar, demand).replace(
        mirror=origin(url),
        attempts=attempt,
        transferred_bytes=partial.received,
        resumed_bytes=partial.resumed,
        etag=partial.version.etag,
        last_modified=partial.version.last_modified,
    )


def _transferred(connections: Connections, url: str, common: Transfer, told: Told) -> Partial:
    if is_nfs(url):
        return nfs.transfer(url, common, told)
    return http.transfer(connections, url, common, told)


def _demand(operation: Fetch, listing: Listing) -> Fetch:
    """What a metalink says of the bytes counts beside what the template says."""
    return operation.replace(checksums=(*operation.checksums, *listing.checksums))


def _admitted(partial: Partial, operation: Fetch, size: int | None) -> ParentSidecar:
    """What is published: bytes that are the right ones, and that passed every gate."""
    _verify(partial, operation, size)
    return ParentSidecar(
        parent=operation.parent,
        template=operation.template,
        template_uid=operation.template_uid,
        format=operation.format,
        revision=partial.revision,
        file_bytes=os.fstat(partial.fd).st_size,
        virtual_bytes=_admit(partial, operation),
    )


def _verify(partial: Partial, operation: Fetch, size: int | None) -> None:
    assert partial.digests is not None
    if size is not None and partial.received != size:
        if not partial.from_zero:
            raise _anew(f"it has {partial.received} bytes, not {size}")
        raise wrong_size(f"{partial.received} bytes", size)
    if (mismatch := partial.digests.mismatch(operation.checksums)) is not None:
        if not partial.from_zero:
            raise _anew(mismatch)
        raise MirrorFailed(FailureReason.CHECKSUM_MISMATCH, mismatch, partial.digests.revision())
    revision = partial.revision
    if operation.revision is not None and revision != operation.revision:
        message = f"revision is {revision}, the template is pinned to {operation.revision}"
        if operation.checksums:  # these are the declared bytes, so every honest mirror has them
            raise OperationFailed(FailureReason.REVISION_MISMATCH, message)
        if not partial.from_zero:
            raise _anew(message)
        raise MirrorFailed(FailureReason.REVISION_MISMATCH, message, revision)


def _anew(finding: str) -> MirrorFailed:
    """It may be two versions in spite of all: only a body in one piece tells what the mirror has."""
    return MirrorFailed(
        FailureReason.TRANSFER_INCOMPLETE, f"continued after an interruption, {finding}; it begins anew"
    )


def _admit(partial: Partial, operation: Fetch) -> int:
    try:
        return admit(partial.fd, operation.format, operation.policy)
    except OperationFailed as failed:
        verified = bool(operation.checksums) or operation.revision is not None
        if verified or failed.reason is FailureReason.IO_ERROR:
            raise
        if not partial.from_zero:
            raise _anew(failed.message) from failed
        # Unverified bytes may be one mirror's error page: the next one may have the image.
        raise MirrorFailed(failed.reason, failed.message, partial.revision) from failed


def _fetched(sidecar: ParentSidecar, demand: Fetch) -> Fetched:
    return Fetched(
        revision=sidecar.revision,
        file_bytes=sidecar.file_bytes,
        virtual_bytes=sidecar.virtual_bytes,
        verified=strongest(demand.checksums),
    )
