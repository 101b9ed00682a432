"""Fetches over a metalink's mirrors: real documents, real sockets on loopback."""

import hashlib
from typing import Any

import pytest

from goldpool.contracts.operations import Fetch
from goldpool.contracts.report import FailureReason, Report
from goldpool.contracts.source import Source
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Answer, Server
from tests.unit.worker.builders import Pool, a_checksum, a_fetch, a_policy, a_raw_disk

R = FailureReason
DISK = a_raw_disk()
OTHER = DISK[:-1] + b"?"
GOOD = f'<hash type="sha-256">{hashlib.sha256(DISK).hexdigest()}</hash>'
NAMESPACE = 'xmlns="urn:ietf:params:xml:ns:metalink"'


def document(*urls: str, says: str = GOOD) -> bytes:
    links = "".join(f'<url priority="{place + 1}">{url}</url>' for place, url in enumerate(urls))
    return f'<metalink {NAMESPACE}><file name="disk.raw">{says}{links}</file></metalink>'.encode()


def a_metalink(url: str, *, file: str = "", location: str = "", **changes: Any) -> Fetch:
    changes.setdefault("policy", a_policy(attempts=3))
    return a_fetch(source=Source(urls=(url,), metalink=True, file=file, location=location), **changes)


def asked(server: Server, *paths: str) -> list[int]:
    return [len(server.requests_of(path)) for path in paths]


def told(report: Report) -> list[tuple[str, str, int]]:
    return [(one.mirror.rpartition("/")[2], one.reason, one.attempts) for one in report.mirrors]


def test_a_dead_a_lying_and_a_good_mirror_bring_the_image_and_all_are_told(
    pool: Pool, server: Server
) -> None:
    urls = [
        "http://127.0.0.1:1/dead",
        server.answer("/lying", web.body(OTHER)),
        "ftp://127.0.0.1/old",
        server.answer("/good", web.body(DISK)),
        server.answer("/spare", web.body(DISK)),
    ]
    report = pool.run(a_metalink(server.answer("/d.meta4", web.body(document(*urls)))))
    assert report.fetched is not None
    assert (report.fetched.mirror, report.fetched.attempts, report.fetched.verified) == (urls[3], 1, "sha256")
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert told(report) == [
        ("dead", "SourceUnreachable", 1), ("lying", "ChecksumMismatch", 1), ("good", "", 1), ("old", "Unsupported", 0),
    ]  # fmt: skip
    assert report.mirrors_total == 4
    assert asked(server, "/d.meta4", "/lying", "/good", "/spare") == [1, 1, 1, 0]


def test_each_attempt_reads_the_metalink_and_goes_over_all_mirrors(pool: Pool, server: Server) -> None:
    urls = [server.answer(f"/{name}", web.status(404)) for name in "ab"]
    report = pool.run(a_metalink(server.answer("/d.meta4", web.body(document(*urls)))))
    assert report.failures[0].reason is R.SOURCE_REFUSED
    assert asked(server, "/d.meta4", "/a", "/b") == [3, 3, 3]
    assert told(report) == [("a", "SourceRefused", 3), ("b", "SourceRefused", 3)]


def test_a_metalink_that_names_a_new_mirror_meanwhile_is_followed(pool: Pool, server: Server) -> None:
    old, new = server.answer("/old", web.status(503)), server.answer("/new", web.body(DISK))
    url = server.answer("/d.meta4", web.in_turn(web.body(document(old)), web.body(document(new))))
    report = pool.run(a_metalink(url))
    assert report.fetched is not None
    assert (report.fetched.mirror, report.fetched.attempts) == (new, 2)
    assert told(report) == [("old", "SourceUnreachable", 1), ("new", "", 1)]


