"""``KubeApi`` over ``kubernetes.aio``, but raw JSON in and out: typed models cost five times the memory, and the typed
methods lose the answer of a creating server-side apply (api-server.md §1)."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

from kubernetes.aio.client import Configuration

from goldpool.kube import errors
from goldpool.kube.config import load_configuration
from goldpool.kube.execution import PROTOCOL, Execution
from goldpool.kube.port import Expired, Head, Key, Obj, Propagation, Resource, Unavailable, WatchEvent
from goldpool.kube.ratelimit import TokenBucket
from goldpool.kube.transport import APPLY, JSON, MERGE, METADATA_ONLY, Call, Observe, Transport, parse

T = TypeVar("T")
Items = list[dict[str, Any]]

PAGE: Final = 500
_READ_ATTEMPTS: Final = 3
_LIST_ATTEMPTS: Final = 3
_WATCH_GRACE: Final = 15.0
"""Seconds that a watch may outlive the time it asked for, before it is taken for dead."""


class KubeClient:
    """Safe for many tasks at once. Nothing but the exceptions of ``port`` escapes.

    Every write waits for a token and for one of ``concurrency`` places; whoever holds the leadership renews it with a
    client of its own, so that a storm of writes cannot cost it. Only reads are retried here: whether to repeat a write
    is the caller's to decide, who can look what became of it. ``timeout`` is in seconds, per request; ``rate`` in
    writes per second; ``unacknowledged`` in seconds: how long bytes that nobody acknowledges are sent again.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        field_manager: str = "goldpool",
        timeout: float = 30.0,
        rate: float = 300.0,
        burst: int = 600,
        concurrency: int = 32,
        trust_env: bool = False,
        observe: Observe | None = None,
        unacknowledged: float | None = None,
    ) -> None:
        # Looking for proxies and netrc on every request takes two thirds of the client's time (operator.md §2.1).
        configuration.client_session_kwargs = {"trust_env": trust_env}
        self._http = Transport(
            configuration,
            user_agent="goldpool",
            timeout=timeout,
            observe=observe,
            unacknowledged=unacknowledged,
        )
        self._field_manager = {"fieldManager": field_manager}
        self._bucket = TokenBucket(rate, burst)
        self._places = asyncio.Semaphore(concurrency)
        self._may_write: Callable[[], bool] = lambda: True
        self._in_flight = 0
        self._none_in_flight = asyncio.Event()
        self._none_in_flight.set()

    def fence(self, may_write: Callable[[], bool]) -> None:
        """From now on every write is refused, as Unavailable, while ``may_write``
        says no: asked when its connection stands and its bytes are about to leave, since that may have taken long, and
        a process may freeze anywhere and wake up when another leads."""
        self._may_write = may_write

    async def seal(self, seconds: float) -> bool:
        """No write begins any more. True once all that had begun are answered, False if ``seconds`` did not suffice."""
        self._may_write = lambda: False
        try:
            await asyncio.wait_for(self._none_in_flight.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @classmethod
    async def connect(cls, **options: Any) -> "KubeClient":
        """A client for the cluster that the environment names; ``options`` are the constructor's."""
        return cls(await load_configuration(), **options)

    @property
    def host(self) -> str:
        return self._http.host

    @property
    def ssl_context(self) -> ssl.SSLContext:
        return self._http.ssl_context

    async def authorization(self) -> dict[str, str]:
        """The headers that say who we are, now. May be called from another event loop."""
        return await self._http.authorization()

    async def close(self) -> None:
        await self._http.close()

    async def __aenter__(self) -> "KubeClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- reads

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return _object(await self._read(Call("GET", _path(resource, namespace, name))), resource)

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Sequence[Obj]:
        objects, _ = await self.list_with_version(resource, namespace, labels=labels, fields=fields)
        return objects

    async def list_with_version(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[Sequence[Obj], str]:
        query = _query(labelSelector=labels, fieldSelector=fields)
        items, version = await self._pages(_path(resource, namespace), query)
        return [_object(item, resource) for item in items], version

    async def list_heads(
        self, resource: Resource, namespace: str = "", *, labels: str = ""
    ) -> dict[Key, Head]:
        """All objects without their content: half the bytes of ``list``, and as fresh."""
        query = _query(labelSelector=labels)
        items, _ = await self._pages(_path(resource, namespace), query, accept=METADATA_ONLY)
        return {
            Key(resource.kind, meta.get("namespace", ""), meta["name"]): Head(
                meta["uid"], int(meta["resourceVersion"])
            )
            for meta in (item["metadata"] for item in items)
        }

    async def is_served(self, resource: Resource) -> None:
        """Raises what a list of it would raise, for the price of one object."""
        await self._read(Call("GET", _path(resource), {"limit": "1"}))

    async def list_names(self, resource: Resource, namespace: str = "") -> dict[Key, str]:
        """Keys and UIDs of all objects."""
        return {key: head.uid for key, head in (await self.list_heads(resource, namespace)).items()}

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent]:
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            timeoutSeconds=str(timeout_seconds),
            labelSelector=labels,
            fieldSelector=fields,
        )
        # Finite on both sides: a watch from a version of the future is silent for ever (api-server.md §4).
        call = Call("GET", _path(resource, namespace), query)
        async for line in self._http.lines(call, total=timeout_seconds + _WATCH_GRACE):
            event = parse(line)
            if event["type"] == "ERROR":
                raise errors.from_status(event["object"])
            yield WatchEvent(event["type"], _object(event["object"], resource))

    async def pod_log(self, name: str, namespace: str, *, tail_lines: int | None = None) -> str:
        query = _query(tailLines="" if tail_lines is None else str(tail_lines))
        call = Call("GET", _log_path(name, namespace), query)
        body = await _persist(lambda: self._placed(call))
        return body.decode("utf-8", "replace")

    async def follow_pod_log(self, name: str, namespace: str) -> AsyncIterator[str]:
        call = Call("GET", _log_path(name, namespace), {"follow": "true"})
        async for line in self._http.lines(call, total=None):
            yield line.decode("utf-8", "replace")

    @asynccontextmanager
    async def execute(
        self, pod: str, namespace: str, container: str, argv: Sequence[str]
    ) -> AsyncIterator[Execution]:
        """A program in a container, with stdin and without a terminal. It lives until it ends or the block does.

        Raises NotFound and Forbidden; the latter without the server's sentence.
        """
        query = [(name, "true") for name in ("stdin", "stdout", "stderr")]
        query += [("container", container), *(("command", word) for word in argv)]
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/exec"
        async with self._http.socket(path, query, PROTOCOL) as socket:
            yield Execution(socket)

    # --- writes

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        path = _path(resource, obj["metadata"].get("namespace", ""))
        return await self._write(resource, Call("POST", path, self._field_manager, body))

    async def apply(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        metadata = obj["metadata"]
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        path = _path(resource, metadata.get("namespace", ""), metadata["name"], subresource)
        return await self._write(
            resource, Call("PATCH", path, self._field_manager | {"force": "true"}, body, APPLY)
        )

    async def merge_patch(
        self, resource: Resource, name: str, patch: Obj, namespace: str = "", *, subresource: str = ""
    ) -> Obj:
        path = _path(resource, namespace, name, subresource)
        return await self._write(resource, Call("PATCH", path, self._field_manager, patch, MERGE))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid} | _query(resourceVersion=resource_version or ""),
            "propagationPolicy": propagation.value,
        }
        await self._write(resource, Call("DELETE", _path(resource, namespace, name), body=options))

    # --- requests

    async def _pages(self, path: str, query: dict[str, str], *, accept: str = JSON) -> tuple[Items, str]:
        """All pages of one consistent list, begun anew if its continue token expired meanwhile."""
        for attempt in range(1, _LIST_ATTEMPTS + 1):
            items: Items = []
            page_query = query | {"limit": str(PAGE)}
            try:
                while True:
                    page = await self._read(Call("GET", path, page_query, accept=accept))
                    items.extend(page.get("items") or ())
                    token = page["metadata"].get("continue")
                    if not token:
                        return items, page["metadata"]["resourceVersion"]
                    page_query = page_query | {"continue": token}
            except Expired:
                if attempt == _LIST_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _read(self, call: Call) -> dict[str, Any]:
        async def once() -> dict[str, Any]:
            return parse(await self._placed(call))

        return await _persist(once)

    async def _write(self, resource: Resource, call: Call) -> Obj:
        await self._bucket.wait()
        async with self._places:
            self._in_flight += 1
            self._none_in_flight.clear()
            try:
                answer = await self._http.request(call, may_send=self._is_allowed)
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._none_in_flight.set()
        return _object(parse(answer), resource)

    def _is_allowed(self) -> bool:
        """As the fence stands now, not as it stood when the write began to wait."""
        return self._may_write()

    async def _placed(self, call: Call) -> bytes:
        async with self._places:
            return await self._http.request(call)


async def _persist(read: Callable[[], Awaitable[T]]) -> T:
    """Reads are repeated twice, after the time the server asked for; the last error goes to the caller."""
    for attempt in range(1, _READ_ATTEMPTS):
        try:
            return await read()
        except Unavailable as error:
            pause = error.retry_after if error.retry_after is not None else 0.2 * 4 ** (attempt - 1)
            await asyncio.sleep(min(pause, 5.0) * random.uniform(1.0, 1.3))  # noqa: S311
    return await read()


def _object(answer: dict[str, Any], resource: Resource) -> Obj:
    """Items of a list name no kind; managedFields is often half of an object, and nobody here reads it."""
    if answer.get("kind") != "Status":
        answer.setdefault("apiVersion", resource.api_version)
        answer.setdefault("kind", resource.kind)
    answer.get("metadata", {}).pop("managedFields", None)
    return answer


def _path(resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    within = f"/namespaces/{quote(namespace)}" if namespace and resource.namespaced else ""
    leaf = (f"/{quote(name, safe='')}" if name else "") + (f"/{subresource}" if subresource else "")
    return f"{root}{within}/{resource.plural}{leaf}"


def _log_path(name: str, namespace: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(name)}/log"


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}
