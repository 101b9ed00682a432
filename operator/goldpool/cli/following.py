"""Objects as they change, for a command that waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from goldpool.kube.client import KubeClient
from goldpool.kube.port import Expired, Obj, Resource, Unavailable

_RELIST_SECONDS: Final = 1.0


async def changes(
    client: KubeClient, resource: Resource, namespace: str = "", *, fields: str = ""
) -> AsyncIterator[dict[str, Obj | None]]:
    """By UID: first all that are there, then each that changed; None for one that is gone. For ever: what cannot be
    reached for a moment is asked again, the waiting has a limit of its own. Other refusals are raised."""
    known: set[str] = set()
    while True:
        with suppress(Expired, Unavailable):
            found, version = await client.list_with_version(resource, namespace, fields=fields)
            here: dict[str, Obj | None] = {obj["metadata"]["uid"]: obj for obj in found}
            yield {**dict.fromkeys(known - here.keys()), **here}
            known = {*here}
            async for event in client.watch(resource, namespace, resource_version=version, fields=fields):
                if event.type == "BOOKMARK":
                    continue
                uid = event.object["metadata"]["uid"]
                known.add(uid)
                yield {uid: None if event.type == "DELETED" else event.object}
        await asyncio.sleep(_RELIST_SECONDS)
