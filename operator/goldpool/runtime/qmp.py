"""One QMP connection: commands with a time limit, events in order."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

_CONNECT_SECONDS: Final = 10.0


class MonitorLost(Exception):
    """The connection ended, or QEMU did not answer in time. The guest may well be running: connect again."""


class CommandRefused(Exception):
    """QEMU answered with an error."""


class Monitor:
    """Commands and events of one connection. Events are those since it was made, in QEMU's order."""

    def __init__(self, client: QMPClient, events: EventListener) -> None:
        self._client = client
        self._events = events

    async def execute(
        self, command: str, seconds: float, arguments: Mapping[str, object] | None = None
    ) -> Any:
        """Raises MonitorLost, CommandRefused. A command given up on may still be carried out."""
        try:
            # Not wait_for, here and everywhere: until Python 3.12 it can lose a cancellation.
            async with asyncio.timeout(seconds):
                return await self._client.execute(command, dict(arguments or {}))
        except ExecuteError as error:
            raise CommandRefused(f"{command}: {error}") from error
        except TimeoutError as error:
            raise MonitorLost(f"{command}: no answer within {seconds:g} s") from error
        except (QMPError, OSError, EOFError) as error:
            raise MonitorLost(f"{command}: {error}") from error

    async def next_event(self, seconds: float) -> Mapping[str, Any] | None:
        """None after ``seconds`` without one, also on a lost connection: the next command tells."""
        try:
            async with asyncio.timeout(seconds):
                return await self._events.get()
        except TimeoutError:
            return None


@asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[Monitor]:
    """Raises MonitorLost when QEMU does not listen (yet) or does not greet."""
    client = QMPClient("goldpool.runtime.qmp")
    try:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await client.connect(str(socket))
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise MonitorLost(f"cannot connect: {error}") from error
        with client.listener() as events:
            yield Monitor(client, events)
    finally:
        # It raises again whatever ended the connection: known already, or of no interest at the end.
        with suppress(QMPError, OSError, EOFError, TimeoutError):
            await client.disconnect()
