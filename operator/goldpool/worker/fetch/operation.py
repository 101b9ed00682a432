"""The Fetch operation: what the other modules of this package do, in order."""

import os
import time
from collections.abc import Callable

from goldpool.contracts.layout import ParentSidecar, parent_file
from goldpool.contracts.operations import FailureReason, Fetch, Fetched
from goldpool.contracts.source import Mirror
from goldpool.worker import publish, workspace
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.lock import only_fetch
from goldpool.worker.fetch.mirrors import first_good
from goldpool.worker.fetch.policy import MirrorFailed, origin
from goldpool.worker.fetch.progress import Reporter
from goldpool.worker.fetch.sink import Room, Sink
from goldpool.worker.fetch.transfer import transfer
from goldpool.worker.fetch.verify import Digests
from goldpool.worker.gate import admit
from goldpool.worker.parents import publish_parent, published
from goldpool.worker.pool import Location
from goldpool.worker.workspace import Kind


def fetch(location: Location, operation: Fetch, reporter: Callable[[], Reporter] = Reporter) -> Fetched:
    """``templates/<parent>`` holds the template's bytes: complete, verified, admitted, immutable, durable.

    Or it does not exist, and ``tmp/`` holds at most what the next fetch or deletion of the same parent removes.
    A parent that stands there already is success without a transfer.
    """
    with only_fetch(operation.parent, tmp=location.tmp, patience_seconds=operation.policy.idle_seconds):
        # Asked under the lock: the fetch that was waited for may just have published it.
        if (found := published(location, operation)) is not None:
            os.fsync(location.templates)  # its publisher may have died before this
            return _fetched(found)
        workspace.sweep(operation.parent, Kind.PARENT, tmp=location.tmp)
        entry = workspace.new_entry(operation.parent, Kind.PARENT)
        os.mkdir(entry, 0o750, dir_fd=location.tmp)
        try:
            return _fetch_to(entry, location, operation, reporter())
        except BaseException:
            workspace.discard(entry, operation.parent, Kind.PARENT, tmp=location.tmp)
            raise


def _fetch_to(entry: str, location: Location, operation: Fetch, reporter: Reporter) -> Fetched:
    policy = operation.policy
    deadline = time.monotonic() + policy.total_seconds
    room = Room(policy, location.free_bytes)
    mirrors = tuple(Mirror(url=url) for url in operation.source.urls)
    with (
        publish.directory(entry, at=location.tmp) as directory,
        Connections(policy, operation.source) as connections,
    ):

        def one(mirror: Mirror) -> ParentSidecar:
            shown = origin(mirror.url)

            def receive(sink: Sink) -> None:
                transfer(
                    connections,
                    mirror.url,
                    sink,
                    deadline,
                    lambda done, total: reporter.report(done, total, shown),
                )

            try:
                return _file(directory, operation, room, receive)
            except BaseException:
                # Only digests of bytes taken from zero count, so nothing of a failed body is kept.
                publish.remove(parent_file(operation.format), at=directory)
                raise

        sidecar, mirror, attempt = first_good(mirrors, policy.attempts, deadline, one)
    publish_parent(location, entry, sidecar)
    return _fetched(sidecar, origin(mirror.url), attempt)


def _file(directory: int, operation: Fetch, room: Room, receive: Callable[[Sink], None]) -> ParentSidecar:
    """A durable file that passed every gate, in the unpublished directory."""
    digests = Digests(operation.checksums)
    with publish.new_file(parent_file(operation.format), at=directory, mode=0o444) as fd:
        sink = Sink(fd, digests, room)
        receive(sink)
        _verify(digests, operation)
        virtual_bytes = _admit(fd, operation, digests.revision())
    return ParentSidecar(
        parent=operation.parent,
        template=operation.template,
        template_uid=operation.template_uid,
        format=operation.format,
        revision=digests.revision(),
        file_bytes=sink.received,
        virtual_bytes=virtual_bytes,
    )


def _verify(digests: Digests, operation: Fetch) -> None:
    revision = digests.revision()
    if (mismatch := digests.mismatch()) is not None:
        raise MirrorFailed(FailureReason.CHECKSUM_MISMATCH, mismatch, revision)
    if operation.revision is not None and revision != operation.revision:
        message = f"revision is {revision}, the template is pinned to {operation.revision}"
        if operation.checksums:  # these are the declared bytes, so every honest mirror has them
            raise OperationFailed(FailureReason.REVISION_MISMATCH, message)
        raise MirrorFailed(FailureReason.REVISION_MISMATCH, message, revision)


def _admit(fd: int, operation: Fetch, revision: str) -> int:
    try:
        return admit(fd, operation.format, operation.policy)
    except OperationFailed as failed:
        verified = bool(operation.checksums) or operation.revision is not None
        if verified or failed.reason is FailureReason.IO_ERROR:
            raise
        # Unverified bytes may be one mirror's error page: the next one may have the image.
        raise MirrorFailed(failed.reason, failed.message, revision) from failed


def _fetched(sidecar: ParentSidecar, mirror: str = "", attempts: int = 1) -> Fetched:
    return Fetched(
        revision=sidecar.revision,
        file_bytes=sidecar.file_bytes,
        virtual_bytes=sidecar.virtual_bytes,
        mirror=mirror,
        attempts=attempts,
    )
