import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.layout import ImageFormat, VolumeSidecar
from goldpool.contracts.operations import Adopt, DeleteVolume
from goldpool.contracts.report import FailureReason
from goldpool.worker import workspace
from goldpool.worker.overlay import Backing, layout, rounded, write
from goldpool.worker.publish import directory
from goldpool.worker.trash import expired
from goldpool.worker.workspace import Kind
from tests.unit.worker.builders import (
    LOCATION,
    MIB,
    REVISION,
    Pool,
    a_blank,
    a_child,
    an_owner,
    needs_qemu_img,
    qemu_img,
    qemu_io,
)

GIB, TIB = 1 << 30, 1 << 40


def a_deletion(storage_id: str = "v-1", trash_seconds: int = 3600) -> DeleteVolume:
    return DeleteVolume(
        id=f"d-{storage_id}", location=LOCATION, storage_id=storage_id, trash_seconds=trash_seconds
    )


@needs_qemu_img
@pytest.mark.parametrize(
    ("size", "parent_format"),
    list(itertools.product((MIB, 65 * MIB + 512, 256 * MIB, 10 * GIB, 32 * TIB), ("qcow2", "raw"))),
)
def test_qemu_accepts_our_overlays_and_reads_the_parent_through_them(
    tmp_path: Path, size: int, parent_format: str
) -> None:
    parent, child = tmp_path / f"disk.{parent_format}", tmp_path / "child.qcow2"
    qemu_img("create", "-q", "-f", parent_format, parent, str(MIB))
    qemu_io(parent_format, parent, "write -P 7 0 64k", "write -P 9 960k 64k")
    with directory(tmp_path) as at:
        write(child.name, size, Backing(str(parent), parent_format), at=at)
    assert child.stat().st_mode & 0o777 == 0o600
    assert child.stat().st_blocks * 512 <= 64 << 10  # thin: the L1 table is a hole
    qemu_img("check", "-q", "-f", "qcow2", child)
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", child))
    assert info["virtual-size"] == size
    assert info["backing-filename"] == str(parent)
    assert info["backing-filename-format"] == parent_format
    assert info["format-specific"]["data"]["extended-l2"] is True
    if size <= GIB:
        qemu_img("compare", "-q", "-f", parent_format, "-F", "qcow2", parent, child)
    middle, end = size // 2 // 512 * 512, size - 512
    qemu_io("qcow2", child, f"write -P 3 {middle} 512", f"write -P 4 {end} 512")
    qemu_io("qcow2", child, f"read -P 3 {middle} 512", f"read -P 4 {end} 512", "read -P 7 0 64k")
    qemu_img("check", "-q", "-f", "qcow2", child)


@needs_qemu_img
@pytest.mark.parametrize("size", [512, MIB, 256 * MIB + 512, TIB])
def test_qemu_accepts_our_blank_disks(tmp_path: Path, size: int) -> None:
    with directory(tmp_path) as at:
        write("disk.qcow2", size, None, at=at)
    qemu_img("check", "-q", "-f", "qcow2", tmp_path / "disk.qcow2")
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", tmp_path / "disk.qcow2"))
    assert info["virtual-size"] == size
    assert "backing-filename" not in info


