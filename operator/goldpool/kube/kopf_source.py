"""kopf as the source of the kinds that people write: it watches, and decides nothing.

It runs in a thread with an event loop of its own. In ours it would take over SIGTERM, cancel every task made after it
started when it ends (operator.md §1.11), and its burst of work at the start would delay lease renewals.
"""

import asyncio
import collections
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import kopf
import structlog
from kopf._cogs.structs.references import Insights  # the type of a public argument, exported nowhere

from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.kopf_profile import event_only_settings
from goldpool.kube.port import Key, KubeError, Obj, Resource, key_of
from goldpool.kube.sweep import Sweeper

_BATCH: Final = 200
_POLL: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_SILENT: Final = 5.0
"""Seconds without a word of kopf's first list after which it is taken for complete."""
_STOP: Final = 3.0
"""Seconds that a stopping kopf is waited for. It only listens: nothing is lost if it takes longer."""

log = structlog.get_logger(__name__)
# Off the main thread it warns that it ignores signals, which is what we want of it.
logging.getLogger("kopf._core.reactor.running").addFilter(lambda line: "OS signals" not in line.getMessage())

Delivery = tuple[Resource, str | None, Obj]


class KopfSource:
    """After ``synced`` the cache covers everything that one list of each kind showed; what changes from then on comes from
    kopf. That list is our own, made before kopf begins: kopf takes many times as long for its first one, says nothing of
    its end, and only what changed in between is news in it. If kopf ends (an unknown error in a watch, a CRD taken
    away), it is started again after another list, and what vanished before it heard anything is swept.

    ``namespaces`` empty means the whole cluster; cluster-scoped kinds are served in any case.
    """

    def __init__(
        self,
        client: KubeClient,
        cache: Cache,
        resources: Sequence[Resource],
        sweeper: Sweeper,
        *,
        namespaces: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resources: Sequence[Resource] = tuple(resources)
        self.synced = asyncio.Event()
        self._client = client
        self._cache = cache
        self._sweeper = sweeper
        self._namespaces = tuple(namespaces)
        self._clock = clock
        self._heard_at = clock()
        self._inbox: collections.deque[Delivery] = collections.deque()
        self._inbox_open = False
        self._awaited: set[tuple[Resource, Key]] | None = None
        """What our list showed and kopf's first one has yet to bring; None when that one is through."""
        self._lock = threading.Lock()
        for resource in self.resources:
            cache.add_scope(resource, self._covers)

    def last_event_age(self) -> float:
        """kopf keeps bookmarks to itself: in a quiet cluster this grows until the next sweep's list."""
        return self._clock() - self._heard_at

    async def run(self) -> None:
        """Never returns; cancel it to stop kopf."""
        failures = 0
        while True:
            await self._until_served()
            await self._list()
            started = self._clock()
            await self._run_kopf()
            failures = 0 if self._clock() - started > 60.0 else failures + 1
            log.warning("kopf ended; starting it again", failures=failures)
            await asyncio.sleep(min(2.0**failures, _LONGEST_BACKOFF) * random.uniform(0.5, 1.0))  # noqa: S311

    # --- our loop

    async def _run_kopf(self) -> None:
        loop = asyncio.get_running_loop()
        thread = _KopfThread(self._registry(loop), self.resources, self._namespaces, loop)
        syncing = loop.create_task(self._first_list_of_kopf(), name="kopf's first list")
        try:
            await asyncio.shield(thread.ended)
        finally:
            syncing.cancel()
            thread.stop()
            await asyncio.wait((thread.ended, syncing), timeout=_STOP)

    async def _until_served(self) -> None:
        """kopf looks once which kinds there are (``scanning.disabled``), so it must not start before its CRDs."""
        for resource in self.resources:
            while True:
                try:
                    await self._client.is_served(resource)
                    break
                except KubeError as error:
                    log.warning("kind is not served yet", kind=resource.kind, error=error.message)
                    await asyncio.sleep(2.0)

    async def _list(self) -> None:
        self._awaited = set()
        for resource in self.resources:
            while not await self._fill(resource):  # noqa: ASYNC110 (the other side is the server)
                await asyncio.sleep(_POLL)
        log.info("kopf's kinds listed", objects={r.kind: self._cache.count(r) for r in self.resources})
        self.synced.set()

    async def _fill(self, resource: Resource) -> bool:
        assert self._awaited is not None
        try:
            objects, _ = await self._client.list_with_version(resource)
        except KubeError as error:
            log.warning("list failed", kind=resource.kind, error=error.message)
            return False
        initial = not self.synced.is_set()
        for number, obj in enumerate(objects):
            if self._covers(obj):
                self._awaited.add((resource, key_of(resource, obj)))
                self._cache.upsert(resource, obj, initial=initial)
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        return True

    async def _first_list_of_kopf(self) -> None:
        """Until kopf has told all that we listed, or, because the rest has vanished meanwhile, nothing for a while."""
        assert self._awaited is not None
        left, since = len(self._awaited), self._clock()
        while self._awaited:
            await asyncio.sleep(_POLL)
            if len(self._awaited) != left:
                left, since = len(self._awaited), self._clock()
            elif self._clock() - since > _SILENT:
                break
        self._awaited = None
        for resource in self.resources:
            self._sweeper.request(resource)  # what vanished between the two lists, or while kopf was down

    def _covers(self, obj: Obj) -> bool:
        return self._serves(obj["metadata"].get("namespace", ""))

    def _serves(self, namespace: str) -> bool:
        return not self._namespaces or not namespace or namespace in self._namespaces

    def _drain(self) -> None:
        """At most a batch per turn of the loop, so that a relist of thousands delays nobody."""
        with self._lock:
            batch = [self._inbox.popleft() for _ in range(min(_BATCH, len(self._inbox)))]
            if not self._inbox:
                self._inbox_open = False
            else:
                asyncio.get_running_loop().call_soon(self._drain)
        self._heard_at = self._clock()
        for resource, event_type, obj in batch:
            self._take(resource, event_type, obj)

    def _take(self, resource: Resource, event_type: str | None, obj: Obj) -> None:
        if event_type == "DELETED":
            self._cache.remove(resource, obj)
            return
        first = self._awaited is not None
        if self._awaited is not None:
            self._awaited.discard((resource, key_of(resource, obj)))
        self._cache.upsert(resource, obj, initial=event_type is None and first)
        if event_type is None and not first:
            self._sweeper.request(resource)  # kopf listed anew, and says nothing of what is gone

    # --- kopf's loop

    def _registry(self, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="goldpool")(self._login)
        for resource in self.resources:
            kopf.on.event(
                resource.group, resource.version, resource.plural, registry=registry, id=resource.plural
            )(self._handler(resource, loop))
        return registry

    def _handler(self, resource: Resource, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        async def deliver(*, event: Any, **_: Any) -> None:
            obj = dict(event["object"])
            metadata = obj["metadata"] = dict(obj["metadata"])
            metadata.pop("managedFields", None)
            with self._lock:
                self._inbox.append((resource, event["type"], obj))
                opened, self._inbox_open = not self._inbox_open, True
            if opened and not loop.is_closed():
                loop.call_soon_threadsafe(self._drain)

        return deliver

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """Our credentials, read anew for every request: kopf would keep a token beyond its rotation."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._client.ssl_context),
            headers={"User-Agent": "goldpool"},
            middlewares=(self._authorize,),
            trust_env=False,
        )
        return kopf.AiohttpSession(server=self._client.host, aiohttp_session=session)

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(await self._client.authorization())
        return await handler(request)


class _KopfThread:
    """One run of kopf. ``ended`` is resolved when it is over; ``stop`` may be called at any time."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        resources: Sequence[Resource],
        namespaces: Sequence[str],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        self._registry = registry
        self._resources = resources
        self._namespaces = namespaces
        self._loop = loop
        self._stop = threading.Event()
        # A daemon: a kopf that hangs must not keep the process alive.
        threading.Thread(target=self._main, name="kopf", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _main(self) -> None:
        failure: Exception | None = None
        try:
            asyncio.run(self._operate())
        except Exception as error:  # for the loop that waits
            failure = error
        with contextlib.suppress(RuntimeError):  # that loop is closed already
            self._loop.call_soon_threadsafe(self._end, failure)

    def _end(self, failure: Exception | None) -> None:
        if failure is not None:
            log.error("kopf failed", exc_info=failure)
        if not self.ended.done():
            self.ended.set_result(None)

    async def _operate(self) -> None:
        insights = Insights()
        looking = asyncio.create_task(self._end_if_deaf(insights))
        try:
            await kopf.operator(
                insights=insights,
                registry=self._registry,
                settings=event_only_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
            )
        finally:
            # kopf waits for the flag in a thread of its own, which would outlive a kopf that failed.
            self._stop.set()
            looking.cancel()

    async def _end_if_deaf(self, insights: Insights) -> None:
        """kopf looks for its kinds in the discovery documents, once, and those lag behind the kinds themselves: seconds
        after a CRD was made they may not name it, and kopf would never watch it."""
        await insights.ready_resources.wait()
        seen = {(r.group, r.version, r.plural) for r in insights.watched_resources}
        unseen = [r.kind for r in self._resources if (r.group, r.version, r.plural) not in seen]
        if unseen:
            log.warning("kopf did not find its kinds; starting it again", kinds=unseen)
            self._stop.set()
