"""Fetches of compressed images: what is published, what is compared with what, and what is refused."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.report import FailureReason, Fetched
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.expanding import expanding
from goldpool.worker.fetch.room import Room
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Body, Server
from tests.unit.worker.builders import (
    MIB,
    Pool,
    a_checksum,
    a_fetch,
    a_policy,
    a_raw_disk,
    needs_qemu_img,
    qemu_img,
)
from tests.unit.worker.fetch.archives import CODECS, gz, xz, zipped, zst

R = FailureReason
DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fetched(pool: Pool, *urls: str, **changes: Any) -> Fetched:
    report = pool.run(a_fetch(*urls, **changes))
    assert report.fetched is not None, report.failures
    return report.fetched


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_the_image_is_published_and_the_checksum_is_of_what_was_sent(
    pool: Pool, server: Server, codec: str
) -> None:
    body = CODECS[codec](DISK)
    # The name says nothing, and is not asked.
    url = server.answer("/disk.raw", web.body(body))
    result = fetched(pool, url, checksums=(a_checksum(sha256(body)),))
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert (result.revision, result.file_bytes) == (REVISION, len(DISK))
    assert (result.transferred_bytes, result.virtual_bytes) == (len(body), len(DISK))
    assert pool.unpublished() == []


def test_the_checksum_of_the_image_is_not_that_of_what_was_sent(pool: Pool, server: Server) -> None:
    url = server.answer("/d", web.body(gz(DISK)))
    failure = pool.one(a_fetch(url, checksums=(a_checksum(REVISION),)))
    assert failure is not None
    assert failure.reason is R.CHECKSUM_MISMATCH


def test_a_revision_may_be_served_in_any_compression(pool: Pool, server: Server) -> None:
    """Without a checksum a revision binds the image, whoever compressed it how."""
    other = server.answer("/other", web.body(gz(DISK[:-512] + bytes(512))))
    same = server.answer("/same", web.body(zst(DISK)))
    assert fetched(pool, other, same, revision=REVISION).mirror == same


def test_zeros_become_holes(pool: Pool, server: Server) -> None:
    disk = bytes(16 * MIB) + b"\1".ljust(512) + bytes(16 * MIB)
    fetched(pool, server.answer("/d", web.body(gz(disk))))
    path = pool.path / "templates/p-1/disk.raw"
    assert path.read_bytes() == disk
    assert path.stat().st_blocks * 512 < MIB


@needs_qemu_img
def test_a_compressed_qcow2_passes_the_gate(pool: Pool, server: Server, tmp_path: Any) -> None:
    (tmp_path / "raw").write_bytes(DISK)
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    url = server.answer("/d.qcow2.xz", web.body(xz((tmp_path / "qcow2").read_bytes())))
    result = fetched(pool, url, format=ImageFormat.QCOW2)
    assert (result.virtual_bytes, result.revision) == (len(DISK), sha256((tmp_path / "qcow2").read_bytes()))


REFUSED: list[tuple[str, bytes, FailureReason, dict[str, Any]]] = [
    ("ends early", gz(DISK)[:-9], R.TRANSFER_INCOMPLETE, {}),
    ("is damaged at its end", gz(DISK)[:-8] + bytes(8), R.SOURCE_CORRUPT, {}),
    ("is damaged in the middle", xz(DISK)[:900_000] + bytes(9) + xz(DISK)[900_009:], R.SOURCE_CORRUPT, {}),
    ("expands too far", zst(bytes(64 * MIB)), R.TOO_LARGE, {"max_bytes": 4 * MIB}),
    ("is a bomb", gz(bytes(64 * MIB)), R.UNSAFE_IMAGE, {"max_amplification": 20}),
    ("needs a large window", zst(DISK, 27), R.UNSUPPORTED, {}),
    ("holds two files", zipped(DISK, b"readme"), R.WRONG_FORMAT, {}),
    ("is compressed twice", gz(gz(DISK)), R.WRONG_FORMAT, {}),
    ("is another format", gz(b"QFI\xfb\0\0\0\3" + DISK), R.WRONG_FORMAT, {}),
    ("is empty inside", gz(b""), R.WRONG_FORMAT, {}),
]


@pytest.mark.parametrize(("body", "reason", "policy"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_expanded_is_refused_and_nothing_of_it_stays(
    pool: Pool, server: Server, body: bytes, reason: FailureReason, policy: dict[str, Any]
) -> None:
    bad, good = server.answer("/bad", web.body(body)), server.answer("/good", web.body(gz(DISK)))
    failure = pool.one(a_fetch(bad, policy=a_policy(**policy)))
    assert failure is not None
    assert failure.reason is reason
    assert pool.unpublished() == []
    assert list((pool.path / "templates").iterdir()) == []
    assert fetched(pool, bad, good, policy=a_policy(**policy)).mirror == good


@pytest.mark.parametrize("compressed", [True, False])
def test_a_compressed_body_begins_anew_where_a_plain_one_goes_on(
    pool: Pool, server: Server, *, compressed: bool
) -> None:
    body = gz(DISK) if compressed else DISK
    served = Body(body, etag='"1"', cut_at=len(body) // 2)
    url = server.answer("/d", served)
    failure = pool.one(a_fetch(url, policy=a_policy(attempts=1)))
    assert failure is not None
    assert failure.reason is R.TRANSFER_INCOMPLETE
    assert (pool.unpublished() == []) is compressed
    server.answer("/d", replace(served, cut_at=None))
    fetched(pool, url)
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert [seen.headers["range"] is None for seen in server.requests] == [True, compressed]


def test_room_is_left_for_what_comes_out(tmp_path: Any) -> None:
    """The pool is asked anew every 64 MiB of the image, however little of it came over the wire."""
    policy = a_policy(reserve_bytes=100 * MIB)
    asked: list[int] = []

    def free_bytes() -> int:
        asked.append(0)
        return (300 - 64 * len(asked)) * MIB

    body = zst(bytes(512 * MIB))
    with (tmp_path / "disk").open("wb") as file:
        target = expanding(policy, Room(policy, free_bytes))(file.fileno(), 0, len(body))
        with pytest.raises(OperationFailed) as caught:
            target.write(memoryview(body))
    assert caught.value.reason is R.POOL_FULL
    assert len(asked) == 4
