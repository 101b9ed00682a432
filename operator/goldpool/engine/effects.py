"""How effects are carried out. Each executor is one write, guarded by what the plan had seen."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from goldpool.engine.plan import (
    AddFinalizer,
    Create,
    Delete,
    Patch,
    PatchStatus,
    Record,
    RemoveFinalizer,
)
from goldpool.kube.cache import Cache, version_of
from goldpool.kube.port import Key, KubeApi, NotFound, Obj, Resource, key_of

Executor = Callable[[Any], Awaitable[object]]
"""Carries out one effect. What it returns is ignored, unless it is registered by the engine itself."""


class Records(Protocol):
    def record(self, record: Record) -> None: ...


class LeadershipLost(Exception):
    """Nothing more may be written: another replica may lead by now."""


class Writes:
    """The writes of one pass. Remembers what they made of each object, so that two guarded writes to one object in one
    pass do not conflict with each other: the second is guarded by the answer to the first."""

    def __init__(self, api: KubeApi, cache: Cache, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._cache = cache
        self._may_write = may_write
        self._newest: dict[tuple[Resource, Key], tuple[str, Obj]] = {}
        """By object: the version the pass began with, and the newest answer."""

    async def create(self, effect: Create) -> None:
        self._check()
        self._cache.observe_write(effect.resource, await self._api.create(effect.resource, effect.obj))

    async def patch(self, effect: Patch) -> None:
        await self._guarded_patch(
            effect.resource, effect.name, effect.namespace, effect.resource_version, effect.patch
        )

    async def patch_status(self, effect: PatchStatus) -> None:
        await self._guarded_patch(
            effect.resource,
            effect.name,
            effect.namespace,
            effect.resource_version,
            {"status": effect.status},
            subresource="status",
        )

    async def delete(self, effect: Delete) -> None:
        self._check()
        version = effect.resource_version and self._version(
            effect.resource, Key(effect.resource.kind, effect.namespace, effect.name), effect.resource_version
        )
        try:
            await self._api.delete(
                effect.resource,
                effect.name,
                effect.namespace,
                uid=effect.uid,
                resource_version=version,
                propagation=effect.propagation,
            )
        except NotFound:
            return

    async def add_finalizer(self, effect: AddFinalizer) -> bool:
        """True if it was not there yet: the pass ends."""
        obj = self.newest(effect.resource, effect.obj)
        finalizers = obj["metadata"].get("finalizers") or []
        if effect.finalizer in finalizers:
            return False
        await self._patch_finalizers(effect.resource, obj, [*finalizers, effect.finalizer])
        return True

    async def remove_finalizer(self, effect: RemoveFinalizer) -> None:
        obj = self.newest(effect.resource, effect.obj)
        finalizers = obj["metadata"].get("finalizers") or []
        if effect.finalizer not in finalizers:
            return
        try:
            await self._patch_finalizers(
                effect.resource, obj, [name for name in finalizers if name != effect.finalizer]
            )
        except NotFound:
            # The object went with its last finalizer; the cache will hear of it from its source.
            return

    async def apply_status(self, resource: Resource, obj: Obj, status: dict[str, Any]) -> Obj:
        """Server-side apply of the whole status, guarded by the version of ``obj`` (a status write ignores the UID)."""
        self._check()
        metadata = {"name": obj["metadata"]["name"], "resourceVersion": obj["metadata"]["resourceVersion"]}
        if namespace := obj["metadata"].get("namespace"):
            metadata["namespace"] = namespace
        return await self._api.apply(resource, {"metadata": metadata, "status": status}, subresource="status")

    def newest(self, resource: Resource, obj: Obj) -> Obj:
        """``obj``, or what this pass has made of it since."""
        known = self._newest.get((resource, key_of(resource, obj)))
        if known is not None and known[0] == obj["metadata"]["resourceVersion"]:
            return known[1]
        return obj

    async def _patch_finalizers(self, resource: Resource, obj: Obj, finalizers: list[str]) -> None:
        metadata = obj["metadata"]
        await self._guarded_patch(
            resource,
            metadata["name"],
            metadata.get("namespace", ""),
            metadata["resourceVersion"],
            {"metadata": {"finalizers": finalizers}},
        )

    async def _guarded_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        resource_version: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> None:
        self._check()
        key = Key(resource.kind, namespace, name)
        guard = self._version(resource, key, resource_version)
        # In the metadata, not as a JSON patch ``test``: a stale one is then a clean 409 (api-server.md §2).
        body = patch | {"metadata": (patch.get("metadata") or {}) | {"resourceVersion": guard}}
        answer = await self._api.merge_patch(resource, name, body, namespace, subresource=subresource)
        began, newest = self._newest.get((resource, key), (resource_version, None))
        if newest is None or version_of(answer) >= version_of(newest):
            self._newest[resource, key] = (began, answer)
        self._cache.observe_write(resource, answer)

    def _version(self, resource: Resource, key: Key, seen: str) -> str:
        known = self._newest.get((resource, key))
        if known is not None and known[0] == seen:
            version: str = known[1]["metadata"]["resourceVersion"]
            return version
        return seen

    def _check(self) -> None:
        if not self._may_write():
            raise LeadershipLost
