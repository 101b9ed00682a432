"""The cluster as the controllers read it: typed views of the cache, found through indices.

An object is parsed once for each version of it that anybody reads: a pool's pass looks at all its volumes, and there
are many passes while a thousand of them are made.
"""

import base64
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from goldpool.api.model import Kind
from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.naming import (
    ABANDON_ANNOTATION,
    LABEL_VM_NAME,
    LABEL_VM_NAMESPACE,
    LABEL_VM_UID,
    STOPPED_FINALIZER,
)
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.engine.plan import Soon
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, KubeApi, NotFound, Obj, Resource
from goldpool.planning.identity import location_name
from goldpool.planning.snapshot import NodeView, node_view
from goldpool.settings import Settings

KindT = TypeVar("KindT", bound=Kind)

BY_POOL: Final = "pool"
BY_PARENT_POOL: Final = "parentPool"
BY_TEMPLATE: Final = "template"
BY_PARENT: Final = "parent"
BY_LOCATION: Final = "location"
BY_HOST: Final = "host"
BY_VOLUME: Final = "volume"
BY_MACHINE: Final = "machine"
BY_HOLDER: Final = "holder"
BY_ISO: Final = "iso"
BY_ISO_POOL: Final = "isoPool"


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
        found = await self.kube.list(r.PARENT, labels=f"goldpool.io/template-uid={template_uid}")
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


def register_indices(cache: Cache) -> None:
    """Called once, before any source delivers."""
    cache.add_index(r.VOLUME, BY_POOL, lambda o: _text(o, "spec", "placement", "pool"))
    cache.add_index(r.VOLUME, BY_PARENT_POOL, lambda o: _text(o, "spec", "placement", "parentPool"))
    cache.add_index(r.VOLUME, BY_TEMPLATE, lambda o: _text(o, "spec", "source", "templateRef", "name"))
    cache.add_index(r.VOLUME, BY_PARENT, lambda o: _text(o, "status", "parent"))
    cache.add_index(r.PARENT, BY_TEMPLATE, lambda o: _text(o, "spec", "template"))
    cache.add_index(r.PARENT, BY_LOCATION, lambda o: _text(o, "spec", "location"))
    cache.add_index(r.PARENT, BY_POOL, lambda o: _text(o, "spec", "pool"))
    cache.add_index(r.STORAGE_LOCATION, BY_POOL, lambda o: _text(o, "spec", "pool"))
    cache.add_index(r.STORAGE_LOCATION, BY_HOST, lambda o: _text(o, "spec", "host"))
    cache.add_index(r.VIRTUAL_MACHINE, BY_VOLUME, volumes_named_by)
    cache.add_index(r.VOLUME, BY_MACHINE, machine_of_volume)
    cache.add_index(r.POD, BY_MACHINE, machine_of_pod)
    cache.add_index(r.LEASE, BY_HOLDER, lambda o: _text(o, "metadata", "annotations", "goldpool.io/holder"))
    cache.add_index(r.VIRTUAL_MACHINE, BY_TEMPLATE, templates_named_by)
    cache.add_index(r.VIRTUAL_MACHINE, BY_ISO, lambda o: _text(o, "status", "iso", "template"))
    cache.add_index(r.VIRTUAL_MACHINE, BY_ISO_POOL, lambda o: _text(o, "status", "iso", "pool"))


def root_volume_name(machine: Obj) -> str:
    """Of a raw VirtualMachine: the Volume it boots from, whether it exists yet or not."""
    given: str = machine["spec"]["rootVolume"].get("volumeRef", {}).get("name", "")
    return given or f"{machine['metadata']['name']}-root"


def volumes_named_by(machine: Obj) -> Iterable[str]:
    """``namespace/name`` of each Volume a raw VirtualMachine uses."""
    namespace = machine["metadata"].get("namespace", "")
    yield f"{namespace}/{root_volume_name(machine)}"
    for attached in machine["spec"].get("volumes", ()):
        yield f"{namespace}/{attached['volumeRef']['name']}"


def templates_named_by(machine: Obj) -> Iterable[str]:
    """Of a raw VirtualMachine: the template it boots from, and that of its ISO."""
    yield from _text(machine, "spec", "rootVolume", "templateRef", "name")
    yield from _text(machine, "spec", "iso", "templateRef", "name")


def iso_of(machine: Obj) -> dict[str, str]:
    """``status.iso`` of a raw VirtualMachine; empty when it has none."""
    found: dict[str, str] = (machine.get("status") or {}).get("iso") or {}
    return found


def iso_stake(machine: Obj) -> object:
    """What a template and its copies read of a machine: its ISO, and that it goes."""
    return iso_of(machine), going(machine) if iso_of(machine) else None


def soon_if_well(key: Key, obj: Obj | None) -> Key | Soon:
    """For what an object only counts: soon, unless it is going, when every user less may be the last one."""
    return key if obj is None or going(obj) else Soon(key)


def machine_of_volume(volume: Obj) -> Iterable[str]:
    """``namespace/name`` of the machine a raw root Volume was made for."""
    name = (volume["metadata"].get("labels") or {}).get(LABEL_VM_NAME)
    return (f"{volume['metadata'].get('namespace', '')}/{name}",) if name else ()


def machine_of_pod(pod: Obj) -> Iterable[str]:
    labels = pod["metadata"].get("labels") or {}
    return (
        (f"{labels[LABEL_VM_NAMESPACE]}/{labels.get(LABEL_VM_NAME, '')}",)
        if LABEL_VM_NAMESPACE in labels
        else ()
    )


def differs(change: Change, view: Callable[[Obj], object]) -> bool:
    """Whether what the view shows has changed; appearing and going are changes."""
    if change.old is None or change.new is None:
        return True
    return view(change.old) != view(change.new)


def going(obj: Obj) -> object:
    return obj["metadata"].get("deletionTimestamp")


def readiness(obj: Obj) -> object:
    """Of an object with a Ready condition: its status, and that it is being deleted."""
    conditions = (obj.get("status") or {}).get("conditions", ())
    return [c["status"] for c in conditions if c["type"] == "Ready"], going(obj)


def place_as_seen(location: Obj) -> object:
    """What those who lie at a location read of it: whether it is well, what is missing, and that it was given up."""
    status = location.get("status") or {}
    return (
        readiness(location),
        status.get("missing"),
        status.get("inspectedTime") if status.get("missing") else None,
        (location["metadata"].get("annotations") or {}).get(ABANDON_ANNOTATION),
    )


def left_behind(pod: Obj) -> bool:
    """A VM pod that only its kubelet still has to take away: its end was proven, or its host was given up."""
    metadata = pod["metadata"]
    return "deletionTimestamp" in metadata and STOPPED_FINALIZER not in (metadata.get("finalizers") or ())


def stake(volume: Obj) -> object:
    """What a template and its copies read of a volume: where it is bound, its parent, that it is made, that it goes."""
    spec, status = volume["spec"], volume.get("status") or {}
    return (
        spec.get("placement"),
        spec.get("storageID"),
        status.get("parent"),
        status.get("createdTime"),
        going(volume),
    )


def _text(obj: Obj, *path: str) -> Iterable[str]:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return ()
    return (str(value),) if value != "" else ()
