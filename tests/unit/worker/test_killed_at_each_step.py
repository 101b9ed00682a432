"""A fetch that is killed before each single thing it does: nothing half is ever published, and what it leaves goes with
the next fetch of the same parent, or with its deletion."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat, ParentSidecar
from goldpool.contracts.operations import Batch, DeleteParent, Fetch
from goldpool.contracts.report import FailureReason
from tests.servers.misbehaving import Answer, Body, Server, in_turn
from tests.unit.worker.builders import (
    LOCATION,
    MIB,
    Pool,
    a_checksum,
    a_fetch,
    a_pool,
    a_raw_disk,
    needs_qemu_img,
    qemu_img,
    qemu_io,
)
from tests.unit.worker.dying import dies

DISK = a_raw_disk()
PAGE = b"<html>sign in</html>".ljust(512)


@dataclass(frozen=True)
class Case:
    answer: Answer
    content: bytes
    format: ImageFormat = ImageFormat.RAW
    refused: FailureReason | None = None

    def fetch(self, url: str) -> Fetch:
        checksum = a_checksum(hashlib.sha256(self.content).hexdigest())
        changes: dict[str, Any] = {"checksums": (checksum,), "format": self.format}
        return a_fetch(url, **changes)


def a_qcow2(directory: Path) -> bytes:
    path = directory / "image"
    qemu_img("create", "-q", "-f", "qcow2", path, str(64 * MIB))
    qemu_io("qcow2", path, "write -q -P 1 1M 1M")
    return path.read_bytes()


def the_case(name: str, directory: Path) -> Case:
    match name:
        case "whole":
            return Case(Body(DISK), DISK)
        case "continued":
            # The first connection of each process breaks off, so that each step of a resumption is there, too.
            broken = Body(DISK, etag='"v1"', cut_at=2 * MIB + 77)
            return Case(in_turn(*[broken, Body(DISK, etag='"v1"')] * 300), DISK)
        case "qcow2":
            image = a_qcow2(directory)
            return Case(Body(image), image, ImageFormat.QCOW2)
        case _:
            return Case(Body(PAGE), PAGE, refused=FailureReason.WRONG_FORMAT)


def whole_or_nothing(pool: Pool, case: Case) -> bool:
    """Whether the parent is published: then it is complete; if not, there is no trace of it under its name."""
    parent = pool.path / "templates/p-1"
    if not parent.exists():
        return False
    assert sorted(path.name for path in parent.iterdir()) == [f"disk.{case.format}", "parent.json"]
    assert (parent / f"disk.{case.format}").read_bytes() == case.content
    sidecar = ParentSidecar.from_json((parent / "parent.json").read_bytes())
    assert sidecar.revision == hashlib.sha256(case.content).hexdigest()
    assert {path.stat().st_mode & 0o777 for path in parent.iterdir()} == {0o444}
    return True


@needs_qemu_img
@pytest.mark.parametrize("name", ["whole", "continued", "qcow2", "refused"])
def test_killed_before_each_thing_it_does(tmp_path: Path, server: Server, name: str) -> None:
    case = the_case(name, tmp_path)
    operation = case.fetch(server.answer("/d", case.answer))
    deletion = DeleteParent(id="d", location=LOCATION, parent="p-1")
    step = published = 0
    while True:
        step += 1
        pool = a_pool(tmp_path / f"{step}")
        died = dies(Batch(operations=(operation,), identities=(pool.identity,)), pool.root, step)
        published += whole_or_nothing(pool, case)
        # Its object may be deleted now ...
        copy = Pool(tmp_path / f"{step}-deleted", pool.identity)
        shutil.copytree(pool.root, copy.root)
        assert copy.one(deletion) is None
        assert [*(copy.path / "templates").iterdir(), *copy.unpublished()] == []
        assert list((copy.path / "trash").iterdir()) == []
        # ... or it is fetched again.
        failure = pool.one(operation)
        assert (failure.reason if failure else None) is case.refused
        assert pool.unpublished() == []
        assert whole_or_nothing(pool, case) is (case.refused is None)
        for each in (pool, copy):
            shutil.rmtree(each.root)
        if not died:
            break
    assert step > 15, "its steps are not seen"
    assert (published > 1) is (case.refused is None), "it was killed before and after it published"
