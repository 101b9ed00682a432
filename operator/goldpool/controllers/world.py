"""The cluster as the controllers read it: typed views of the cache, found through indices.

An object is parsed once for each version of it that anybody reads: a pool's pass looks at all its volumes, and there
are many passes while a thousand of them are made.
"""

import base64
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from goldpool.api.model import Kind
from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.indices import (
    BY_ISO,
    BY_ISO_POOL,
    BY_LOCATION,
    BY_PARENT_POOL,
    BY_POOL,
    BY_TEMPLATE,
)
from goldpool.controllers.naming import LABEL_TEMPLATE_UID, LABEL_VM_UID, STOPPED_FINALIZER
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, KubeApi, NotFound, Obj, Resource
from goldpool.planning.identity import location_name
from goldpool.planning.snapshot import NodeView, node_view
from goldpool.settings import Settings

KindT = TypeVar("KindT", bound=Kind)


class World:
    """Read access to everything a ``gather`` needs. ``fresh_*`` methods ask the API server itself."""

    def __init__(
        self,
        cache: Cache,
        kube: KubeApi,
        dispatcher: Dispatcher,
        settings: Settings,
        *,
        cluster_uid: str,
        now: Callable[[], datetime],
    ) -> None:
        self.cache = cache
        self.kube = kube
        self.dispatcher = dispatcher
        self.settings = settings
        self.cluster_uid = cluster_uid
        self.now = now
        self._parsed: dict[str, tuple[Obj, Kind]] = {}
        """By UID: the raw object, and what was made of it. Raw objects are replaced, never changed."""
        cache.add_listener(self._forget)

    def read(self, model: type[KindT], obj: Obj) -> KindT:
        """A raw object of the cache as its kind."""
        uid = obj["metadata"]["uid"]
        known = self._parsed.get(uid)
        if known is not None and known[0] is obj and isinstance(known[1], model):
            return known[1]
        found = model.read(obj)
        self._parsed[uid] = obj, found
        return found

    def _forget(self, change: Change) -> None:
        if change.old is not None:
            self._parsed.pop(change.old["metadata"]["uid"], None)

    # -- one object

    def pool(self, name: str) -> StoragePool | None:
        return self._one(StoragePool, r.STORAGE_POOL, name)

    def template(self, name: str) -> Template | None:
        return self._one(Template, r.TEMPLATE, name)

    def location(self, name: str) -> StorageLocation | None:
        return self._one(StorageLocation, r.STORAGE_LOCATION, name)

    def parent(self, name: str) -> Parent | None:
        return self._one(Parent, r.PARENT, name)

    def volume(self, namespace: str, name: str) -> Volume | None:
        return self._one(Volume, r.VOLUME, name, namespace)

    def machine(self, namespace: str, name: str) -> VirtualMachine | None:
        return self._one(VirtualMachine, r.VIRTUAL_MACHINE, name, namespace)

    def node(self, name: str) -> NodeView | None:
        obj = self.cache.get(r.NODE, name)
        return None if obj is None else node_view(obj)

    def label_of_node(self, name: str, label: str) -> str:
        """Empty when there is no such node or label."""
        node = self.node(name)
        return node.labels.get(label, "") if node is not None else ""

    def pod(self, name: str) -> Obj | None:
        return self.cache.get(r.POD, name, self.settings.data_namespace)

    def lease(self, name: str) -> Obj | None:
        return self.cache.get(r.LEASE, name, self.settings.data_namespace)

    # -- many

    def pools(self) -> list[StoragePool]:
        return [self.read(StoragePool, o) for o in self.cache.list(r.STORAGE_POOL)]

    def nodes(self) -> list[NodeView]:
        return [node_view(o) for o in self.cache.list(r.NODE)]

    def locations(self) -> list[StorageLocation]:
        return [self.read(StorageLocation, o) for o in self.cache.list(r.STORAGE_LOCATION)]

    def locations_of(self, pool: str) -> list[StorageLocation]:
        return self._many(StorageLocation, r.STORAGE_LOCATION, BY_POOL, pool)

    def parents_of_template(self, template: str) -> list[Parent]:
        return self._many(Parent, r.PARENT, BY_TEMPLATE, template)

    def parents_at(self, location: str) -> list[Parent]:
        return self._many(Parent, r.PARENT, BY_LOCATION, location)

    def parents_in(self, pool: str) -> list[Parent]:
        return self._many(Parent, r.PARENT, BY_POOL, pool)

    def volumes_of_template(self, template: str) -> list[Volume]:
        return self._many(Volume, r.VOLUME, BY_TEMPLATE, template)

    def volumes_in(self, pool: str) -> list[Volume]:
        """Volumes whose disk is in the pool."""
        return self._many(Volume, r.VOLUME, BY_POOL, pool)

    def volumes_with_parent_in(self, pool: str) -> list[Volume]:
        return self._many(Volume, r.VOLUME, BY_PARENT_POOL, pool)

    def machines_with_iso(self, template: str) -> list[VirtualMachine]:
        """Those that have a place for the template as their ISO."""
        return self._many(VirtualMachine, r.VIRTUAL_MACHINE, BY_ISO, template)

    def machines_with_iso_in(self, pool: str) -> list[VirtualMachine]:
        return self._many(VirtualMachine, r.VIRTUAL_MACHINE, BY_ISO_POOL, pool)

    def _one(self, model: type[KindT], resource: Resource, name: str, namespace: str = "") -> KindT | None:
        obj = self.cache.get(resource, name, namespace)
        return None if obj is None else self.read(model, obj)

    def _many(self, model: type[KindT], resource: Resource, index: str, value: str) -> list[KindT]:
        return [self.read(model, o) for o in self.cache.by_index(resource, index, value)]

    # -- derived

    def location_for(self, pool: StoragePool, host: str) -> str:
        """Name of the location where ``host`` finds the pool's bytes."""
        shared = pool.spec.scope is Scope.SHARED
        return location_name(pool.metadata.name, pool.metadata.uid, "" if shared else host)

    def hosts_of(self, pool: StoragePool) -> list[NodeView]:
        wanted = pool.spec.host_selector.match_labels
        return [n for n in self.nodes() if all(n.labels.get(k) == v for k, v in wanted.items())]

    def token(self) -> str:
        """Eight characters nobody had before: 40 random bits, for names that are never reused."""
        return base64.b32encode(secrets.token_bytes(5)).decode().lower()

    # -- uncached, before anything is destroyed or made on the word of the cache

    async def fresh_volumes(self) -> list[Volume]:
        return [Volume.read(o) for o in await self.kube.list(r.VOLUME)]

    async def fresh_machines(self) -> list[VirtualMachine]:
        return [VirtualMachine.read(o) for o in await self.kube.list(r.VIRTUAL_MACHINE)]

    async def fresh_parents(self, template_uid: str) -> list[Parent]:
        found = await self.kube.list(r.PARENT, labels=f"{LABEL_TEMPLATE_UID}={template_uid}")
        for obj in found:
            self.cache.observe_write(r.PARENT, obj)
        return [Parent.read(o) for o in found]

    async def fresh_parent(self, name: str) -> Parent | None:
        try:
            return Parent.read(await self.kube.get(r.PARENT, name))
        except NotFound:
            return None

    async def refresh(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        """The object as the API server has it, also for the cache from here on; None when it is not there."""
        try:
            obj = await self.kube.get(resource, name, namespace)
        except NotFound:
            stale = self.cache.get(resource, name, namespace)
            if stale is not None:
                self.cache.remove(resource, stale)
            return None
        self.cache.observe_write(resource, obj)
        return obj

    async def exists(self, resource: Resource, name: str, namespace: str = "") -> bool:
        try:
            await self.kube.get(resource, name, namespace)
        except NotFound:
            return False
        return True

    async def fresh_pods(self) -> list[Obj]:
        return list(await self.kube.list(r.POD, self.settings.data_namespace, labels=LABEL_VM_UID))


def left_behind(pod: Obj) -> bool:
    """A VM pod that only its kubelet still has to take away: its end was proven, or its host was given up."""
    metadata = pod["metadata"]
    return "deletionTimestamp" in metadata and STOPPED_FINALIZER not in (metadata.get("finalizers") or ())
