"""Finds the deletions that a source missed. kopf relists after every restart of the API server and every update of a
CRD, and says nothing of what vanished in between (api-server.md §4)."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from goldpool.kube.cache import Cache
from goldpool.kube.port import Key, KubeError, NotFound, Obj, Resource

_SETTLE: Final = 1.0
"""Seconds that a request waits for others: a relist announces itself once per object."""

log = structlog.get_logger(__name__)


class ReadsNames(Protocol):
    async def list_names(self, resource: Resource, namespace: str = "") -> dict[Key, str]: ...

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj: ...


class Sweeper:
    """What is gone from the server leaves the cache within ``period`` seconds (plus a tenth), whatever the sources
    missed; nothing leaves it that a GET, made after the list, still finds.

    ``corrections`` counts what it had to repair: in a healthy cluster it moves only after a relist.
    """

    def __init__(
        self,
        api: ReadsNames,
        cache: Cache,
        resources: Sequence[Resource],
        *,
        period: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.corrections: dict[Resource, int] = dict.fromkeys(resources, 0)
        self.sweeps = 0
        self._clock = clock
        self._swept_at = dict.fromkeys(resources, clock())
        self._api = api
        self._cache = cache
        self._period = period
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
        # Only what was cached before the list began: anything newer may rightly be missing from it.
        cached = {key: self._uid(resource, key) for key in self._cache.keys(resource)}
        listed = await self._api.list_names(resource)
        corrected = 0
        for key, uid in cached.items():
            if listed.get(key) != uid and self._uid(resource, key) == uid:
                corrected += await self._repair(resource, key)
        self.sweeps += 1
        self._swept_at[resource] = self._clock()
        self.corrections[resource] = self.corrections.get(resource, 0) + corrected
        if corrected:
            log.warning("cache corrected", kind=resource.kind, objects=corrected)
        return corrected

    def ages(self) -> dict[Resource, float]:
        """Seconds since each resource was last swept; since the start where it never was."""
        now = self._clock()
        return {resource: now - swept_at for resource, swept_at in self._swept_at.items()}

    async def _repair(self, resource: Resource, key: Key) -> bool:
        stale = self._cache.at(resource, key)
        try:
            found = await self._api.get(resource, key.name, key.namespace)
        except NotFound:
            return stale is not None and self._cache.remove(resource, stale)
        return self._cache.upsert(resource, found)

    def _uid(self, resource: Resource, key: Key) -> str | None:
        obj = self._cache.at(resource, key)
        uid: str | None = obj["metadata"]["uid"] if obj is not None else None
        return uid
