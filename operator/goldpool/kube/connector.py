"""Connections on which nothing is sent too late: by a process that may not write any more, or by its kernel."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from goldpool.kube.port import Unavailable

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_may_send: ContextVar[Callable[[], bool] | None] = ContextVar("may_send", default=None)


@contextmanager
def sent_only_if(may_send: Callable[[], bool] | None) -> Iterator[None]:
    """Requests made within raise Unavailable, and are not sent, when ``may_send`` says no once they have a connection:
    also a second try of the library's own, after a kept connection turned out to be dead."""
    token: Final = _may_send.set(may_send)
    try:
        yield
    finally:
        _may_send.reset(token)


class GuardedConnector(aiohttp.TCPConnector):
    """``unacknowledged``: after so many seconds the kernel stops repeating bytes that the other side has not confirmed,
    also those of a process that is stopped or gone (TCP_USER_TIMEOUT, tcp(7)). Without it they are repeated for
    minutes, and would arrive when a cut network is mended, whoever leads by then."""

    def __init__(self, context: ssl.SSLContext, *, limit: int, unacknowledged: float | None) -> None:
        def made(address: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol = address[:3]
            made = socket.socket(family, kind, protocol)
            if unacknowledged is not None:
                milliseconds = max(1, int(unacknowledged * 1000))
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            return made

        super().__init__(ssl=context, limit=limit, socket_factory=made)

    async def connect(self, *arguments: Any, **named: Any) -> "Connection":
        connection = await super().connect(*arguments, **named)
        may_send = _may_send.get()
        if may_send is not None and not may_send():
            connection.release()
            raise Unavailable("this replica does not lead")
        return connection
