"""Work that nobody comes back to is swept by age, and only that."""

import os
from pathlib import Path

import pytest

from goldpool.contracts.operations import DeleteVolume, Operation
from goldpool.worker.fetch.lock import only_fetch
from goldpool.worker.leftovers import LEFTOVER_SECONDS, sweep_leftovers
from goldpool.worker.publish import directory
from tests.servers.misbehaving import Server, body
from tests.unit.worker.builders import LOCATION, Pool, a_blank, a_fetch, a_raw_disk

NOW = 1_700_000_000.0
OLD, YOUNG = NOW - LEFTOVER_SECONDS - 60, NOW - LEFTOVER_SECONDS + 600


def an_entry(pool: Pool, name: str, *, written: float, inside: float | None = None) -> Path:
    """A directory of ``tmp/`` with a disk in it, both last written to at their times."""
    path = pool.path / "tmp" / name
    path.mkdir()
    (path / "disk.raw").write_bytes(b"half")
    os.utime(path / "disk.raw", times=(written if inside is None else inside,) * 2)
    os.utime(path, times=(written, written))
    return path


def swept(pool: Pool) -> list[str]:
    with directory(pool.path / "tmp") as tmp:
        sweep_leftovers(tmp=tmp, now=NOW)
    return pool.unpublished()


@pytest.mark.parametrize(
    ("name", "written", "inside", "stays"),
    [
        ("p-1.0123abcd.parent", OLD, OLD, False),
        ("v-1.0123abcd.volume", OLD, OLD, False),
        ("p-1.0123abcd.parent", YOUNG, YOUNG, True),
        ("v-1.0123abcd.volume", YOUNG, YOUNG, True),
        ("p-1.0123abcd.parent", OLD, YOUNG, True),  # a transfer writes to the file, not to its directory
        ("p-1.0123abcd.parent", YOUNG, OLD, True),
        ("somebody-elses", OLD, OLD, True),
        ("p-1.0123abcd.backup", OLD, OLD, True),
    ],
)
def test_age_tells(pool: Pool, name: str, written: float, inside: float, stays: bool) -> None:
    an_entry(pool, name, written=written, inside=inside)
    assert swept(pool) == ([name] if stays else [])


def test_a_lock_that_nobody_holds_goes_too(pool: Pool) -> None:
    lock = pool.path / "tmp/p-1.00000000.lock"
    lock.touch()
    os.utime(lock, times=(OLD, OLD))
    assert swept(pool) == []


def test_a_fetch_at_work_keeps_its_files_however_long_it_waits(pool: Pool) -> None:
    entry = an_entry(pool, "p-1.0123abcd.parent", written=OLD)
    with directory(pool.path / "tmp") as tmp, only_fetch("p-1", tmp=tmp, patience_seconds=0):
        lock = pool.path / "tmp/p-1.00000000.lock"
        os.utime(lock, times=(OLD, OLD))
        assert swept(pool) == [lock.name, entry.name]
    assert swept(pool) == []


def test_a_link_leads_nowhere(pool: Pool, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    link = pool.path / "tmp/p-1.0123abcd.parent"
    link.symlink_to(outside)
    os.utime(link, times=(OLD, OLD), follow_symlinks=False)
    assert swept(pool) == []
    assert (outside / "kept").exists()


def test_whoever_brings_or_takes_bytes_sweeps(pool: Pool, server: Server) -> None:
    fetched = a_fetch(server.answer("/d", body(a_raw_disk())), parent="p-2")
    assert pool.one(a_blank("v-2")) is None
    gone = DeleteVolume(id="d", location=LOCATION, storage_id="v-2", trash_seconds=0)
    operations: tuple[Operation, ...] = (fetched, gone)
    for operation in operations:
        an_entry(pool, "p-1.0123abcd.parent", written=OLD)
        assert pool.one(operation, now=NOW) is None
        assert pool.unpublished() == []
