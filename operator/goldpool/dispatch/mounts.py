"""How a pod reaches a location's bytes: the volume and its mount, as the pod spec wants them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from goldpool.contracts.layout import LocationIdentity, location_path
from goldpool.contracts.source import CA_DIRECTORY, CA_FILE, CREDENTIALS_DIRECTORY, Source


@dataclass(frozen=True, slots=True)
class HostPath:
    """An absolute directory of the executing host; one that an administrator allowed."""

    path: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim of the data namespace: a user's, or one that the operator made for an NFS export."""

    name: str


Backing = HostPath | Claim


@dataclass(frozen=True, slots=True)
class LocationMount:
    """One location and where its bytes come from. ``identity`` is what must stand on it before anything is written."""

    location: str
    backing: Backing
    identity: LocationIdentity


def pool_volume(
    mount: LocationMount, name: str, *, read_only: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(pod volume, volumeMount): the whole location at ``/pools/<location ID>``. For storage Jobs only.

    A hostPath is of type ``Directory``: a missing path fails instead of being made on the root disk.
    """
    volume = _volume(mount.backing, name)
    return volume, _mount(name, str(location_path(mount.location)), read_only=read_only)


def directory_volume(
    mount: LocationMount, relative: PurePosixPath, mount_path: str, name: str, read_only: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(pod volume, volumeMount): one directory of the location, and nothing beside it. For VM pods.

    A hostPath names that very directory with type ``Directory``, so a missing one fails. A claim can only be
    narrowed by ``subPath``, where the kubelet makes a missing directory (jobs.md §4): the runtime's check of the
    sidecar tells the difference.
    """
    if relative.is_absolute() or ".." in relative.parts or relative == PurePosixPath():
        raise ValueError(f"not a directory inside a location: {relative}")
    match mount.backing:
        case HostPath(path):
            inside = HostPath(str(PurePosixPath(path) / relative))
            return _volume(inside, name), _mount(name, mount_path, read_only=read_only)
        case Claim():
            volume_mount = _mount(name, mount_path, read_only=read_only)
            return _volume(mount.backing, name), volume_mount | {"subPath": str(relative)}


def source_volumes(source: Source) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(pod volume, volumeMount) of a source's Secret and CA bundle. For storage Jobs only.

    Optional, because a pod that waits for a missing Secret says nothing, while the Job says what is missing. As files,
    because those are renewed under a transfer, and nobody reads them in the pod's spec.
    """
    if source.secret:
        volume = {"name": "credentials", "secret": {"secretName": source.secret, "optional": True}}
        yield volume, _mount("credentials", str(CREDENTIALS_DIRECTORY), read_only=True)
    if source.ca_bundle:
        items = [{"key": source.ca_key, "path": CA_FILE}]
        bundle = {"name": source.ca_bundle, "items": items, "optional": True}
        yield {"name": "ca", "configMap": bundle}, _mount("ca", str(CA_DIRECTORY), read_only=True)


def _volume(backing: Backing, name: str) -> dict[str, Any]:
    match backing:
        case HostPath(path):
            return {"name": name, "hostPath": {"path": path, "type": "Directory"}}
        case Claim(claim):
            return {"name": name, "persistentVolumeClaim": {"claimName": claim}}


def _mount(name: str, path: str, *, read_only: bool) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    return mount | {"readOnly": True} if read_only else mount
