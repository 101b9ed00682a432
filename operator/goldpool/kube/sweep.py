"""Finds what a source missed. kopf relists after every restart of the API server and every update of a CRD, and says
nothing of what vanished in between (api-server.md §4); and a proxy, or a server restored from a backup, may swallow
events of which no watch ever speaks again."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from goldpool.kube.cache import Cache, version_of
from goldpool.kube.port import Head, Key, KubeError, NotFound, Obj, Resource

_SETTLE: Final = 1.0
"""Seconds: a request waits for others, since a relist announces itself once per object; and what a list shows may be
on its way to us by a watch."""

log = structlog.get_logger(__name__)


class ReadsHeads(Protocol):
    async def list_heads(
        self, resource: Resource, namespace: str = "", *, labels: str = ""
    ) -> dict[Key, Head]: ...

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj: ...


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sources of a resource cover."""

    resource: Resource
    namespace: str = ""
    labels: str = ""


class Sweeper:
    """What is gone from the server leaves the cache, what is new or newer there comes into it, within ``period`` seconds
    (plus a tenth), whatever the sources missed; nothing leaves it that a GET, made after the list, still finds.

    ``corrections`` counts what it had to repair: in a healthy cluster it moves only after a relist.
    """

    def __init__(
        self,
        api: ReadsHeads,
        cache: Cache,
        swept: Sequence[Swept],
        *,
        period: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.corrections: dict[Resource, int] = {each.resource: 0 for each in swept}
        self.sweeps = 0
        self._api = api
        self._cache = cache
        self._swept = {each.resource: each for each in swept}
        self._period = period
        self._clock = clock
        self._swept_at = dict.fromkeys(self.corrections, clock())
        self._wanted: set[Resource] = set()
        self._wake = asyncio.Event()

    def request(self, resource: Resource) -> None:
        """Sweep this resource soon."""
        self._wanted.add(resource)
        self._wake.set()

    async def run(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), self._period * random.uniform(0.9, 1.1))  # noqa: S311
                await asyncio.sleep(_SETTLE)
            except TimeoutError:
                self._wanted.update(self.corrections)
            self._wake.clear()
            while self._wanted:
                resource = self._wanted.pop()
                try:
                    await self.sweep(resource)
                except KubeError as error:
                    log.warning("sweep failed", kind=resource.kind, error=error.message)

    async def sweep(self, resource: Resource) -> int:
        """One sweep of one resource, now; the number of corrections."""
        # Only what was cached before the list began may be gone: anything newer may rightly be missing from it.
        cached = {key: self._uid(resource, key) for key in self._cache.keys(resource)}
        swept = self._swept[resource]
        listed = await self._api.list_heads(resource, swept.namespace, labels=swept.labels)
        corrected = 0
        for key, uid in cached.items():
            head = listed.get(key)
            if (head is None or head.uid != uid) and self._uid(resource, key) == uid:
                corrected += await self._repair(resource, key)
        corrected += await self._catch_up(resource, listed)
        self.sweeps += 1
        self._swept_at[resource] = self._clock()
        self.corrections[resource] += corrected
        if corrected:
            log.warning("cache corrected", kind=resource.kind, objects=corrected)
        return corrected

    def ages(self) -> dict[Resource, float]:
        """Seconds since each resource was last swept; since the start where it never was."""
        now = self._clock()
        return {resource: now - swept_at for resource, swept_at in self._swept_at.items()}

    async def _catch_up(self, resource: Resource, listed: dict[Key, Head]) -> int:
        behind = [key for key, head in listed.items() if self._is_behind(resource, key, head)]
        if not behind:
            return 0
        await asyncio.sleep(_SETTLE)
        return sum(
            [
                await self._repair(resource, key)
                for key in behind
                if self._is_behind(resource, key, listed[key])
            ]
        )

    def _is_behind(self, resource: Resource, key: Key, head: Head) -> bool:
        """Also of an object that is not there at all, unless it was seen deleted since."""
        cached = self._cache.at(resource, key)
        if cached is None:
            return not self._cache.is_buried(head.uid)
        return version_of(cached) < head.version

    async def _repair(self, resource: Resource, key: Key) -> bool:
        stale = self._cache.at(resource, key)
        try:
            found = await self._api.get(resource, key.name, key.namespace)
        except NotFound:
            return stale is not None and self._cache.remove(resource, stale)
        if not self._cache.covers(resource, found):
            return stale is not None and self._cache.remove(resource, stale)
        return self._cache.upsert(resource, found)

    def _uid(self, resource: Resource, key: Key) -> str | None:
        obj = self._cache.at(resource, key)
        uid: str | None = obj["metadata"]["uid"] if obj is not None else None
        return uid
