"""What these tests share: a kind of their own, a connection that can be cut, and waiting for the server."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from goldpool.kube.port import Conflict, KubeError, NotFound, Obj, Resource, key_of
from goldpool.kube.resources import CUSTOM_RESOURCE_DEFINITION


async def eventually(
    holds: Callable[[], bool | Awaitable[bool]], *, seconds: float = 60.0, pause: float = 0.05
) -> None:
    """Fails if it does not come true; the message is the caller's line."""
    deadline = time.monotonic() + seconds
    while True:
        answer = holds()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        await asyncio.sleep(pause)


def a_toy(name: str, namespace: str, *, size: int = 1, labels: dict[str, str] | None = None) -> Obj:
    marked = {"labels": labels} if labels else {}
    return {"metadata": {"name": name, "namespace": namespace, **marked}, "spec": {"size": size}}


def toy_crd(group: str) -> Obj:
    integer, text = {"type": "integer"}, {"type": "string"}
    ref = {
        "type": "object",
        "required": ["pool"],
        "properties": {"pool": text, "host": {"type": "string", "default": ""}, "path": text},
    }
    status = {
        "type": "object",
        "properties": {
            "observedGeneration": integer,
            "phase": text,
            "size": integer,
            "children": integer,
            "stamp": text,
            "poolRefs": {
                "type": "array",
                "items": ref,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["pool", "host"],
            },
        },
    }
    spec = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 0}, "parent": text}}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    return {
        "metadata": {"name": f"toys.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Toy", "plural": "toys", "singular": "toy"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


async def end_all_watches(client: Any, toy: Resource, mark: str) -> None:
    """Any update of a CRD ends its watches in a 410 and makes everybody list anew (api-server.md §4)."""
    name = f"{toy.plural}.{toy.group}"
    await client.merge_patch(
        CUSTOM_RESOURCE_DEFINITION, name, {"spec": {"names": {"categories": [f"c{mark}"]}}}
    )


async def remove_toys(client: Any, toy: Resource, namespace: str = "") -> None:
    async def remove(obj: Obj) -> None:
        key = key_of(toy, obj)
        with contextlib.suppress(NotFound, Conflict):
            if obj["metadata"].get("finalizers"):
                await client.merge_patch(toy, key.name, {"metadata": {"finalizers": None}}, key.namespace)
            await client.delete(toy, key.name, key.namespace, uid=obj["metadata"]["uid"])

    await asyncio.gather(*(remove(obj) for obj in await client.list(toy, namespace)))


async def retry(write: Callable[[], Awaitable[Any]], *, seconds: float = 60.0) -> Any:
    """For the seconds after a CRD update, in which the server says 429."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await write()
        except KubeError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


class Wire:
    """A TCP proxy in front of the API server that can be cut: TLS goes through untouched."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in [*self._writers]:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        await asyncio.wait(
            [
                asyncio.ensure_future(_pump(reader, there_writer)),
                asyncio.ensure_future(_pump(there_reader, writer)),
            ]
        )
        self._writers -= {writer, there_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()
