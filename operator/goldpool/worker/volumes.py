"""Volumes on a pool: thin children, blank disks, and their way to the trash."""

import os
import stat
from typing import Final

from goldpool.contracts.layout import VOLUME_DISK, VOLUME_SIDECAR, ImageFormat, VolumeSidecar, parent_file
from goldpool.contracts.machine import PARENTS_ROOT
from goldpool.contracts.model import Misread
from goldpool.contracts.operations import Adopt, CreateBlank, CreateChild, DeleteVolume
from goldpool.contracts.report import FailureReason
from goldpool.worker import overlay, publish, workspace
from goldpool.worker.failures import OperationFailed
from goldpool.worker.log import log
from goldpool.worker.overlay import Backing
from goldpool.worker.pool import Location
from goldpool.worker.trash import empty_trash_of, move_to_trash
from goldpool.worker.workspace import Kind

_SAME: Final = ("storage_id", "parent", "revision", "virtual_bytes")


def create_child(location: Location, operation: CreateChild) -> None:
    """``volumes/<storageID>`` is an overlay over the parent; see ``_create`` for what "is" means.

    ``Unsupported`` for an ISO parent and for a child smaller than its parent, which would cut the guest's disk.
    """
    if operation.parent_format is ImageFormat.ISO:
        raise OperationFailed(FailureReason.UNSUPPORTED, "an ISO is no disk: it cannot have children")
    virtual_bytes = overlay.rounded(operation.virtual_bytes)
    if virtual_bytes < operation.parent_virtual_bytes:
        raise OperationFailed(
            FailureReason.UNSUPPORTED,
            f"a child of {virtual_bytes} bytes is smaller than its parent of {operation.parent_virtual_bytes} bytes",
        )
    backing = Backing(
        path=f"{PARENTS_ROOT}/{operation.parent}/{parent_file(operation.parent_format)}",
        format=operation.parent_format.value,
    )
    sidecar = VolumeSidecar(
        storage_id=operation.storage_id,
        owner=operation.owner,
        virtual_bytes=virtual_bytes,
        parent=operation.parent,
        revision=operation.revision,
    )
    _create(location, sidecar, backing)


def create_blank(location: Location, operation: CreateBlank) -> None:
    """``volumes/<storageID>`` is an empty disk; see ``_create``."""
    sidecar = VolumeSidecar(
        storage_id=operation.storage_id,
        owner=operation.owner,
        virtual_bytes=overlay.rounded(operation.virtual_bytes),
    )
    _create(location, sidecar, None)


def _create(location: Location, wanted: VolumeSidecar, backing: Backing | None) -> None:
    """The volume stands there whole, made now or by an earlier try of the same; ``VolumeConflict`` if the name is
    taken by anything else, which is not touched. Durable after ``volumes/`` is fsynced: once per batch, by the caller.
    """
    if _present(location, wanted):
        return
    workspace.sweep(wanted.storage_id, Kind.VOLUME, tmp=location.tmp)
    entry = workspace.new_entry(wanted.storage_id, Kind.VOLUME)
    os.mkdir(entry, 0o750, dir_fd=location.tmp)
    try:
        with publish.directory(entry, at=location.tmp) as fd:
            overlay.write(VOLUME_DISK, wanted.virtual_bytes, backing, at=fd)
            publish.write_file(VOLUME_SIDECAR, wanted.to_json(indent=2).encode() + b"\n", at=fd, mode=0o644)
            os.fsync(fd)
        try:
            publish.rename(entry, wanted.storage_id, source_at=location.tmp, target_at=location.volumes)
        except FileExistsError:
            # Somebody was faster; whether it is the same volume is asked like any other time.
            workspace.discard(entry, wanted.storage_id, Kind.VOLUME, tmp=location.tmp)
            if not _present(location, wanted):
                raise
    except BaseException:
        workspace.discard(entry, wanted.storage_id, Kind.VOLUME, tmp=location.tmp)
        raise