@given(st.integers(1, 1 << 50), st.text("abc-/.", min_size=1, max_size=300))
def test_the_pieces_of_an_image_lie_in_clusters_of_their_own(size: int, path: str) -> None:
    image = layout(rounded(size), Backing(path, "qcow2"))
    assert all(offset + len(data) <= offset // 65536 * 65536 + 65536 for offset, data in image.pieces)
    assert image.file_bytes % 65536 == 0
    assert image.file_bytes // 65536 <= 32768  # what one refcount block counts


def test_a_child_is_published_with_its_sidecar(pool: Pool) -> None:
    assert pool.one(a_child(virtual_bytes=20 * MIB + 1)) is None
    volume = pool.path / "volumes/v-1"
    assert sorted(path.name for path in volume.iterdir()) == ["disk.qcow2", "volume.json"]
    assert VolumeSidecar.from_json((volume / "volume.json").read_bytes()) == VolumeSidecar(
        storage_id="v-1", owner=an_owner(), virtual_bytes=20 * MIB + 512, parent="p-1", revision=REVISION
    )
    assert b"/parents/p-1/disk.qcow2" in (volume / "disk.qcow2").read_bytes()[:65536]
    assert pool.unpublished() == []


@pytest.mark.parametrize("operation", [a_child(), a_blank()], ids=lambda operation: operation.kind)
def test_a_second_creation_is_success_and_touches_nothing(pool: Pool, operation: Any) -> None:
    assert pool.one(operation) is None
    disk = pool.path / "volumes/v-1/disk.qcow2"
    disk.write_bytes(b"a guest wrote here")
    assert pool.one(operation) is None
    assert disk.read_bytes() == b"a guest wrote here"


@pytest.mark.parametrize(
    "second",
    [
        a_child(owner=an_owner(uid="o-2")),
        a_child(parent="p-2"),
        a_child(revision="b" * 64),
        a_child(virtual_bytes=30 * MIB),
        a_blank(),
    ],
)
def test_a_taken_name_is_a_conflict_and_is_not_touched(pool: Pool, second: Any) -> None:
    assert pool.one(a_child()) is None
    before = pool.tree()
    failure = pool.one(second)
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_CONFLICT
    assert pool.tree() == before


@pytest.mark.parametrize(
    "occupy",
    [
        lambda path: path.mkdir(),  # an empty directory: rename(2) alone would replace it
        lambda path: path.write_text("?"),
        lambda path: path.symlink_to("/nowhere"),
    ],
)
def test_whatever_has_the_name_stays(pool: Pool, occupy: Any) -> None:
    occupy(pool.path / "volumes/v-1")
    before = pool.tree()
    failure = pool.one(a_child())
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_CONFLICT
    assert pool.tree() == before


def test_a_volume_that_lost_its_disk_is_not_made_anew(pool: Pool) -> None:
    assert pool.one(a_child()) is None
    (pool.path / "volumes/v-1/disk.qcow2").unlink()
    failure = pool.one(a_child())
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_CONFLICT


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (a_child(virtual_bytes=10 * MIB - 512), "smaller than its parent"),
        (a_child(parent_format=ImageFormat.ISO), "ISO"),
        (a_blank(virtual_bytes=1 << 51), "limit"),
    ],
)
def test_what_can_never_be_a_volume_is_unsupported(pool: Pool, operation: Any, says: str) -> None:
    before = pool.tree()
    failure = pool.one(operation)
    assert failure is not None
    assert failure.reason is FailureReason.UNSUPPORTED
    assert says in failure.message
    assert pool.tree() == before


def test_leftovers_of_the_same_name_are_cleaned_and_no_others(pool: Pool) -> None:
    tmp = pool.path / "tmp"
    for entry in ("v-1.0123abcd.volume", "v-1.x.0123abcd.volume", "v-1.0123abcd.parent", "v-1.notes"):
        (tmp / entry).mkdir()
        (tmp / entry / "disk.qcow2").write_bytes(b"half")
    assert pool.one(a_child()) is None
    assert pool.unpublished() == ["v-1.0123abcd.parent", "v-1.notes", "v-1.x.0123abcd.volume"]


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True), st.sampled_from(Kind))
def test_an_entry_belongs_to_exactly_its_name_and_kind(name: str, kind: Kind) -> None:
    entry = workspace.new_entry(name, kind)
    assert workspace.belongs_to(entry, name, kind)
    assert not workspace.belongs_to(entry, name + ".a", kind)
    assert not workspace.belongs_to(entry, name[:-1], kind)
    assert not any(workspace.belongs_to(entry, name, other) for other in Kind if other is not kind)


def test_a_batch_does_everything_it_can(pool: Pool) -> None:
    (pool.path / "volumes/v-50").write_text("taken")
    report = pool.run(*(a_child(f"v-{number}") for number in range(200)))
    assert [failure.index for failure in report.failures] == [50]
    assert [index for index in range(200) if not report.succeeded(index)] == [50]
    assert len(list((pool.path / "volumes").iterdir())) == 200


def test_a_deleted_volume_waits_in_the_trash(pool: Pool) -> None:
    assert pool.one(a_child()) is None
    assert pool.one(a_deletion(), now=1_700_000_000) is None
    assert not (pool.path / "volumes/v-1").exists()
    assert (pool.path / "trash/v-1.1700000000/disk.qcow2").is_file()
    assert pool.one(a_deletion(), now=1_700_000_001) is None  # asked again


def test_without_patience_a_deleted_volume_is_gone_at_once(pool: Pool) -> None:
    assert pool.one(a_child()) is None
    (pool.path / "trash/v-1.1600000000").mkdir()
    (pool.path / "tmp/v-1.0123abcd.volume").mkdir()
    assert pool.one(a_deletion(trash_seconds=0)) is None
    assert list((pool.path / "trash").iterdir()) == []
    assert pool.unpublished() == []


