"""Builders with defaults: a test names only what it is about."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.layout import ImageFormat, LocationIdentity, Owner
from goldpool.contracts.network import AddressRules
from goldpool.contracts.operations import (
    Batch,
    Checksum,
    CreateBlank,
    CreateChild,
    Fetch,
    FetchPolicy,
    Initialize,
    Operation,
)
from goldpool.contracts.report import Failure, Report
from goldpool.contracts.source import Source
from goldpool.worker.batch import Host, run

LOCATION = "l-1"
REVISION = "a" * 64
MIB = 1 << 20

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (qemu-utils)")


def an_identity(**changes: str) -> LocationIdentity:
    fields = {"location": LOCATION, "cluster": "c-1", "pool": "std", "node": "node-1", "node_uid": "u-1"}
    return LocationIdentity.from_fields(fields | changes)


@dataclass(frozen=True)
class Pool:
    """The directory under which locations are mounted, with one location in it."""

    root: Path
    identity: LocationIdentity

    @property
    def path(self) -> Path:
        return self.root / self.identity.location

    def run(self, *operations: Operation, now: float = 1_500_000_000, **changes: Any) -> Report:
        """``identities`` default to the pool's own."""
        batch = Batch(operations=operations, identities=changes.pop("identities", (self.identity,)))
        return run(batch, Host(pools=self.root, now=lambda: now, **changes))

    def one(self, operation: Operation, **changes: Any) -> Failure | None:
        """The failure of a single operation, None when it succeeded."""
        report = self.run(operation, **changes)
        assert report.succeeded(0) != bool(report.failures)
        return report.failures[0] if report.failures else None

    def tree(self) -> dict[str, bytes | str]:
        """Everything at the location: files with content, links with target, directories with ``/``."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.path.rglob("*")):
            name = str(path.relative_to(self.path))
            if path.is_symlink():
                found[name] = str(path.readlink())
            else:
                found[name] = "/" if path.is_dir() else path.read_bytes()
        return found

    def unpublished(self) -> list[str]:
        return sorted(path.name for path in (self.path / "tmp").iterdir())


def a_pool(root: Path, identity: LocationIdentity | None = None) -> Pool:
    pool = Pool(root, identity or an_identity())
    pool.path.mkdir(parents=True)
    assert pool.one(an_initialize(pool.identity)) is None
    return pool


def an_initialize(identity: LocationIdentity | None = None, *, require_mount: bool = False) -> Initialize:
    identity = identity or an_identity()
    return Initialize(id="i", location=identity.location, identity=identity, require_mount=require_mount)


def an_owner(**changes: str) -> Owner:
    return Owner.from_fields({"namespace": "team-a", "name": "web-1-root", "uid": "o-1"} | changes)


def a_child(storage_id: str = "v-1", **changes: Any) -> CreateChild:
    fields: dict[str, Any] = {
        "id": storage_id,
        "location": LOCATION,
        "storage_id": storage_id,
        "owner": an_owner(),
        "virtual_bytes": 20 * MIB,
        "parent": "p-1",
        "parent_location": "g-1",
        "parent_format": ImageFormat.QCOW2,
        "parent_virtual_bytes": 10 * MIB,
        "revision": REVISION,
    }
    return CreateChild.from_fields(fields | changes)


def a_blank(storage_id: str = "v-1", **changes: Any) -> CreateBlank:
    fields: dict[str, Any] = {
        "id": storage_id,
        "location": LOCATION,
        "storage_id": storage_id,
        "owner": an_owner(),
        "virtual_bytes": 20 * MIB,
    }
    return CreateBlank.from_fields(fields | changes)


def a_policy(**changes: Any) -> FetchPolicy:
    """On loopback, where nothing is refused unless a test says so."""
    quick = {"attempts": 2, "connect_seconds": 5, "idle_seconds": 20, "total_seconds": 60, "reserve_bytes": 0}
    return FetchPolicy.from_fields(quick | {"addresses": AddressRules(deny=())} | changes)


def a_fetch(*urls: str, parent: str = "p-1", **changes: Any) -> Fetch:
    fields: dict[str, Any] = {
        "id": parent,
        "location": LOCATION,
        "parent": parent,
        "template": "debian-12",
        "template_uid": "t-1",
        "format": ImageFormat.RAW,
        "source": Source(urls=urls),
        "policy": a_policy(),
    }
    return Fetch.from_fields(fields | changes)


def a_checksum(hex_digest: str, algorithm: str = "sha256") -> Checksum:
    return Checksum.from_fields({"algorithm": algorithm, "hex": hex_digest})


def the_facts(report: Report) -> LocationFacts:
    assert len(report.locations) == 1
    return report.locations[0]


def a_raw_disk(size: int = 3 * MIB) -> bytes:
    """Data, a hole in the middle, and data: nothing any magic would match."""
    block = os.urandom(size // 3 - 4096)
    return (b"\0" * 4096 + block + bytes(size))[: size - 512] + b"E" * 512


def qemu_img(*arguments: str | Path) -> str:
    return subprocess.run(
        ["qemu-img", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def qemu_io(image_format: str, image: Path, *commands: str) -> None:
    """A read whose pattern does not match says so on stdout, and only there."""
    arguments = [part for command in commands for part in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-f", image_format, *arguments, str(image)], check=True, capture_output=True, text=True
    )
    assert "failed" not in done.stdout, done.stdout
