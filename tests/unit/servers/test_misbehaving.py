"""The misbehaving server does what it is told, seen through a client that hides nothing."""

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import misbehaving as web
from tests.servers.certificates import Authority
from tests.servers.misbehaving import Body, Gate, Server

CONTENT = bytes(range(256)) * 1000
SIZE = len(CONTENT)


@pytest.fixture
def server() -> Iterator[Server]:
    with web.serving() as server:
        yield server


def got(
    url: str, method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes, bool]:
    """Status, headers, body, and whether the body was as long as announced."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if tls is not None:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, parts.port, context=tls)
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=60)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers=names)
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read(), True
        except http.client.IncompleteRead as error:
            return answer.status, answer.headers, error.partial, False
    finally:
        connection.close()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_all_of_it_arrives_however_it_is_framed(server: Server, framing: str) -> None:
    url = server.answer("/d", Body(CONTENT, framing=framing))
    status, headers, body, whole = got(url + "?signature=x")
    assert (status, body, whole) == (200, CONTENT, True)
    assert headers["Content-Length"] == (str(SIZE) if framing == "length" else None)
    (seen,) = server.requests_of("/d")
    until = time.monotonic() + 30
    while not seen.whole and time.monotonic() < until:  # noted behind the last byte, which we have already
        time.sleep(0.01)
    assert (seen.method, seen.query, seen.sent, seen.whole) == ("GET", "signature=x", SIZE, True)


@pytest.mark.parametrize(
    ("wish", "status", "told", "body"),
    [
        ("bytes=0-0", 206, f"bytes 0-0/{SIZE}", CONTENT[:1]),
        ("bytes=1000-", 206, f"bytes 1000-{SIZE - 1}/{SIZE}", CONTENT[1000:]),
        ("bytes=5-9999999", 206, f"bytes 5-{SIZE - 1}/{SIZE}", CONTENT[5:]),
        ("bytes=-7", 206, f"bytes {SIZE - 7}-{SIZE - 1}/{SIZE}", CONTENT[-7:]),
        (f"bytes={SIZE}-", 416, f"bytes */{SIZE}", b""),
        ("bytes=0-1,5-6", 200, None, CONTENT),
    ],
)
def test_a_range_is_served(server: Server, wish: str, status: int, told: str | None, body: bytes) -> None:
    found = got(server.answer("/d", Body(CONTENT)), Range=wish)
    assert (found[0], found[1]["Content-Range"], found[2]) == (status, told, body)


@pytest.mark.parametrize(
    ("resource", "known", "status"),
    [
        (Body(CONTENT, etag='"1"'), '"1"', 206),
        (Body(CONTENT, etag='"1"'), '"2"', 200),
        (Body(CONTENT, etag='W/"1"'), 'W/"1"', 200),  # a weak one never says that bytes are the same
        (Body(CONTENT, etag='"1"', if_range=False), '"2"', 206),
        (Body(CONTENT, ranges=False, etag='"1"'), '"1"', 200),
        (
            Body(CONTENT, last_modified="Sat, 21 Nov 2026 20:00:00 GMT"),
            "Sat, 21 Nov 2026 20:00:00 GMT",
            206,
        ),
    ],
)
def test_a_range_of_another_version_is_all_of_the_new_one(
    server: Server, resource: Body, known: str, status: int
) -> None:
    assert got(server.answer("/d", resource), Range="bytes=5-", If_Range=known)[0] == status


def test_head_tells_what_get_would_bring(server: Server) -> None:
    url = server.answer("/d", Body(CONTENT, etag='"1"'))
    status, headers, body, _ = got(url, "HEAD")
    assert (status, headers["Content-Length"], headers["ETag"], body) == (200, str(SIZE), '"1"', b"")
    assert server.sent("/d") == 0


@pytest.mark.parametrize("start", [0, 1000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_cut_body_ends_at_its_offset(server: Server, start: int, framing: str) -> None:
    url = server.answer("/d", Body(CONTENT, cut_at=100_001, framing=framing))
    assert got(url, Range=f"bytes={start}-")[2:] == (CONTENT[start:100_001], False)
    (seen,) = server.requests_of("/d")
    assert (seen.sent, seen.whole) == (100_001 - start, False)


def test_wrong_numbers_are_told_as_given(server: Server) -> None:
    url = server.answer("/d", Body(CONTENT, announced=SIZE + 9, content_range="bytes 7-8/9"))
    _, headers, body, whole = got(url, Range="bytes=5-")
    assert (headers["Content-Length"], headers["Content-Range"]) == (str(SIZE + 9), "bytes 7-8/9")
    assert (body, whole) == (CONTENT[5:], False)


def test_a_gate_holds_the_body_until_it_opens(server: Server) -> None:
    gate = Gate()
    url = server.answer("/d", Body(CONTENT, gate=gate, gate_at=70_000))
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(got(url)[2]))
    reading.start()
    assert gate.reached.wait(60)
    assert server.sent("/d") == 70_000
    gate.opened.set()
    reading.join(60)
    assert found == [CONTENT]


def test_a_stalled_body_ends_with_the_server() -> None:
    found: list[bytes] = []
    with web.serving() as server:
        url = server.answer("/d", Body(CONTENT, stall_at=10, bytes_per_second=100_000))
        reading = threading.Thread(target=lambda: found.append(got(url)[2]))
        reading.start()
        while server.sent("/d") < 10:
            assert reading.is_alive()
    reading.join(60)
    assert found == [CONTENT[:10]]


def test_answers_change_with_each_request(server: Server) -> None:
    url = server.answer("/d", web.in_turn(web.status(503), web.redirect("/other"), web.body(b"here")))
    assert [got(url)[0] for _ in range(4)] == [503, 302, 200, 200]
    assert server.hits["/d"] == 4


def test_what_nobody_registered_is_not_found(server: Server) -> None:
    assert got(server.url("/nothing"))[0] == 404


def test_only_the_right_header_opens(server: Server) -> None:
    url = server.answer("/d", web.for_those_with("Authorization", "Bearer x", web.body(b"secret")))
    assert [got(url)[0], got(url, Authorization="Bearer x")[0]] == [401, 200]


def test_tls_with_an_authority_of_its_own_and_client_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    shown = authority.issue("somebody", client=True)
    with web.serving(tls=authority.issue("127.0.0.1").server_context(clients=authority)) as server:
        url = server.answer("/d", web.body(CONTENT))
        client = ssl.create_default_context(cadata=authority.pem)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            got(url, tls=client)
        client.load_cert_chain(shown.certificate, shown.key)
        assert got(url, tls=client)[2] == CONTENT
        with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed|local issuer"):
            got(url, tls=ssl.create_default_context())


@pytest.mark.parametrize(
    ("names", "expired", "says"),
    [(["127.0.0.1"], True, "expired"), (["elsewhere.example"], False, "127.0.0.1")],
)
def test_bad_certificates_are_bad(tmp_path: Path, names: list[str], expired: bool, says: str) -> None:
    authority = Authority(tmp_path / "ca")
    with web.serving(tls=authority.issue(*names, expired=expired).server_context()) as server:
        url = server.answer("/d", web.body(CONTENT))
        with pytest.raises(ssl.SSLCertVerificationError, match=says):
            got(url, tls=ssl.create_default_context(cadata=authority.pem))
