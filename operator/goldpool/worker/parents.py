"""Parents on a pool: published once, immutable, removed as a whole."""

import os
import stat

from goldpool.contracts.layout import PARENT_SIDECAR, ParentSidecar, parent_file
from goldpool.contracts.model import Misread
from goldpool.contracts.operations import DeleteParent, Fetch
from goldpool.contracts.report import FailureReason
from goldpool.worker import publish, workspace
from goldpool.worker.failures import OperationFailed
from goldpool.worker.log import log
from goldpool.worker.pool import Location
from goldpool.worker.trash import empty_trash_of, move_to_trash
from goldpool.worker.workspace import Kind


def published(location: Location, operation: Fetch) -> ParentSidecar | None:
    """The parent that an earlier fetch of the same published; None when the name is free.

    ``RevisionMismatch`` or ``VolumeConflict`` when something else has the name; nothing is touched.
    """
    name = operation.parent
    if not publish.exists(name, at=location.templates):
        return None
    try:
        with publish.directory(name, at=location.templates) as fd:
            found = ParentSidecar.from_json(publish.read_file(PARENT_SIDECAR, at=fd))
            disk = os.lstat(parent_file(found.format), dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError, Misread) as error:
        raise _conflict(name, f"no parent of ours: {type(error).__name__}") from error
    if (difference := differs(found, operation)) is not None:
        raise difference
    if not stat.S_ISREG(disk.st_mode) or disk.st_size != found.file_bytes:
        raise _conflict(name, f"its disk has {disk.st_size} bytes, its sidecar says {found.file_bytes}")
    return found


def differs(found: ParentSidecar, wanted: Fetch) -> OperationFailed | None:
    """Why a published parent is not the one a fetch would bring."""
    for field in ("parent", "template_uid", "format"):
        if getattr(found, field) != getattr(wanted, field):
            return _conflict(wanted.parent, f"its {field} is {str(getattr(found, field))!r}")
    revisions = {checksum.hex for checksum in wanted.checksums if checksum.algorithm == "sha256"}
    if wanted.revision is not None:
        revisions.add(wanted.revision)
    if revisions - {found.revision}:
        return OperationFailed(
            FailureReason.REVISION_MISMATCH,
            f"templates/{wanted.parent} holds revision {found.revision}; nothing was touched",
        )
    return None


def _conflict(name: str, what: str) -> OperationFailed:
    return OperationFailed(
        FailureReason.VOLUME_CONFLICT, f"templates/{name} exists already: {what}; nothing was touched"
    )


def publish_parent(location: Location, entry: str, sidecar: ParentSidecar) -> None:
    """``tmp/<entry>``, which holds the verified and durable disk, is ``templates/<parent>``, durably."""
    with publish.directory(entry, at=location.tmp) as fd:
        publish.write_file(PARENT_SIDECAR, sidecar.to_json(indent=2).encode() + b"\n", at=fd, mode=0o444)
        os.fsync(fd)
    publish.rename(entry, sidecar.parent, source_at=location.tmp, target_at=location.templates)
    os.fsync(location.templates)
    os.fsync(location.tmp)
    log(
        "parent published",
        parent=sidecar.parent,
        revision=sidecar.revision,
        location=location.identity.location,
    )


def delete_parent(location: Location, operation: DeleteParent, now: int) -> None:
    """Nothing of the parent is left: published, unpublished, or in the trash from a deletion that was cut off."""
    name = operation.parent
    workspace.sweep(name, Kind.PARENT, tmp=location.tmp)
    workspace.sweep(name, Kind.LOCK, tmp=location.tmp)
    # By way of the trash: a removal that is cut off must not leave half a parent under the parent's name.
    if move_to_trash(name, at=location.templates, trash=location.trash, now=now) is not None:
        os.fsync(location.templates)
        log("parent deleted", parent=name, location=location.identity.location)
    empty_trash_of(name, trash=location.trash)
