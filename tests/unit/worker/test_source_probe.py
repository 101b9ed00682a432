"""What a source is found to serve, without fetching it."""

import bz2
import gzip
import lzma
import time
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import Batch, FetchPolicy, ProbeSource
from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import Source
from goldpool.worker.batch import Host, run
from goldpool.worker.fetch.source_probe import HEAD_BYTES, Findings, probe_source
from tests.servers.misbehaving import (
    Body,
    Server,
    by_method,
    encoded,
    redirect,
    status,
)
from tests.unit.worker.builders import a_policy

QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + (5 << 30).to_bytes(8, "big") + bytes(200 << 10)
ISO = bytes(32769) + b"CD001" + bytes(40 << 10)
RAW = bytes(1 << 20)
HTML = b"<!DOCTYPE html><html><body>Not found</body></html>"
POLICY = a_policy(idle_seconds=5, total_seconds=30)


def asking(*urls: str, **changes: Any) -> ProbeSource:
    source = changes.pop("source", Source(urls=urls))
    defaults: dict[str, Any] = {"format": ImageFormat.QCOW2, "policy": POLICY}
    return ProbeSource(
        id="probe-1", template="debian", template_uid="t-1", source=source, **(defaults | changes)
    )


def found(*urls: str, **changes: Any) -> Findings:
    return probe_source(asking(*urls, **changes), time.monotonic() + 30)


def a_metalink(*urls: str, size: int | None = None, digest: str = "") -> bytes:
    told = (f"<size>{size}</size>" if size is not None else "") + (
        f'<hash type="sha-256">{digest}</hash>' if digest else ""
    )
    links = "".join(f'<url priority="{n}">{url}</url>' for n, url in enumerate(urls, 1))
    return (
        f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="debian.qcow2">{told}{links}</file></metalink>'
    ).encode()


def test_size_validators_and_format_are_told_by_a_few_bytes(server: Server) -> None:
    modified = "Wed, 01 Apr 2026 10:00:00 GMT"
    url = server.answer("/debian", Body(QCOW2, etag='"v1"', last_modified=modified))
    probed = found(url).probed
    assert probed is not None
    assert (probed.mirror, probed.size, probed.etag, probed.last_modified) == (
        url,
        len(QCOW2),
        '"v1"',
        modified,
    )
    assert (probed.format, probed.virtual_bytes, probed.compression) == ("qcow2", 5 << 30, "")
    assert [r.method for r in server.requests_of("/debian")] == ["HEAD", "GET"]
    assert server.sent("/debian") == HEAD_BYTES


@pytest.mark.parametrize(
    "answer",
    [
        by_method(status(405), Body(QCOW2)),
        by_method(status(403), Body(QCOW2)),  # a presigned URL is signed for GET
        by_method(status(501), Body(QCOW2)),
        by_method(status(200), Body(QCOW2)),  # Content-Length: 0, which is of no body
        Body(QCOW2, ranges=False),
    ],
    ids=["405", "403", "501", "length 0", "no ranges"],
)
def test_a_server_with_habits_is_still_understood(server: Server, answer: Any) -> None:
    probed = found(server.answer("/debian", answer)).probed
    assert probed is not None
    assert (probed.size, probed.virtual_bytes) == (len(QCOW2), 5 << 30)


@pytest.mark.parametrize("total", ["", "bytes 0-65535/*"])
def test_an_unknown_size_is_no_error(server: Server, total: str) -> None:
    told = {"ranges": False} if not total else {"content_range": total}
    url = server.answer("/debian", by_method(status(405), Body(QCOW2, framing="close", **told)))
    probed = found(url).probed
    assert probed is not None
    assert (probed.size, probed.format) == (None, "qcow2")


def test_a_redirect_is_followed_and_the_source_keeps_its_name(server: Server) -> None:
    server.answer("/mirror", Body(QCOW2))
    url = server.answer("/debian", redirect("/mirror"))
    probed = found(url).probed
    assert probed is not None
    assert (probed.mirror, probed.size) == (url, len(QCOW2))


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (ISO, ImageFormat.ISO, ("iso", "", len(ISO) // 512 * 512 + 512)),
        (RAW, ImageFormat.RAW, ("", "", 1 << 20)),
        (gzip.compress(QCOW2), ImageFormat.QCOW2, ("qcow2", "gz", 5 << 30)),
        (lzma.compress(QCOW2), ImageFormat.QCOW2, ("qcow2", "xz", 5 << 30)),
        (bz2.compress(ISO), ImageFormat.ISO, ("iso", "bz2", None)),
        (gzip.compress(RAW), ImageFormat.RAW, ("", "gz", None)),
    ],
    ids=["iso", "raw", "qcow2.gz", "qcow2.xz", "iso.bz2", "raw.gz"],
)
def test_what_the_first_bytes_tell(
    server: Server, content: bytes, declared: ImageFormat, expected: tuple[object, ...]
) -> None:
    probed = found(server.answer("/image", Body(content)), format=declared).probed
    assert probed is not None
    assert (probed.format, probed.compression, probed.virtual_bytes) == expected


