"""An end to what a socket's own time limit does not end: a server that says one byte and then another."""

import contextlib
import os
import socket
import threading
from types import TracebackType
from typing import Self


class Alarm:
    """Shuts down every socket it watches ``seconds`` after it began to, unless the block has ended. ``rang`` says so."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rang = False
        self._watched: list[tuple[socket.socket, threading.Timer]] = []

    def watch(self, sock: socket.socket) -> None:
        """By a descriptor of its own: TLS takes the socket's."""
        own = socket.socket(fileno=os.dup(sock.fileno()))
        timer = threading.Timer(self.seconds, self._ring, (own,))
        timer.daemon = True
        self._watched.append((own, timer))
        timer.start()

    def _ring(self, sock: socket.socket) -> None:
        self.rang = True
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for own, timer in self._watched:
            timer.cancel()
            timer.join()
            own.close()
