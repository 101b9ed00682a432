import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import Owner
from goldpool.contracts.machine import Exit
from goldpool.runtime.identity import image_objection, parent_mismatch, refusal, volume_mismatch
from tests.unit.runtime.builders import (
    a_disk,
    a_machine,
    a_parent,
    a_parent_sidecar,
    a_volume_sidecar,
    lay_child,
    lay_parent,
)

OTHER = "cd" * 32


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ({}, ""),
        ({"storage_id": "v-2"}, "storageID 'v-2', not 'v-1'"),
        ({"owner": Owner(namespace="team-a", name="web-1-root", uid="other")}, "owner's UID"),
        ({"parent": "", "revision": ""}, "parent '', not 'p-1'"),  # a blank disk where a child should be
        ({"revision": OTHER}, "revision"),
        ({"owner": Owner(namespace="elsewhere", name="moved", uid="volume-uid")}, ""),  # the UID is who it is
    ],
)
def test_a_volume_is_known_by_name_owner_and_parent(found: dict[str, Any], difference: str) -> None:
    assert volume_mismatch(a_disk(), a_volume_sidecar(**found)).startswith(difference)
    assert bool(volume_mismatch(a_disk(), a_volume_sidecar(**found))) == bool(difference)


def test_another_parent_of_the_same_revision_is_as_good() -> None:
    """A restored disk's own one may be gone meanwhile."""
    assert volume_mismatch(a_disk(), a_volume_sidecar(parent="p-2")) == ""


def test_a_blank_disk_must_have_no_parent() -> None:
    assert volume_mismatch(a_disk(parent=None), a_volume_sidecar(parent="", revision="")) == ""
    assert volume_mismatch(a_disk(parent=None), a_volume_sidecar()) == "parent 'p-1', not ''"


@pytest.mark.parametrize(
    ("found", "difference"),
    [
        ({}, ""),
        ({"parent": "p-2"}, "parent"),
        ({"revision": OTHER}, "revision"),
        ({"format": "raw"}, "format"),
    ],
)
def test_a_parent_is_known_by_name_revision_and_format(found: dict[str, Any], difference: str) -> None:
    assert parent_mismatch(a_parent(), a_parent_sidecar(**found)).partition(" ")[0] == difference


def header(version: int = 3, crypt: int = 0, incompatible: int = 0, magic: bytes = b"QFI\xfb") -> bytes:
    return struct.pack(
        ">4sIQIIQIIQQIIQQ", magic, version, 0, 0, 16, 1 << 20, crypt, 1, 0, 0, 1, 0, 0, incompatible
    )


@pytest.mark.parametrize(
    ("head", "objection"),
    [
        (header(), ""),
        (header(incompatible=1 << 4), ""),  # extended L2
        (header(incompatible=1 << 2), "names an external data file"),
        (header(version=2, incompatible=1 << 2), ""),  # version 2 has no such field
        (header(crypt=2), "is encrypted"),
        (header(magic=b"KDMV"), "is no qcow2 of version 2 or 3"),
        (b"QFI\xfb", "is shorter than a qcow2 header"),
    ],
)
def test_an_image_that_leads_elsewhere_is_not_opened(head: bytes, objection: str) -> None:
    assert image_objection(head) == objection


def _remove_disk(disks: Path, parents: Path) -> None:
    (disks / "v-1" / "disk.qcow2").unlink()


def _remove_sidecar(disks: Path, parents: Path) -> None:
    (disks / "v-1" / "volume.json").unlink()


def _remove_parent(disks: Path, parents: Path) -> None:
    (parents / "p-1" / "disk.qcow2").unlink()


def _unknown_field(disks: Path, parents: Path) -> None:
    (disks / "v-1" / "volume.json").write_text('{"storage_id": "v-1", "surprise": 1}')


def _newer_version(disks: Path, parents: Path) -> None:
    (parents / "p-1" / "parent.json").write_text(a_parent_sidecar(version=99).to_json())


def _other_parent(disks: Path, parents: Path) -> None:
    (parents / "p-1" / "parent.json").write_text(a_parent_sidecar(revision=OTHER).to_json())


def _symbolic_link(disks: Path, parents: Path) -> None:
    disk = disks / "v-1" / "disk.qcow2"
    disk.rename(disks / "elsewhere")
    disk.symlink_to(disks / "elsewhere")


def _fifo(disks: Path, parents: Path) -> None:
    _remove_disk(disks, parents)
    os.mkfifo(disks / "v-1" / "disk.qcow2")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (None, None),
        (_remove_disk, Exit.DISK_MISSING),
        (_remove_sidecar, Exit.DISK_MISSING),
        (_remove_parent, Exit.DISK_MISSING),
        (_unknown_field, Exit.WRONG_DISK),
        (_newer_version, Exit.WRONG_DISK),
        (_other_parent, Exit.WRONG_DISK),
        (_symbolic_link, Exit.DISK_MISSING),
        (_fifo, Exit.WRONG_DISK),
    ],
)
def test_only_the_very_disks_are_accepted(
    damage: Callable[[Path, Path], None] | None, reason: Exit | None, tmp_path: Path
) -> None:
    disks, parents = tmp_path / "disks", tmp_path / "parents"
    lay_child(disks, lay_parent(parents, b""))
    if damage:
        damage(disks, parents)
    why = refusal(a_machine(), disks, parents)
    assert (why.reason if why else None) == reason


def test_the_cdrom_is_checked_too(tmp_path: Path) -> None:
    lay_child(tmp_path, lay_parent(tmp_path, b""))
    machine = a_machine(cdrom=a_parent(parent="iso-1", format="iso"))
    why = refusal(machine, tmp_path, tmp_path)
    assert why is not None
    assert str(why) == f"DiskMissing: {tmp_path}/iso-1/parent.json does not exist"