@pytest.mark.parametrize(
    ("answer", "policy", "reason", "said"),
    [
        (status(404), POLICY, FailureReason.SOURCE_REFUSED, "404"),
        (status(503), POLICY, FailureReason.SOURCE_UNREACHABLE, "503"),
        (Body(HTML), POLICY, FailureReason.WRONG_FORMAT, "HTML"),
        (Body(ISO), POLICY, FailureReason.WRONG_FORMAT, "iso"),
        (Body(RAW), POLICY, FailureReason.WRONG_FORMAT, "a raw disk"),
        (Body(gzip.compress(ISO)), POLICY, FailureReason.WRONG_FORMAT, "iso"),
        (Body(b""), POLICY, FailureReason.TRANSFER_INCOMPLETE, "empty"),
        (Body(QCOW2), POLICY.replace(max_bytes=1000), FailureReason.TOO_LARGE, "1000"),
        (encoded(QCOW2, "gzip"), POLICY, FailureReason.SOURCE_REFUSED, "gzip"),
        (Body(QCOW2, content_range="bytes 5-10/100"), POLICY, FailureReason.SOURCE_REFUSED, "range"),
    ],
    ids=[
        "404",
        "503",
        "page",
        "other format",
        "raw",
        "other format.gz",
        "empty",
        "too large",
        "encoded",
        "wrong range",
    ],
)
def test_why_a_source_cannot_serve(
    server: Server, answer: Any, policy: FetchPolicy, reason: FailureReason, said: str
) -> None:
    url = server.answer("/debian", answer)
    result = found(url, policy=policy)
    assert result.probed is None
    assert result.failure is not None
    assert (result.failure.reason, [m.reason for m in result.mirrors]) == (reason, [reason])
    assert said in result.failure.message
    assert url in result.failure.message


def test_nobody_there(server: Server) -> None:
    gone = server.url("/x")
    server.server_close()
    result = found(gone)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.SOURCE_UNREACHABLE


def test_of_a_metalink_each_mirror_is_asked_and_one_is_enough(server: Server) -> None:
    dead, lies = server.answer("/dead", status(404)), server.answer("/lies", Body(HTML))
    good = server.answer("/good", Body(QCOW2, etag='"v1"'))
    digest = "ab" * 32
    url = server.answer("/debian.meta4", Body(a_metalink(dead, lies, good, size=len(QCOW2), digest=digest)))
    result = found(source=Source(urls=(url,), metalink=True))
    assert result.failure is None
    assert result.probed is not None
    assert (result.probed.mirror, result.probed.etag) == (good, '"v1"')
    assert (result.probed.size, result.probed.digest) == (len(QCOW2), f"sha256:{digest}")
    assert [(m.mirror, m.reason) for m in result.mirrors] == [
        (dead, "SourceRefused"),
        (lies, "WrongFormat"),
        (good, ""),
    ]


def test_the_mirror_that_was_fetched_from_is_the_one_whose_answer_counts(server: Server) -> None:
    one = server.answer("/one", Body(QCOW2, etag='"1"'))
    two = server.answer("/two", Body(QCOW2, etag='"2"'))
    url = server.answer("/debian.meta4", Body(a_metalink(one, two)))
    source = Source(urls=(url,), metalink=True)
    etags = [
        p.etag for m in ("", two, "https://gone.example") if (p := found(source=source, mirror=m).probed)
    ]
    assert etags == ['"1"', '"2"', '"1"']


def test_a_mirror_of_another_size_is_of_another_file(server: Server) -> None:
    mirror = server.answer("/one", Body(QCOW2))
    url = server.answer("/debian.meta4", Body(a_metalink(mirror, size=5)))
    result = found(source=Source(urls=(url,), metalink=True))
    assert result.failure is not None
    assert "the metalink says 5" in result.failure.message


@pytest.mark.parametrize("answer", [status(404), Body(b"no xml"), Body(bytes(2 << 20))])
def test_a_metalink_that_cannot_be_read_is_said_with_its_own_name(server: Server, answer: Any) -> None:
    url = server.answer("/debian.meta4", answer)
    result = found(source=Source(urls=(url,), metalink=True))
    assert result.failure is not None
    assert url in result.failure.message
    assert [m.mirror for m in result.mirrors] == [url]


def test_no_secret_of_a_url_is_told(server: Server) -> None:
    url = server.answer("/debian", Body(QCOW2)) + "?signature=hush"
    result = found(url, f"{server.url('/gone')}?signature=hush")
    assert "hush" not in repr(result)


def test_a_batch_tells_it_without_any_pool(server: Server, tmp_path: Path) -> None:
    good, gone = server.answer("/debian", Body(QCOW2)), server.url("/gone")
    reports = [run(Batch(operations=(asking(url),)), Host(pools=tmp_path / "none")) for url in (good, gone)]
    assert [report.succeeded(0) for report in reports] == [True, False]
    assert reports[0].probed is not None
    assert reports[0].locations == ()
    assert reports[1].failures[0].reason is FailureReason.SOURCE_REFUSED
    assert [m.reason for m in reports[1].mirrors] == ["SourceRefused"]
