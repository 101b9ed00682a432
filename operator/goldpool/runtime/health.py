"""A tiny HTTP/1.1 responder for the kubelet's probes: GET /ready and GET /live, one request per connection."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

HEAD_LIMIT: Final = 4096  # bytes
REQUEST_SECONDS: Final = 5.0
ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104 - the kubelet comes from the node's address


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


async def serve(port: int, unready: Callable[[], str]) -> asyncio.Server:
    """Listens on all IPv4 addresses; port 0 takes a free one. Raises OSError when the port is taken.

    A request is at most 4 KiB and 5 seconds; a slower or larger one is answered 400 or dropped.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                try:
                    status, body = answer(await reader.readuntil(b"\r\n\r\n"), unready)
                except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    status, body = HTTPStatus.BAD_REQUEST, f"no request head within {HEAD_LIMIT} bytes"
                writer.write(response(status, body))
                await writer.drain()
        except (TimeoutError, OSError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(handle, ALL_ADDRESSES, port, limit=HEAD_LIMIT)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
