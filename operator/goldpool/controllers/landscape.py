"""What planning sees: the cluster as the cache has it, and what was promised but is not observed yet."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import Avoided, GoldenPolicy, VirtualMachine
from goldpool.api.volume import Placement as VolumePlacement
from goldpool.api.volume import Volume
from goldpool.controllers.world import KindT, World
from goldpool.engine.plan import Patch
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, KubeApi, Obj, Resource
from goldpool.planning.allocators import ALLOCATORS
from goldpool.planning.placement import DiskPlacement, MachineWish, Placement, Unplaceable
from goldpool.planning.planner import Planner
from goldpool.planning.promises import Promised, Spot
from goldpool.planning.snapshot import avoid_of, iso_spot, medium_wish, node_view, seed_of

_READ = (r.STORAGE_POOL, r.STORAGE_LOCATION, r.NODE, r.TEMPLATE, r.PARENT, r.VOLUME, r.VIRTUAL_MACHINE)


@dataclass(frozen=True, slots=True)
class Bind:
    """Effect: give a Volume its place and its name on disk, in one guarded write. From the moment it is executed,
    before the write is sent, planning counts it."""

    volume: Volume
    bound: Volume
    patch: Patch

    @classmethod
    def of(
        cls, volume: Volume, placement: DiskPlacement, storage_id: str, *, pin: str, finalizer: str = ""
    ) -> "Bind":
        """``pin``: the host a machine is tied to, also when the disk itself is on a Shared pool. ``finalizer``: one that
        the volume still lacks; with it and its place it is written once instead of twice."""
        place = VolumePlacement(
            pool=placement.pool, host=pin, parent_pool=placement.parent_pool, volume_uid=volume.metadata.uid
        )
        spec = volume.spec.model_copy(update={"placement": place, "storage_id": storage_id})
        metadata = volume.metadata
        body: dict[str, Any] = {"spec": {"placement": place.to_dict(), "storageID": storage_id}}
        if finalizer:
            body["metadata"] = {"finalizers": [*metadata.finalizers, finalizer]}
        patch = Patch(r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, body)
        return cls(volume, volume.model_copy(update={"spec": spec}), patch)


@dataclass(frozen=True, slots=True)
class Reserve:
    """Effect: count the place of a machine's ISO from now on. The status that names the place is written by the same pass,
    over this very version of the machine."""

    machine: VirtualMachine
    spot: Spot


class Landscape:
    """Plans over the cache. One plan at a time: it is made without an await, and a binding is counted before its write
    is awaited, so that two plans never promise the same bytes.

    Changes are only noted when they come and read before the next plan: an object that changed a hundred times meanwhile
    is parsed once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._assumed: dict[Key, Volume] = {}
        self._reserved: dict[Key, Reserve] = {}
        self._planner = Planner(ALLOCATORS[world.settings.allocator])
        self._changed: dict[tuple[Resource, Key], None] = {}
        for resource in _READ:
            self._changed.update(dict.fromkeys((resource, key) for key in world.cache.keys(resource)))
        world.cache.add_listener(self._note)

    def _note(self, change: Change) -> None:
        if change.resource is r.VIRTUAL_MACHINE and not self._of_iso(change):
            return
        if change.resource in _READ:
            self._changed[change.resource, change.key] = None

    def _of_iso(self, change: Change) -> bool:
        """Machines write their status often, and few of them have an ISO."""
        told = [(obj.get("status") or {}).get("iso") for obj in (change.old, change.new) if obj is not None]
        return any(told) or change.key in self._reserved

    # -- assumptions

    def assume(self, bind: Bind) -> None:
        self._assumed[_key(bind)] = bind.bound
        self._changed[r.VOLUME, _key(bind)] = None

    def forget(self, bind: Bind) -> None:
        self._assumed.pop(_key(bind), None)
        self._changed[r.VOLUME, _key(bind)] = None

    async def reserve(self, effect: Reserve) -> None:
        """Until the machine changes: then its status says where its ISO is, or the pass lost a race and plans again."""
        metadata = effect.machine.metadata
        key = Key("VirtualMachine", metadata.namespace, metadata.name)
        self._reserved[key] = effect
        self._changed[r.VIRTUAL_MACHINE, key] = None

    async def execute(self, kube: KubeApi, bind: Bind) -> Obj:
        """The binding is the reservation: counted first, taken back if the write fails."""
        self.assume(bind)
        patch = bind.patch
        metadata = (patch.patch.get("metadata") or {}) | {"resourceVersion": patch.resource_version}
        body = patch.patch | {"metadata": metadata}
        try:
            return await kube.merge_patch(patch.resource, patch.name, body, patch.namespace)
        except BaseException:
            self.forget(bind)
            raise

    # -- planning

    def place_machine(
        self,
        machine: VirtualMachine,
        unbound: Mapping[str, Volume],
        bound: Mapping[str, Volume],
        *,
        avoid: Iterable[Avoided],
        iso: Template | None = None,
    ) -> Placement | Unplaceable:
        """Volumes by the disks' names in the machine. The first of ``unbound`` chooses the host. ``iso``: the template for
        the CD drive, if that needs a place."""
        planner = self._fresh()
        namespace = machine.metadata.namespace
        wish = MachineWish(
            disks=(
                *(planner.wish(name, v) for name, v in unbound.items()),
                *((medium_wish(iso),) if iso is not None else ()),
            ),
            bound=tuple(planner.bound(name, v) for name, v in bound.items()),
            node_selector=machine.spec.node_selector,
            avoid=avoid_of(avoid),
            namespace=namespace,
            unknown_parent_bytes=planner.ledger.unknown,
            namespace_volumes=planner.ledger.volumes_of(namespace),
            may_fall_back=machine.spec.golden_policy is GoldenPolicy.PREFERRED,
        )
        seed = seed_of(machine.metadata.uid, machine.status.plans or 0)
        return planner.place(wish, seed=seed, tolerations=machine.spec.tolerations)

    def place_volume(self, volume: Volume) -> DiskPlacement | Unplaceable:
        """A place for one volume that names where it wants to be, and that no machine asks for yet. The host is ``""``
        on a Shared pool, where any host will do."""
        planner = self._fresh()
        namespace = volume.metadata.namespace
        wish = MachineWish(
            disks=(planner.wish(volume.metadata.name, volume),),
            namespace=namespace,
            unknown_parent_bytes=planner.ledger.unknown,
            namespace_volumes=planner.ledger.volumes_of(namespace),
        )
        found = planner.place(wish, seed=seed_of(volume.metadata.uid, 0))
        return found.disks[0] if isinstance(found, Placement) else found

    def promised(self, location: str) -> Promised:
        """What is promised at the location now, assumptions included."""
        return self._fresh().ledger.at(location)

    # -- reading what changed

    def _fresh(self) -> Planner:
        changed, self._changed = self._changed, {}
        for resource, key in changed:
            self._read(resource, key, self._world.cache.at(resource, key))
        return self._planner

    def _read(self, resource: Resource, key: Key, obj: Obj | None) -> None:
        planner, name = self._planner, key.name
        match resource:
            case r.STORAGE_POOL:
                planner.put_pool(name, self._as(StoragePool, obj))
            case r.STORAGE_LOCATION:
                planner.put_location(name, self._as(StorageLocation, obj))
            case r.NODE:
                planner.put_node(name, None if obj is None else node_view(obj))
            case r.TEMPLATE:
                planner.put_template(name, self._as(Template, obj))
            case r.PARENT:
                planner.put_parent(name, self._as(Parent, obj))
            case r.VIRTUAL_MACHINE:
                planner.put_machine((key.namespace, name), self._spot_of(key, self._as(VirtualMachine, obj)))
            case r.VOLUME:
                planner.put_volume((key.namespace, name), self._assumed_of(key, self._as(Volume, obj)))

    def _as(self, model: type[KindT], obj: Obj | None) -> KindT | None:
        return None if obj is None else self._world.read(model, obj)

    def _spot_of(self, key: Key, machine: VirtualMachine | None) -> Spot | None:
        reserved = self._reserved.get(key)
        if reserved is not None and machine is not None:
            was, now = reserved.machine.metadata, machine.metadata
            if (was.uid, was.resource_version) == (now.uid, now.resource_version):
                return reserved.spot
        self._reserved.pop(key, None)
        return iso_spot(machine) if machine is not None else None

    def _assumed_of(self, key: Key, volume: Volume | None) -> Volume | None:
        """The volume as it will be once our own write is observed."""
        assumed = self._assumed.get(key)
        if assumed is None or volume is None:
            return volume
        if assumed.metadata.uid != volume.metadata.uid or assumed.spec.storage_id == volume.spec.storage_id:
            del self._assumed[key]
            return volume
        return assumed


def _key(bind: Bind) -> Key:
    return Key("Volume", bind.volume.metadata.namespace, bind.volume.metadata.name)
