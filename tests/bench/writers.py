"""Many requests at once, by the operator's own client: what the API server takes when nobody thinks between writes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from goldpool.kube.client import KubeClient

T = TypeVar("T")
AT_ONCE: Final = 32
"""As the operator: more than 20 to 50 writers gain nothing (api-server.md §3)."""


def each(items: Sequence[T], work: Callable[[KubeClient, T], Awaitable[object]]) -> None:
    """Does the work for every item, ``AT_ONCE`` at a time; as the cluster's administrator, whom no limit holds."""
    asyncio.run(_each(items, work))


async def _each(items: Sequence[T], work: Callable[[KubeClient, T], Awaitable[object]]) -> None:
    async with await KubeClient.connect(rate=1e6, burst=1_000_000, concurrency=AT_ONCE) as client:
        waiting = iter(items)

        async def writer() -> None:
            for item in waiting:
                await work(client, item)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(writer())
