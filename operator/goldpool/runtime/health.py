"""A tiny HTTP/1.1 responder for the kubelet's probes: GET /ready and GET /live, one request per connection."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from goldpool.contracts.health import READY_TIMEOUT_SECONDS

HEAD_LIMIT: Final = 4096  # bytes
REQUEST_SECONDS: Final = 5.0
FIRST_RUN_SECONDS: Final = READY_TIMEOUT_SECONDS - 0.5
"""How long ``/ready`` waits for a guest that never ran yet: the kubelet asks again only after a second."""


def answer(head: bytes, unready: Callable[[], str]) -> tuple[HTTPStatus, str]:
    """Status and body for a request's first line. ``unready`` says why the guest does not run, or nothing."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return HTTPStatus.BAD_REQUEST, "not an HTTP/1 request"
    method, target, _ = words
    if method != b"GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, "only GET"
    match target.split(b"?", 1)[0]:
        case b"/live":
            return HTTPStatus.OK, "live"
        case b"/ready":
            why = unready()
            return (HTTPStatus.SERVICE_UNAVAILABLE, why) if why else (HTTPStatus.OK, "running")
        case _:
            return HTTPStatus.NOT_FOUND, "only /ready and /live"


def response(status: HTTPStatus, body: str) -> bytes:
    content = body.encode() + b"\n"
    allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n{allow}"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


async def serve(listener: socket.socket, unready: Callable[[], str], ran: asyncio.Event) -> asyncio.Server:
    """Answers at a listening socket, which it closes in the end. ``ran`` is set once the guest has begun to run.

    A request is at most 4 KiB and 5 seconds; a slower or larger one is answered 400 or dropped.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    if head.startswith(b"GET /ready"):
                        await _first_run(ran)
                    status, body = answer(head, unready)
                except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    status, body = HTTPStatus.BAD_REQUEST, f"no request head within {HEAD_LIMIT} bytes"
                writer.write(response(status, body))
                await writer.drain()
        except (TimeoutError, OSError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(handle, sock=listener, limit=HEAD_LIMIT)


async def _first_run(ran: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_RUN_SECONDS):
            await ran.wait()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
