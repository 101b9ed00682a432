"""Where bytes are inside a location, and the sidecars that say whose they are.

    <pool path>/.goldpool/location.json     who this location is (LocationIdentity)
    <pool path>/templates/<parent>/         parent.json and disk.<format>, files 0444
    <pool path>/volumes/<storageID>/        volume.json and disk.qcow2
    <pool path>/tmp/                        unpublished work, one entry per operation
    <pool path>/trash/                      deleted volumes, for a while

A pod sees a location at ``/pools/<location ID>``; the ID is minted once, so a re-created pool of the same
name is another path and a late operation of a lost host cannot reach it.
"""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Final

from msgspec import Meta

from goldpool.contracts.model import CONTRACT_VERSION, Contract, Count, Positive

POOLS_ROOT: Final = PurePosixPath("/pools")
IDENTITY_FILE: Final = PurePosixPath(".goldpool/location.json")
TEMPLATES: Final = "templates"
VOLUMES: Final = "volumes"
TMP: Final = "tmp"
TRASH: Final = "trash"
DIRECTORIES: Final = (TEMPLATES, VOLUMES, TMP, TRASH)
PARENT_SIDECAR: Final = "parent.json"
VOLUME_SIDECAR: Final = "volume.json"
VOLUME_DISK: Final = "disk.qcow2"

STORAGE_UID: Final = 107
"""The user that owns every file of Goldpool and runs both storage Jobs and QEMU (Debian's libvirt-qemu has no
fixed number; 107 is what the references measured with)."""

NameOnDisk = Annotated[str, Meta(pattern=r"\A[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")]
"""A location ID, Parent name or storageID. Never reused; safe as one path component by construction
(no slash, and no leading dot, so neither ``.`` nor ``..``)."""

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A revision: the digest of a parent's published bytes, in hex."""


class ImageFormat(StrEnum):
    """What QEMU is told a parent is. Never probed."""

    QCOW2 = "qcow2"
    RAW = "raw"
    ISO = "iso"


class Owner(Contract):
    """The object a volume was made for, so that a pool can be re-adopted and a namesake told apart."""

    namespace: str
    name: str
    uid: str


class LocationIdentity(Contract):
    """``.goldpool/location.json``: what stands on the disk about the location itself."""

    version: int = CONTRACT_VERSION
    location: NameOnDisk
    cluster: str
    """UID of the kube-system namespace of the cluster that owns these bytes."""
    pool: str
    node: str = ""
    """The Node's name; empty for a Shared pool."""
    node_uid: str = ""


class ParentSidecar(Contract):
    """``parent.json``: what a published parent is."""

    version: int = CONTRACT_VERSION
    parent: NameOnDisk
    template: str
    template_uid: str
    format: ImageFormat
    revision: Sha256
    file_bytes: Count
    virtual_bytes: Count


class VolumeSidecar(Contract):
    """``volume.json``: what a published volume is. ``parent`` and ``revision`` are empty for a blank disk."""

    version: int = CONTRACT_VERSION
    storage_id: NameOnDisk
    owner: Owner
    virtual_bytes: Positive
    parent: str = ""
    revision: str = ""


def location_path(location: str) -> PurePosixPath:
    """Where every pod of ours mounts the location."""
    return POOLS_ROOT / location


def parent_file(image: ImageFormat) -> str:
    return f"disk.{image.value}"


def parent_directory(parent: str) -> PurePosixPath:
    """Relative to the location's root."""
    return PurePosixPath(TEMPLATES) / parent


def volume_directory(storage_id: str) -> PurePosixPath:
    """Relative to the location's root."""
    return PurePosixPath(VOLUMES) / storage_id
