"""A program run in a pod's container, over the API server's WebSocket (protocol v4.channel.k8s.io)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import aiohttp

from goldpool.kube.port import Unavailable

PROTOCOL: Final = "v4.channel.k8s.io"


class Channel(IntEnum):
    """The first byte of every message."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STATUS = 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes the program wrote to stdout or stderr."""

    channel: Channel
    data: bytes


class Execution:
    """One run. ``status`` is the program's exit code, known once ``chunks`` has ended."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.status: int | None = None

    async def write(self, data: bytes) -> None:
        """To the program's stdin. Raises Unavailable when the connection is gone."""
        try:
            await self._socket.send_bytes(bytes([Channel.STDIN]) + data)
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the connection to the pod broke off: {error}") from error

    async def chunks(self) -> AsyncIterator[Chunk]:
        """What the program writes, until it ends. Raises Unavailable when the connection ends before it does."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == Channel.STATUS:
                self.status = exit_code(data)
            elif channel in (Channel.STDOUT, Channel.STDERR) and data:
                yield Chunk(Channel(channel), data)
        if self.status is None:
            raise Unavailable("the connection to the pod broke off")


def exit_code(status: bytes) -> int:
    """Of the ``v1.Status`` that ends a run. Raises Unavailable when the program was never run."""
    answer = json.loads(status)
    if answer.get("status") == "Success":
        return 0
    for cause in (answer.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise Unavailable(str(answer.get("message") or "the program could not be run"))
