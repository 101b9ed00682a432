import asyncio
from http import HTTPStatus

import pytest

from goldpool.runtime import health
from goldpool.runtime.health import answer, port_of, serve
from goldpool.runtime.listener import HEALTH_PORT_VARIABLE, listen, listen_early


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
    server = await serve(listen(0), lambda: "", asyncio.Event())
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(request_)
        writer.write_eof()
        assert (await reader.readline()).rstrip() == first
        writer.close()


async def _asked(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    said = await reader.read()
    writer.close()
    return said


async def test_readiness_is_asked_before_the_guest_runs_and_answered_when_it_does() -> None:
    ran, why = asyncio.Event(), "Starting: QEMU is being started"
    async with await serve(listen(0), lambda: why, ran) as server:
        asked = asyncio.create_task(_asked(port_of(server), "/ready"))
        assert (await _asked(port_of(server), "/live")).startswith(b"HTTP/1.1 200")
        assert not asked.done()
        why = ""
        ran.set()
        assert (await asked).startswith(b"HTTP/1.1 200")


async def test_readiness_of_a_guest_that_does_not_come_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_RUN_SECONDS", 0.05)
    why = "Starting: the guest has not been started yet"
    async with await serve(listen(0), lambda: why, asyncio.Event()) as server:
        said = await _asked(port_of(server), "/ready")
    assert said.startswith(b"HTTP/1.1 503")
    assert why.encode() in said


async def test_who_asks_before_the_program_is_loaded_is_answered_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HEALTH_PORT_VARIABLE, "0")
    listener = listen_early()
    assert listener is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
    writer.write(b"GET /live HTTP/1.1\r\n\r\n")
    async with await serve(listener, lambda: "", asyncio.Event()):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("port", ["none", "-1", "taken"])
def test_a_port_that_cannot_be_had_early_is_left_to_the_program(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen(0) as other:
        taken = str(other.getsockname()[1])
        monkeypatch.setenv(HEALTH_PORT_VARIABLE, taken if port == "taken" else port)
        assert listen_early() is None
