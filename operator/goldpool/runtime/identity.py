"""Are these the disks the machine was told of? Asked before anything is opened by QEMU."""

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from goldpool.contracts.layout import (
    PARENT_SIDECAR,
    VOLUME_DISK,
    VOLUME_SIDECAR,
    ImageFormat,
    ParentSidecar,
    VolumeSidecar,
    parent_file,
)
from goldpool.contracts.machine import Disk, Exit, Machine, ParentDisk
from goldpool.contracts.model import CONTRACT_VERSION, Contract, Misread

_SIDECAR_LIMIT: Final = 64 << 10
_QCOW2_HEADER: Final = struct.Struct(">4sIQIIQIIQQIIQQ")  # up to and with incompatible_features
_DATA_FILE: Final = 1 << 2

SidecarT = TypeVar("SidecarT", bound=Contract)


@dataclass(frozen=True)
class Refusal(Exception):
    """Why the machine must not start. ``reason`` is WrongDisk or DiskMissing."""

    reason: Exit
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def refusal(machine: Machine, disks: Path, parents: Path) -> Refusal | None:
    """None guarantees that every directory's sidecar names the volume or parent expected, and that every image
    is a regular file that leads QEMU to no other. Reads sidecars and headers only; opens nothing for writing."""
    try:
        for disk in machine.disks:
            _check_volume(disk, disks / disk.storage_id)
            if disk.parent is not None:
                _check_parent(disk.parent, parents / disk.parent.parent)
        if machine.cdrom is not None:
            _check_parent(machine.cdrom, parents / machine.cdrom.parent)
    except Refusal as why:
        return why
    return None


def volume_mismatch(disk: Disk, found: VolumeSidecar) -> str:
    """What the volume's sidecar says otherwise; empty when it is the disk expected. All parents of a revision are the
    same bytes, so a restored disk may lie over another one than it was made over."""
    parent = disk.parent.parent if disk.parent else ""
    over = parent if parent and found.parent else found.parent
    revision = disk.parent.revision if disk.parent else ""
    return _first_difference(
        ("storageID", disk.storage_id, found.storage_id),
        ("owner's UID", disk.volume_uid, found.owner.uid),
        ("parent", parent, over),
        ("revision", revision, found.revision),
    )


def parent_mismatch(expected: ParentDisk, found: ParentSidecar) -> str:
    return _first_difference(
        ("parent", expected.parent, found.parent),
        ("revision", expected.revision, found.revision),
        ("format", expected.format, found.format),
    )


def image_objection(header: bytes) -> str:
    """Why this qcow2 is not opened; empty when it may be.

    The backing file is overridden by an explicit node, but an external data file cannot be: QEMU would open
    the path that the image names (CVE-2024-32498).
    """
    if len(header) < _QCOW2_HEADER.size:
        return "is shorter than a qcow2 header"
    magic, version, *_, crypt, _l1, _l1_at, _refs_at, _refs, _snaps, _snaps_at, incompatible = (
        _QCOW2_HEADER.unpack_from(header)
    )
    if magic != b"QFI\xfb" or version not in (2, 3):
        return "is no qcow2 of version 2 or 3"
    if crypt:
        return "is encrypted"
    if version == 3 and incompatible & _DATA_FILE:
        return "names an external data file"
    return ""


def _check_volume(disk: Disk, directory: Path) -> None:
    found = _sidecar(VolumeSidecar, directory / VOLUME_SIDECAR)
    if difference := volume_mismatch(disk, found):
        raise Refusal(Exit.WRONG_DISK, f"disk {disk.name}: {directory / VOLUME_SIDECAR} has {difference}")
    _check_image(directory / VOLUME_DISK, ImageFormat.QCOW2)


def _check_parent(expected: ParentDisk, directory: Path) -> None:
    found = _sidecar(ParentSidecar, directory / PARENT_SIDECAR)
    if difference := parent_mismatch(expected, found):
        raise Refusal(Exit.WRONG_DISK, f"{directory / PARENT_SIDECAR} has {difference}")
    _check_image(directory / parent_file(expected.format), expected.format)


def _first_difference(*facts: tuple[str, str, str]) -> str:
    return next((f"{name} {found!r}, not {want!r}" for name, want, found in facts if want != found), "")


def _sidecar(model: type[SidecarT], path: Path) -> SidecarT:
    try:
        found = model.from_json(_head(path, _SIDECAR_LIMIT))
    except Misread as error:
        raise Refusal(Exit.WRONG_DISK, f"{path} is not a {model.__name__}: {error}") from error
    version = getattr(found, "version", CONTRACT_VERSION)
    if version > CONTRACT_VERSION:
        raise Refusal(Exit.WRONG_DISK, f"{path} is of version {version}, known is {CONTRACT_VERSION}")
    return found


def _check_image(path: Path, image: ImageFormat) -> None:
    header = _head(path, _QCOW2_HEADER.size)
    if image is ImageFormat.QCOW2 and (objection := image_objection(header)):
        raise Refusal(Exit.WRONG_DISK, f"{path} {objection}")


def _head(path: Path, limit: int) -> bytes:
    """The first bytes of a regular file; never through a symbolic link, never waiting for a FIFO."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Refusal(Exit.DISK_MISSING, f"{path} does not exist") from error
    except OSError as error:
        raise Refusal(Exit.DISK_MISSING, f"{path} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refusal(Exit.WRONG_DISK, f"{path} is not a regular file")
        return os.read(fd, limit)
    except OSError as error:
        raise Refusal(Exit.DISK_MISSING, f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