HTML = b"<html><body>Service temporarily unavailable</body></html>"
BAD_DOCUMENTS: list[tuple[str, Answer, FailureReason, str]] = [
    ("not found", web.status(404), R.SOURCE_REFUSED, "answered 404"),
    ("busy", web.status(503), R.SOURCE_UNREACHABLE, "answered 503"),
    ("partial", web.status(206), R.SOURCE_REFUSED, "answered 206"),
    ("a page", web.body(HTML), R.METALINK_INVALID, "its root element is <html>"),
    ("another page each time", web.in_turn(web.body(HTML), web.body(HTML + b" "), web.body(HTML + b"  ")),
     R.TRANSFER_INCOMPLETE, "its root element is <html>"),
    ("cut", web.truncated(document("http://a/"), 50), R.TRANSFER_INCOMPLETE, "metalink"),
    ("cut in chunks", web.truncated_chunks(document("http://a/")), R.TRANSFER_INCOMPLETE, "metalink"),
    ("compressed", web.encoded(document("http://a/"), "gzip"), R.SOURCE_REFUSED, "Content-Encoding gzip"),
    ("endless", web.body(b" " * (2 << 20)), R.METALINK_INVALID, "larger than 1048576 bytes"),
    ("empty", web.body(b""), R.METALINK_INVALID, "no well-formed XML"),
    ("elsewhere", web.redirect("file:///etc/passwd"), R.SOURCE_REFUSED, "redirected to file:///etc/passwd"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason", "says"), [bad[1:] for bad in BAD_DOCUMENTS], ids=[bad[0] for bad in BAD_DOCUMENTS]
)
def test_a_bad_metalink_has_a_reason_of_its_own_and_is_asked_for_again(
    pool: Pool, server: Server, answer: Answer, reason: FailureReason, says: str
) -> None:
    report = pool.run(a_metalink(server.answer("/d.meta4", answer)))
    (failure,) = report.failures
    assert failure.reason is reason
    assert says in failure.message
    assert asked(server, "/d.meta4") == [3]
    ((name, _, attempts),) = told(report)
    assert (name, attempts) == ("d.meta4", 3)
    good = server.answer("/good", web.body(DISK))
    healed = web.in_turn(answer, web.body(document(good)))
    again = pool.run(a_metalink(server.answer("/d.meta4", healed)))
    assert again.fetched is not None
    assert told(again)[1:] == [("good", "", 1)]


def test_mirrors_where_the_host_stands_come_first(pool: Pool, server: Server) -> None:
    near, far = server.answer("/near", web.body(DISK)), server.answer("/far", web.body(DISK))
    links = f'<url priority="1">{far}</url><url priority="9" location="DE">{near}</url>'
    url = server.answer(
        "/d.meta4", web.body(f'<metalink {NAMESPACE}><file name="d">{links}</file></metalink>'.encode())
    )
    for location, mirror in (("", far), ("de", near)):
        report = pool.run(a_metalink(url, location=location, parent=f"p-{location or 'x'}"))
        assert report.fetched is not None
        assert report.fetched.mirror == mirror


SHA512 = hashlib.sha512(DISK).hexdigest()
MD5 = hashlib.md5(DISK, usedforsecurity=False).hexdigest()


SAYINGS: list[tuple[str, str, list[tuple[str, str]], FailureReason | None]] = [
    ("the digest", GOOD, [], None),
    ("two digests", f'{GOOD}<hash type="md5">{MD5}</hash>', [], None),
    ("one of two is wrong", f'{GOOD}<hash type="md5">{"0" * 32}</hash>', [], R.CHECKSUM_MISMATCH),
    ("the template's too", f'<hash type="sha-512">{SHA512}</hash>', [("md5", MD5)], None),
    (
        "the template's is wrong",
        f'<hash type="sha-512">{SHA512}</hash>',
        [("md5", "0" * 32)],
        R.CHECKSUM_MISMATCH,
    ),
    (
        "the metalink's is wrong",
        f'<hash type="sha-512">{"0" * 128}</hash>',
        [("md5", MD5)],
        R.CHECKSUM_MISMATCH,
    ),
    ("only the size", f'<hash type="crc32">00000000</hash><size>{len(DISK)}</size>', [], None),
    ("a smaller size", f"<size>{len(DISK) - 1}</size>", [], R.SIZE_MISMATCH),
    ("a larger size", f"{GOOD}<size>{len(DISK) + 1}</size>", [], R.SIZE_MISMATCH),
]


@pytest.mark.parametrize(
    ("says", "declared", "reason"), [s[1:] for s in SAYINGS], ids=[s[0] for s in SAYINGS]
)
def test_all_that_the_metalink_and_the_template_say_of_the_bytes_must_hold(
    pool: Pool, server: Server, says: str, declared: list[tuple[str, str]], reason: FailureReason | None
) -> None:
    mirror = server.answer("/d", web.body(DISK))
    url = server.answer("/d.meta4", web.body(document(mirror, says=says)))
    checksums = tuple(a_checksum(digits, algorithm) for algorithm, digits in declared)
    report = pool.run(a_metalink(url, checksums=checksums))
    if reason is not None:
        assert [failure.reason for failure in report.failures] == [reason]
        assert list((pool.path / "templates").iterdir()) == []
        return
    assert report.fetched is not None
    assert report.fetched.verified == (
        "sha512" if "512" in says else "sha256" if says.startswith(GOOD) else ""
    )


def test_a_mirror_of_another_size_is_left_before_its_bytes_come(pool: Pool, server: Server) -> None:
    mirrors = [
        server.answer("/longer", web.hanging(DISK + bytes(512), 1000)),
        server.answer("/d", web.body(DISK)),
    ]
    url = server.answer("/d.meta4", web.body(document(*mirrors, says=f"<size>{len(DISK)}</size>")))
    report = pool.run(a_metalink(url, policy=a_policy(idle_seconds=1)))
    assert told(report) == [("longer", "SizeMismatch", 1), ("d", "", 1)]


def test_a_wrong_source_is_known_as_such_though_its_metalink_was_late(pool: Pool, server: Server) -> None:
    mirrors = [server.answer(f"/{name}", web.body(OTHER + name.encode() * 512)) for name in "ab"]
    url = server.answer("/d.meta4", web.in_turn(web.status(503), web.body(document(*mirrors))))
    report = pool.run(a_metalink(url))
    assert report.failures[0].reason is R.CHECKSUM_MISMATCH
    assert told(report) == [
        ("d.meta4", "SourceUnreachable", 1), ("a", "ChecksumMismatch", 2), ("b", "ChecksumMismatch", 2),
    ]  # fmt: skip


def test_a_full_pool_ends_the_fetch_and_what_was_asked_before_is_told(pool: Pool, server: Server) -> None:
    mirrors = [server.answer("/gone", web.status(404)), server.answer("/d", web.body(DISK))]
    url = server.answer("/d.meta4", web.body(document(*mirrors)))
    report = pool.run(a_metalink(url, policy=a_policy(reserve_bytes=1 << 60)))
    assert report.failures[0].reason is R.POOL_FULL
    assert told(report) == [("gone", "SourceRefused", 1)]
