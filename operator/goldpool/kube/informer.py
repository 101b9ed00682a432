"""Our own LIST and WATCH of one resource: a fifth of kopf's cost per event, and it notices what vanished meanwhile."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from goldpool.kube.cache import Cache
from goldpool.kube.port import Expired, KubeApi, KubeError, Obj, Resource, Unavailable, key_of
from goldpool.kube.selectors import matches_labels

_CHUNK: Final = 500
_LONGEST_BACKOFF: Final = 30.0
_SHORT_WATCH: Final = 1.0

log = structlog.get_logger(__name__)


class Source(Protocol):
    """Fills the cache and keeps it true until it is stopped."""

    resources: Sequence[Resource]
    synced: asyncio.Event

    async def run(self) -> None: ...

    def last_event_age(self) -> float:
        """Seconds since the server last said anything at all (an event or a bookmark)."""
        ...


class Informer:
    """After ``synced`` the cache holds everything that existed at some moment since the start. ``run`` never ends by
    itself: refused connections, 429s, expired versions and missing CRDs only make it wait and list again, and what was
    deleted meanwhile is then dropped.

    One informer (or other source) per resource and namespace in a cache. ``timeout_seconds`` is a watch's length.
    """

    def __init__(
        self,
        api: KubeApi,
        cache: Cache,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self.resources: Sequence[Resource] = (resource,)
        self.synced = asyncio.Event()
        self.relists = 0
        """Lists after the first one."""
        self._api = api
        self._cache = cache
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._timeout = timeout_seconds
        self._clock = clock
        self._heard_at = clock()
        self._version: str | None = None
        self._failures = 0
        matches = matches_labels(labels)
        self._covers: Callable[[Obj], bool] = lambda obj: (
            (not namespace or obj["metadata"].get("namespace") == namespace) and matches(obj)
        )
        cache.add_scope(resource, self._covers)

    def last_event_age(self) -> float:
        return self._clock() - self._heard_at

    async def run(self) -> None:
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except Expired:
                # Every restart of the API server and every update of the CRD ends here: routine, not an error.
                log.info("watch expired", kind=self.resource.kind)
                self._version = None
                await self._back_off(None)
            except Unavailable as error:
                log.warning("watch interrupted", kind=self.resource.kind, error=error.message)
                await self._back_off(error.retry_after)
            except KubeError as error:
                # NotFound: the CRD is not served (yet). Forbidden: RBAC may still be on its way.
                log.error("watch refused", kind=self.resource.kind, error=error.message, status=error.status)
                self._version = None
                await self._back_off(None)
            except Exception:
                log.exception("watch failed", kind=self.resource.kind)
                self._version = None
                await self._back_off(None)

    async def _list(self) -> None:
        objects, version = await self._api.list_with_version(
            self.resource, self._namespace, labels=self._labels, fields=self._fields
        )
        initial = not self.synced.is_set()
        for start in range(0, len(objects), _CHUNK):
            for obj in objects[start : start + _CHUNK]:
                self._cache.upsert(self.resource, obj, initial=initial, listed=True)
            await asyncio.sleep(0)
        vanished = self._cache.remove_unlisted(
            self.resource, (key_of(self.resource, obj) for obj in objects), int(version), self._covers
        )
        self._version = version
        self._heard()
        self.relists += not initial
        log.info(
            "listed", kind=self.resource.kind, objects=len(objects), vanished=len(vanished), initial=initial
        )
        self.synced.set()

    async def _watch(self) -> None:
        assert self._version is not None
        started, silent = self._clock(), True
        async for event in self._api.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            labels=self._labels,
            fields=self._fields,
            timeout_seconds=self._timeout,
        ):
            silent = False
            self._heard()
            if event.type == "DELETED":
                self._cache.remove(self.resource, event.object)
            elif event.type != "BOOKMARK":
                self._cache.upsert(self.resource, event.object)
            self._version = event.object["metadata"]["resourceVersion"]
        if self._clock() - started < _SHORT_WATCH:
            await self._back_off(None)  # a proxy or a dying server that ends every watch at once
        elif silent and self._timeout >= 120:
            # Not even a bookmark: the version may lie in the server's future, after a restore of etcd. List anew.
            self._version = None

    def _heard(self) -> None:
        self._heard_at = self._clock()
        self._failures = 0

    async def _back_off(self, retry_after: float | None) -> None:
        self._failures += 1
        pause = min(0.2 * 2 ** min(self._failures, 10), _LONGEST_BACKOFF)
        await asyncio.sleep(max(pause * random.uniform(0.5, 1.0), retry_after or 0.0))  # noqa: S311
