"""Fetches over real sockets on loopback, from servers that behave and servers that do not."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat, ParentSidecar
from goldpool.contracts.operations import DeleteParent, Fetch
from goldpool.contracts.report import PERMANENT, FailureReason, Report
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.lock import only_fetch
from goldpool.worker.publish import directory
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Answer, Server
from tests.unit.worker.builders import (
    LOCATION,
    MIB,
    Pool,
    a_checksum,
    a_fetch,
    a_policy,
    a_raw_disk,
    needs_qemu_img,
    qemu_img,
)

R = FailureReason
DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()
OTHER = DISK[:-1] + b"?"
PINNED: dict[str, Any] = {"checksums": (a_checksum(REVISION),)}


def reason_of(pool: Pool, operation: Fetch) -> FailureReason | None:
    """And whatever happened, nothing unpublished stays."""
    failure = pool.one(operation)
    assert pool.unpublished() == []
    if failure is not None:
        assert list((pool.path / "templates").iterdir()) == []
    return failure.reason if failure else None


def test_a_fetched_parent_is_complete_immutable_and_described(pool: Pool, server: Server) -> None:
    url = server.answer("/debian.raw", web.body(DISK))
    report = pool.run(a_fetch(f"{url}?signature=secret", **PINNED))
    parent = pool.path / "templates/p-1"
    assert (parent / "disk.raw").read_bytes() == DISK
    assert {path.name: path.stat().st_mode & 0o777 for path in parent.iterdir()} == {
        "disk.raw": 0o444,
        "parent.json": 0o444,
    }
    sidecar = ParentSidecar.from_json((parent / "parent.json").read_bytes())
    assert (sidecar.revision, sidecar.file_bytes, sidecar.virtual_bytes) == (REVISION, len(DISK), len(DISK))
    assert report.fetched is not None
    assert (report.fetched.revision, report.fetched.mirror, report.fetched.attempts) == (REVISION, url, 1)
    assert server.headers[0].get("Accept-Encoding") == "identity"
    assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(server.headers[0])
    assert pool.unpublished() == []


def test_zeros_become_holes(pool: Pool, server: Server) -> None:
    disk = bytes(16 * MIB) + b"end".ljust(512) + bytes(16 * MIB)
    assert pool.one(a_fetch(server.answer("/d", web.body(disk)))) is None
    path = pool.path / "templates/p-1/disk.raw"
    assert path.read_bytes() == disk
    assert path.stat().st_blocks * 512 < len(disk) // 2


@pytest.mark.parametrize(
    "answer", [web.body, web.chunked, web.without_length], ids=lambda answer: answer.__name__
)
def test_a_body_arrives_however_it_is_framed(
    pool: Pool, server: Server, answer: Callable[[bytes], Answer]
) -> None:
    assert pool.one(a_fetch(server.answer("/d", answer(DISK)), **PINNED)) is None
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK


BAD_MIRRORS: list[tuple[str, Answer, FailureReason, dict[str, Any]]] = [
    ("not found", web.status(404), R.SOURCE_REFUSED, {}),
    ("forbidden", web.status(403), R.SOURCE_REFUSED, {}),
    ("server error", web.status(500), R.SOURCE_UNREACHABLE, {}),
    ("busy", web.status(429), R.SOURCE_UNREACHABLE, {}),
    ("partial", web.status(206), R.SOURCE_REFUSED, {}),
    ("no content", web.status(204), R.SOURCE_REFUSED, {}),
    ("empty", web.status(200), R.TRANSFER_INCOMPLETE, {}),
    ("truncated", web.truncated(DISK, 1_000_000), R.TRANSFER_INCOMPLETE, {}),
    ("truncated chunks", web.truncated_chunks(DISK), R.TRANSFER_INCOMPLETE, {}),
    ("length too small", web.body(DISK[:-512]), R.CHECKSUM_MISMATCH, {}),
    ("silent", web.hanging(DISK, 1000), R.TRANSFER_INCOMPLETE, {"idle_seconds": 0.2}),
    ("compressed", web.encoded(DISK, "gzip"), R.SOURCE_REFUSED, {}),
    ("wrong bytes", web.body(OTHER), R.CHECKSUM_MISMATCH, {}),
    ("to a file", web.redirect("file:///etc/passwd"), R.SOURCE_REFUSED, {}),
    ("to ftp", web.redirect("ftp://127.0.0.1/x"), R.SOURCE_REFUSED, {}),
    ("to userinfo", web.redirect("http://user:secret@127.0.0.1/x"), R.SOURCE_REFUSED, {}),
    ("in a circle", web.redirect("/bad"), R.SOURCE_REFUSED, {}),
    ("too large", web.body(DISK + bytes(512)), R.TOO_LARGE, {"max_bytes": len(DISK)}),
    ("too large, unsaid", web.without_length(DISK + bytes(512)), R.TOO_LARGE, {"max_bytes": len(DISK)}),
]


@pytest.mark.parametrize(
    ("answer", "reason", "policy"), [bad[1:] for bad in BAD_MIRRORS], ids=[b[0] for b in BAD_MIRRORS]
)
def test_a_bad_mirror_fails_alone_and_gives_way_to_the_next(
    pool: Pool, server: Server, answer: Answer, reason: FailureReason, policy: dict[str, Any]
) -> None:
    bad, good = server.answer("/bad", answer), server.answer("/good", web.body(DISK))
    changes = {**PINNED, "policy": a_policy(**policy)}
    assert reason_of(pool, a_fetch(bad, **changes)) is reason
    report = pool.run(a_fetch(bad, good, **changes))
    assert report.fetched is not None
    assert (report.fetched.mirror, report.fetched.attempts) == (good, 1)
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK


def test_nobody_listening_is_unreachable(pool: Pool) -> None:
    assert reason_of(pool, a_fetch("http://127.0.0.1:1/x")) is R.SOURCE_UNREACHABLE


def test_a_mirror_that_recovers_is_asked_again(pool: Pool, server: Server) -> None:
    answer = web.in_turn(web.status(503), web.truncated(DISK, 99), web.body(OTHER), web.body(DISK))
    report = pool.run(a_fetch(server.answer("/d", answer), policy=a_policy(attempts=4), **PINNED))
    assert report.fetched is not None
    assert report.fetched.attempts == 4


def test_each_attempt_goes_over_all_mirrors(pool: Pool, server: Server) -> None:
    urls = [server.answer(f"/{name}", web.status(404)) for name in "ab"]
    failure = pool.one(a_fetch(*(f"{url}?token=secret" for url in urls), policy=a_policy(attempts=3)))
    assert server.hits == {"/a": 3, "/b": 3}
    assert failure is not None
    assert all(f"{url}: answered 404" in failure.message for url in urls)
    assert "secret" not in failure.message


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([web.body(OTHER)], R.CHECKSUM_MISMATCH),
        ([web.body(OTHER), web.body(DISK[:-1] + b"!")], R.CHECKSUM_MISMATCH),  # each its own wrong digest
        ([web.in_turn(web.body(OTHER), web.body(DISK[:-1] + b"!"))], R.TRANSFER_INCOMPLETE),  # bad on the way
        ([web.body(OTHER), web.status(404)], R.SOURCE_REFUSED),  # the other mirror may yet have it
        ([web.body(OTHER), web.status(503)], R.SOURCE_UNREACHABLE),
        ([web.in_turn(web.body(OTHER), web.status(503))], R.SOURCE_UNREACHABLE),
    ],
)
def test_only_a_repeated_wrong_digest_of_every_mirror_is_permanent(
    pool: Pool, server: Server, answers: list[Answer], reason: FailureReason
) -> None:
    urls = [server.answer(f"/{place}", answer) for place, answer in enumerate(answers)]
    assert reason_of(pool, a_fetch(*urls, **PINNED)) is reason


def test_one_wrong_digest_alone_proves_nothing(pool: Pool, server: Server) -> None:
    operation = a_fetch(server.answer("/d", web.body(OTHER)), policy=a_policy(attempts=1), **PINNED)
    assert reason_of(pool, operation) is R.TRANSFER_INCOMPLETE


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_every_declared_algorithm_is_verified(pool: Pool, server: Server, algorithm: str) -> None:
    url = server.answer("/d", web.body(DISK))
    good = hashlib.new(algorithm, DISK).hexdigest()
    bad = hashlib.new(algorithm, OTHER).hexdigest()
    both = (a_checksum(REVISION), a_checksum(bad, algorithm))
    assert reason_of(pool, a_fetch(url, checksums=both)) is R.CHECKSUM_MISMATCH
    assert reason_of(pool, a_fetch(url, checksums=(a_checksum(good, algorithm),))) is None


@pytest.mark.parametrize("changes", [{}, PINNED], ids=["without checksum", "with checksum"])
def test_good_bytes_of_another_revision_are_refused(
    pool: Pool, server: Server, changes: dict[str, Any]
) -> None:
    url = server.answer("/d", web.body(DISK))
    assert reason_of(pool, a_fetch(url, revision="b" * 64, **changes)) is R.REVISION_MISMATCH


def test_an_error_page_of_one_mirror_gives_way_and_is_not_fetched_twice(pool: Pool, server: Server) -> None:
    page = server.answer("/page", web.body(b"<html>sign in</html>"))
    late = server.answer("/late", web.in_turn(web.status(503), web.body(DISK)))
    report = pool.run(a_fetch(page, late))
    assert report.fetched is not None
    assert report.fetched.mirror == late
    assert server.hits == {"/page": 1, "/late": 2}


@pytest.mark.parametrize(
    ("content", "changes", "reason"),
    [
        (b"<html>sign in</html>".ljust(512), {}, R.WRONG_FORMAT),
        (b"x" * 1000, {}, R.WRONG_FORMAT),
        (DISK, {"format": ImageFormat.QCOW2}, R.WRONG_FORMAT),
        (DISK, {"policy": a_policy(max_virtual_bytes=512)}, R.TOO_LARGE),
    ],
)
def test_bytes_that_are_no_such_image_are_a_permanent_failure(
    pool: Pool, server: Server, content: bytes, changes: dict[str, Any], reason: FailureReason
) -> None:
    url = server.answer("/d", web.body(content))
    assert reason_of(pool, a_fetch(url, **changes)) is reason
    assert server.hits == {"/d": 1}
    verified: dict[str, Any] = {"checksums": (a_checksum(hashlib.sha256(content).hexdigest()),)}
    other = server.answer("/other", web.body(DISK))
    assert reason_of(pool, a_fetch(url, other, **changes, **verified)) is reason
    assert server.hits == {"/d": 2}  # these are the declared bytes: another mirror cannot have better ones


@needs_qemu_img
def test_a_qcow2_template_keeps_its_format_and_reports_its_virtual_size(
    pool: Pool, server: Server, tmp_path: Path
) -> None:
    qemu_img("create", "-q", "-f", "qcow2", tmp_path / "i", str(64 * MIB))
    url = server.answer("/d", web.body((tmp_path / "i").read_bytes()))
    report = pool.run(a_fetch(url, format=ImageFormat.QCOW2))
    assert report.fetched is not None
    assert report.fetched.virtual_bytes == 64 * MIB
    qemu_img("check", "-q", "-f", "qcow2", pool.path / "templates/p-1/disk.qcow2")


@needs_qemu_img
def test_a_template_with_a_backing_file_is_never_published(
    pool: Pool, server: Server, tmp_path: Path
) -> None:
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", tmp_path / "i", str(MIB))
    url = server.answer("/d", web.body((tmp_path / "i").read_bytes()))
    assert reason_of(pool, a_fetch(url, format=ImageFormat.QCOW2)) is R.UNSAFE_IMAGE


def test_redirects_are_followed_up_to_the_limit(pool: Pool, server: Server) -> None:
    server.answer("/2", web.body(DISK))
    server.answer("/1", web.redirect("/2"))
    url = server.answer("/0", web.redirect("1"))
    assert reason_of(pool, a_fetch(url, policy=a_policy(max_redirects=1))) is R.SOURCE_REFUSED
    assert reason_of(pool, a_fetch(url, policy=a_policy(max_redirects=2))) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://h/x", "'ftp'"),
        ("nfs://h/../x", ".."),
        ("file:///etc/passwd", "'file'"),
        ("/etc/passwd", "(none)"),
        ("http:///x", "no host"),
        ("http://user@h/x", "credentials"),
        ("http://user:secret@h/x", "credentials"),
        ("http://h:port/x", "not valid"),
        ("http://[::1/x", "not valid"),
    ],
)
def test_a_url_we_do_not_fetch_is_unsupported(pool: Pool, url: str, says: str) -> None:
    failure = pool.one(a_fetch(url))
    assert failure is not None
    assert failure.reason is R.UNSUPPORTED
    assert says in failure.message
    assert "secret" not in failure.message


def test_a_template_without_mirrors_is_unsupported(pool: Pool) -> None:
    assert reason_of(pool, a_fetch()) is R.UNSUPPORTED


@pytest.mark.parametrize("answer", [web.body, web.without_length], ids=lambda answer: answer.__name__)
def test_a_full_pool_ends_the_fetch_without_asking_other_mirrors(
    pool: Pool, server: Server, answer: Callable[[bytes], Answer]
) -> None:
    urls = [server.answer(f"/{name}", answer(DISK)) for name in "ab"]
    operation = a_fetch(*urls, policy=a_policy(reserve_bytes=1 << 60))
    assert reason_of(pool, operation) is R.POOL_FULL
    assert server.hits == {"/a": 1}


def test_the_whole_operation_has_a_time_limit(pool: Pool, server: Server) -> None:
    url = server.answer("/d", web.hanging(DISK, 1000))
    operation = a_fetch(url, policy=a_policy(attempts=1000, total_seconds=0.3))
    assert reason_of(pool, operation) is R.TRANSFER_INCOMPLETE


def test_a_published_parent_is_not_fetched_again(pool: Pool, server: Server) -> None:
    operation = a_fetch(server.answer("/d", web.body(DISK)), revision=REVISION)
    assert pool.one(operation) is None
    before = pool.tree()
    report = pool.run(operation)
    assert report.fetched is not None
    assert report.fetched.revision == REVISION
    assert server.hits == {"/d": 1}
    assert pool.tree() == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revision": "b" * 64}, R.REVISION_MISMATCH),
        ({"checksums": (a_checksum("b" * 64),)}, R.REVISION_MISMATCH),
        ({"template_uid": "t-2"}, R.VOLUME_CONFLICT),
        ({"format": ImageFormat.ISO}, R.VOLUME_CONFLICT),
    ],
)
def test_something_else_under_the_parents_name_is_not_touched(
    pool: Pool, server: Server, changes: dict[str, Any], reason: FailureReason
) -> None:
    url = server.answer("/d", web.body(DISK))
    assert pool.one(a_fetch(url)) is None
    before = pool.tree()
    failure = pool.one(a_fetch(url, **changes))
    assert failure is not None
    assert failure.reason is reason
    assert pool.tree() == before


def test_two_fetches_of_one_parent_do_not_both_write(pool: Pool, server: Server) -> None:
    operation = a_fetch(server.answer("/d", web.body(DISK)))
    reports: list[Report] = []
    threads = [threading.Thread(target=lambda: reports.append(pool.run(operation))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.done for report in reports] == ["1"] * 4
    assert server.hits == {"/d": 1}
    assert pool.unpublished() == []


def test_a_lock_that_is_never_released_is_a_passing_failure(pool: Pool) -> None:
    with (
        directory(pool.path / "tmp") as tmp,
        only_fetch("p-1", tmp=tmp, patience_seconds=0),
        pytest.raises(OperationFailed) as failed,
        only_fetch("p-1", tmp=tmp, patience_seconds=0.1),
    ):
        pass
    assert failed.value.reason not in PERMANENT


def test_a_deleted_parent_leaves_nothing(pool: Pool, server: Server) -> None:
    assert pool.one(a_fetch(server.answer("/d", web.body(DISK)))) is None
    for remains in ("tmp/p-1.0123abcd.parent", "trash/p-1.1600000000", "tmp/p-1.x.0123abcd.parent"):
        (pool.path / remains).mkdir()
    deletion = DeleteParent(id="d", location=LOCATION, parent="p-1")
    assert pool.one(deletion) is None
    assert list((pool.path / "templates").iterdir()) == list((pool.path / "trash").iterdir()) == []
    assert pool.unpublished() == ["p-1.x.0123abcd.parent"]
    assert pool.one(deletion) is None