def test_a_link_under_a_volumes_name_is_removed_and_not_followed(pool: Pool, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    (pool.path / "volumes/v-1").symlink_to(outside)
    (pool.path / "volumes/v-2").mkdir()
    (pool.path / "volumes/v-2/link").symlink_to(outside)
    report = pool.run(a_deletion("v-1", 0), a_deletion("v-2", 0))
    assert report.done == "3"
    assert (outside / "file").read_text() == "stays"
    assert list((pool.path / "volumes").iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "gone"),
    [
        ("v-1.1000000000", True),
        ("v-1.x.1000000000", True),
        ("v-1.1000003600", False),  # not older, just as old
        ("v-1", False),
        ("v-1.12", False),
        ("V 1.1000000000", False),
        (".hidden.1000000000", False),
        ("v-1.1000000000.keep", False),
    ],
)
def test_only_old_entries_of_ours_leave_the_trash(entry: str, gone: bool) -> None:
    assert expired(entry, trash_seconds=3600, now=1_000_007_200) is gone


def test_a_deletion_sweeps_old_trash_by_the_longest_patience_of_its_batch(pool: Pool) -> None:
    now = 1_700_000_000
    for entry in (f"old.{now - 4000}", f"young.{now - 3000}", "foreign"):
        (pool.path / "trash" / entry).mkdir()
    pool.run(a_deletion("v-1", 0), a_deletion("v-2", 3600), now=now)
    assert sorted(path.name for path in (pool.path / "trash").iterdir()) == ["foreign", f"young.{now - 3000}"]


# -- adopted


def an_adoption(storage_id: str = "v-1", **owner: str) -> Adopt:
    restored = an_owner(**({"uid": "o-2"} | owner))
    return Adopt(id=f"a-{storage_id}", location=LOCATION, storage_id=storage_id, owner=restored)


def sidecar_of(pool: Pool, storage_id: str = "v-1") -> VolumeSidecar:
    return VolumeSidecar.from_json((pool.path / "volumes" / storage_id / "volume.json").read_bytes())


def test_a_restored_object_takes_its_disk_over_and_hears_what_it_is(pool: Pool) -> None:
    assert pool.one(a_child()) is None
    disk = pool.path / "volumes" / "v-1" / "disk.qcow2"
    before, sidecar = disk.read_bytes(), sidecar_of(pool)
    for _ in range(2):  # done again it is the same
        report = pool.run(an_adoption())
        (found,) = report.adopted
        assert (found.index, found.parent, found.revision) == (0, sidecar.parent, sidecar.revision)
        assert found.virtual_bytes == sidecar.virtual_bytes
        assert sidecar_of(pool) == sidecar.replace(owner=an_owner(uid="o-2"))
    assert disk.read_bytes() == before
    assert sorted(x.name for x in disk.parent.iterdir()) == ["disk.qcow2", "volume.json"]


def test_each_of_a_batch_hears_of_its_own_disk(pool: Pool) -> None:
    assert pool.run(a_blank("v-1"), a_child("v-2")).failures == ()
    report = pool.run(an_adoption("v-0"), an_adoption("v-1"), an_adoption("v-2"))
    assert [(x.index, x.revision) for x in report.adopted] == [(1, ""), (2, REVISION)]
    assert [(x.index, x.reason) for x in report.failures] == [(0, FailureReason.VOLUME_MISSING)]


@pytest.mark.parametrize("other", [{"namespace": "team-b"}, {"name": "web-2-root"}])
def test_the_disk_of_another_object_is_left_as_it_is(pool: Pool, other: dict[str, str]) -> None:
    assert pool.one(a_blank()) is None
    before = pool.tree()
    failure = pool.one(an_adoption(**other))
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_CONFLICT
    assert "team-a/web-1-root" in failure.message
    assert pool.tree() == before


def test_a_disk_that_is_not_there_is_not_made(pool: Pool) -> None:
    before = pool.tree()
    failure = pool.one(an_adoption())
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_MISSING
    assert pool.tree() == before


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_what_is_no_volume_of_ours_is_not_adopted(pool: Pool, content: bytes | None) -> None:
    theirs = pool.path / "volumes" / "v-1"
    if content is None:
        theirs.write_bytes(b"a file")
    else:
        theirs.mkdir()
        (theirs / "disk.qcow2").write_bytes(b"")
        (theirs / "volume.json").write_bytes(content)
    before = pool.tree()
    failure = pool.one(an_adoption())
    assert failure is not None
    assert failure.reason is FailureReason.VOLUME_CONFLICT
    assert pool.tree() == before
