"""Machines, sidecars and images with defaults, so that a test names only what it is about."""

import subprocess
from pathlib import Path
from typing import Any

from goldpool.contracts.layout import ImageFormat, Owner, ParentSidecar, VolumeSidecar
from goldpool.contracts.machine import Disk, Machine, ParentDisk

REVISION = "ab" * 32
UID = "6f6b3c2e-6d0e-4f0c-8f57-6a1f7f1c9d10"
VOLUME_UID = "volume-uid"


def a_parent(**given: Any) -> ParentDisk:
    return ParentDisk.from_fields({"parent": "p-1", "format": "qcow2", "revision": REVISION} | given)


def a_disk(**given: Any) -> Disk:
    default = {
        "name": "root",
        "storage_id": "v-1",
        "volume_uid": VOLUME_UID,
        "boot": True,
        "parent": a_parent(),
    }
    return Disk.from_fields(default | given)


def a_machine(*disks: Disk, **given: Any) -> Machine:
    default = {"name": "web-1", "uid": UID, "cpus": 1, "memory_bytes": 64 << 20, "stop_seconds": 1}
    return Machine.from_fields(default | {"disks": disks or (a_disk(),)} | given)


def a_volume_sidecar(**given: Any) -> VolumeSidecar:
    default = {
        "storage_id": "v-1",
        "owner": Owner(namespace="team-a", name="web-1-root", uid=VOLUME_UID),
        "virtual_bytes": 16 << 20,
        "parent": "p-1",
        "revision": REVISION,
    }
    return VolumeSidecar.from_fields(default | given)


def a_parent_sidecar(**given: Any) -> ParentSidecar:
    default = {
        "parent": "p-1",
        "template": "debian-12",
        "template_uid": "template-uid",
        "format": ImageFormat.QCOW2,
        "revision": REVISION,
        "file_bytes": 1,
        "virtual_bytes": 16 << 20,
    }
    return ParentSidecar.from_fields(default | given)


def lay_parent(root: Path, sector: bytes, **sidecar: Any) -> Path:
    """``<root>/p-1`` with a 16 MiB image that boots ``sector``. Returns the image."""
    found = a_parent_sidecar(**sidecar)
    directory = root / found.parent
    directory.mkdir(parents=True)
    raw = directory / "source"
    raw.write_bytes(sector)
    with raw.open("r+b") as file:
        file.truncate(16 << 20)
    image = directory / f"disk.{found.format}"
    if found.format is ImageFormat.QCOW2:
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
        raw.unlink()
    else:
        raw.rename(image)
    image.chmod(0o444)
    (directory / "parent.json").write_text(found.to_json())
    return image


def lay_child(root: Path, over: Path | None, **sidecar: Any) -> Path:
    """``<root>/v-1`` with a qcow2 whose backing path leads nowhere: only the explicit node can find the parent."""
    found = a_volume_sidecar(**sidecar)
    directory = root / found.storage_id
    directory.mkdir(parents=True)
    image = directory / "disk.qcow2"
    argv = ["qemu-img", "create", "-q", "-u", "-f", "qcow2"]
    if over is not None:
        argv += ["-b", "/nowhere/disk.qcow2", "-F", over.suffix[1:].replace("iso", "raw")]
    subprocess.run([*argv, image, str(found.virtual_bytes)], check=True)
    (directory / "volume.json").write_text(found.to_json())
    return image