def _present(location: Location, wanted: VolumeSidecar) -> bool:
    """False when the name is free; ``VolumeConflict`` when something else has it."""
    if not publish.exists(wanted.storage_id, at=location.volumes):
        return False
    try:
        with publish.directory(wanted.storage_id, at=location.volumes) as fd:
            found = VolumeSidecar.from_json(publish.read_file(VOLUME_SIDECAR, at=fd))
            disk = os.lstat(VOLUME_DISK, dir_fd=fd)
    except (FileNotFoundError, NotADirectoryError, Misread) as error:
        raise _conflict(wanted, f"no volume of ours: {type(error).__name__}") from error
    if (difference := differs(found, wanted)) is not None:
        raise _conflict(wanted, difference)
    if not stat.S_ISREG(disk.st_mode):
        raise _conflict(wanted, f"{VOLUME_DISK} is no regular file")
    return True


def adopt(location: Location, operation: Adopt) -> VolumeSidecar:
    """The disk's sidecar names the new owner, durably; what it says else is as it was, and is the answer.

    ``VolumeMissing`` when there is no such disk; ``VolumeConflict`` when it was made for an object of another
    namespace or name, or is no volume of ours.
    """
    name, wanted = operation.storage_id, operation.owner
    try:
        with publish.directory(name, at=location.volumes) as fd:
            found = VolumeSidecar.from_json(publish.read_file(VOLUME_SIDECAR, at=fd))
            if not stat.S_ISREG(os.lstat(VOLUME_DISK, dir_fd=fd).st_mode):
                raise _refusal(name, f"{VOLUME_DISK} is no regular file")
            if found.storage_id != name:
                raise _refusal(name, f"its sidecar is of {found.storage_id}")
            if (found.owner.namespace, found.owner.name) != (wanted.namespace, wanted.name):
                raise _refusal(name, f"it was made for {found.owner.namespace}/{found.owner.name}")
            if found.owner.uid == wanted.uid:
                return found
            adopted = found.replace(owner=wanted)
            preliminary = f"{VOLUME_SIDECAR}.adopt"
            publish.remove(preliminary, at=fd)
            content = adopted.to_json(indent=2).encode() + b"\n"
            publish.write_file(preliminary, content, at=fd, mode=0o644)
            # As with a location's identity: the file is ours, and its successor says more of the same.
            os.replace(preliminary, VOLUME_SIDECAR, src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)
    except FileNotFoundError as error:
        raise OperationFailed(
            FailureReason.VOLUME_MISSING, f"volumes/{name} is not here: nothing was made"
        ) from error
    except (NotADirectoryError, Misread) as error:
        raise _refusal(name, f"no volume of ours: {type(error).__name__}") from error
    log("volume adopted", volume=name, before=found.owner.uid, owner=wanted.uid)
    return adopted


def _refusal(name: str, what: str) -> OperationFailed:
    return OperationFailed(FailureReason.VOLUME_CONFLICT, f"volumes/{name}: {what}; nothing was touched")


def _conflict(wanted: VolumeSidecar, what: str) -> OperationFailed:
    return OperationFailed(
        FailureReason.VOLUME_CONFLICT,
        f"volumes/{wanted.storage_id} exists already: {what}; nothing was touched",
    )


def differs(found: VolumeSidecar, wanted: VolumeSidecar) -> str | None:
    """In what a volume on disk is another than the wanted one. An owner is its UID: names come back."""
    if found.owner.uid != wanted.owner.uid:
        return f"it was made for {found.owner.namespace}/{found.owner.name} of UID {found.owner.uid}"
    for field in _SAME:
        if getattr(found, field) != getattr(wanted, field):
            return f"its {field} is {getattr(found, field)!r}, not {getattr(wanted, field)!r}"
    return None


def delete_volume(location: Location, operation: DeleteVolume, now: int) -> None:
    """The name is free and its unpublished remains are gone; a missing volume is success.

    The bytes wait in the trash for ``trash_seconds``, or are gone at once when that is zero. Durable after
    ``trash/`` and ``volumes/`` are fsynced, by the caller. ``now`` in Unix seconds.
    """
    name = operation.storage_id
    workspace.sweep(name, Kind.VOLUME, tmp=location.tmp)
    entry = move_to_trash(name, at=location.volumes, trash=location.trash, now=now)
    if operation.trash_seconds == 0:
        empty_trash_of(name, trash=location.trash)
    elif entry is not None:
        log("volume moved to trash", volume=name, entry=entry, location=location.identity.location)
