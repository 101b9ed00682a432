import asyncio
from http import HTTPStatus

import pytest

from goldpool.runtime.health import answer, port_of, serve


@pytest.mark.parametrize(
    ("line", "why", "status", "body"),
    [
        (b"GET /ready HTTP/1.1", "", HTTPStatus.OK, "running"),
        (b"GET /ready?x HTTP/1.0", "", HTTPStatus.OK, "running"),
        (b"GET /ready HTTP/1.1", "StoragePaused: root nospace", HTTPStatus.SERVICE_UNAVAILABLE,
         "StoragePaused: root nospace"),
        (b"GET /live HTTP/1.1", "StoragePaused: root nospace", HTTPStatus.OK, "live"),
        (b"GET / HTTP/1.1", "", HTTPStatus.NOT_FOUND, "only /ready and /live"),
        (b"POST /ready HTTP/1.1", "", HTTPStatus.METHOD_NOT_ALLOWED, "only GET"),
        (b"nonsense", "", HTTPStatus.BAD_REQUEST, "not an HTTP/1 request"),
        (b"\x16\x03\x01 \xff \x00", "", HTTPStatus.BAD_REQUEST, "not an HTTP/1 request"),
    ],
)  # fmt: skip
def test_probes_are_answered(line: bytes, why: str, status: HTTPStatus, body: str) -> None:
    assert answer(line + b"\r\nHost: x\r\n\r\n", lambda: why) == (status, body)


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        (b"GET /live HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /live HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        (b"GET /live", b"HTTP/1.1 400 Bad Request"),
    ],
)
async def test_a_request_is_bounded(request_: bytes, first: bytes) -> None:
    server = await serve(0, lambda: "")
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(request_)
        writer.write_eof()
        assert (await reader.readline()).rstrip() == first
        writer.close()
