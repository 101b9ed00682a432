"""What planning sees: views of pools, hosts, parents and templates, and what was promised but is not observed yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from goldpool.api.conditions import ConditionType, is_true
from goldpool.api.parent import ParentState
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import PoolState, Scope, StoragePool, Toleration
from goldpool.api.template import Template
from goldpool.api.virtualmachine import Avoided, VirtualMachine
from goldpool.api.volume import Placement as VolumePlacement
from goldpool.api.volume import Volume
from goldpool.controllers.naming import digest
from goldpool.controllers.world import NodeView, World
from goldpool.engine.plan import Patch
from goldpool.kube import resources as r
from goldpool.kube.port import KubeApi, Obj
from goldpool.planning.capacity import Promised, largest_template_bytes, promised
from goldpool.planning.placement import (
    Avoid,
    BoundDisk,
    DiskPlacement,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    TemplateView,
    Unplaceable,
    place,
    place_volume,
)
from goldpool.planning.references import template_of


@dataclass(frozen=True, slots=True)
class Bind:
    """Effect: give a Volume its place and its name on disk, in one guarded write. From the moment it is executed,
    before the write is sent, planning counts it."""

    volume: Volume
    bound: Volume
    patch: Patch

    @classmethod
    def of(cls, volume: Volume, placement: DiskPlacement, storage_id: str, *, pin: str) -> "Bind":
        """``pin``: the host a machine is tied to, also when the disk itself is on a Shared pool."""
        place = VolumePlacement(
            pool=placement.pool, host=pin, parent_pool=placement.parent_pool, volume_uid=volume.metadata.uid
        )
        spec = volume.spec.model_copy(update={"placement": place, "storage_id": storage_id})
        metadata = volume.metadata
        patch = Patch(
            r.VOLUME,
            metadata.name,
            metadata.namespace,
            metadata.resource_version,
            {"spec": {"placement": place.to_dict(), "storageID": storage_id}},
        )
        return cls(volume, volume.model_copy(update={"spec": spec}), patch)


class Landscape:
    """Snapshots for planning. One plan at a time: a snapshot is taken and planned on without an await between, and a
    binding is counted before its write is awaited, so that two plans never promise the same bytes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assumed: dict[tuple[str, str], Volume] = {}

    # -- assumptions

    def assume(self, bind: Bind) -> None:
        metadata = bind.volume.metadata
        self._assumed[metadata.namespace, metadata.name] = bind.bound

    def forget(self, bind: Bind) -> None:
        metadata = bind.volume.metadata
        self._assumed.pop((metadata.namespace, metadata.name), None)

    async def execute(self, kube: KubeApi, bind: Bind) -> Obj:
        """The binding is the reservation: counted first, taken back if the write fails."""
        self.assume(bind)
        patch = bind.patch
        body = {"metadata": {"resourceVersion": patch.resource_version}} | patch.patch
        try:
            return await kube.merge_patch(patch.resource, patch.name, body, patch.namespace)
        except BaseException:
            self.forget(bind)
            raise

    def _volumes(self) -> list[Volume]:
        """Those of the cache, as they will be once our own writes are observed."""
        found = []
        for obj in self._world.cache.list(r.VOLUME):
            volume = Volume.read(obj)
            key = (volume.metadata.namespace, volume.metadata.name)
            assumed = self._assumed.get(key)
            if assumed is not None:
                if assumed.metadata.uid != volume.metadata.uid or _bound_as(volume, assumed):
                    del self._assumed[key]
                else:
                    volume = assumed
            found.append(volume)
        return found

    # -- planning

    def place_machine(
        self,
        machine: VirtualMachine,
        unbound: list[Volume],
        bound: list[Volume],
        *,
        root: str,
        avoid: Iterable[Avoided],
    ) -> Placement | Unplaceable:
        """``root`` is the root volume's name: its rank chooses the host."""
        snapshot = self._snapshot(machine.spec.tolerations)
        ordered = sorted(unbound, key=lambda v: (v.metadata.name != root, v.metadata.name))
        wish = MachineWish(
            disks=tuple(snapshot.wish(v) for v in ordered),
            bound=tuple(snapshot.bound(v) for v in bound),
            node_selector=machine.spec.node_selector,
            avoid=_avoid(avoid),
            namespace=machine.metadata.namespace,
            unknown_parent_bytes=snapshot.unknown_parent_bytes,
        )
        seed = int(digest(machine.metadata.uid, str(machine.status.plans or 0)), 36)
        return place(wish, snapshot.hosts, snapshot.locations, snapshot.parents, seed=seed)

    def place_volume(self, volume: Volume) -> DiskPlacement | Unplaceable:
        snapshot = self._snapshot([])
        return place_volume(
            snapshot.wish(volume),
            snapshot.hosts,
            snapshot.locations,
            snapshot.parents,
            seed=int(digest(volume.metadata.uid), 36),
            unknown_parent_bytes=snapshot.unknown_parent_bytes,
        )

    def _snapshot(self, tolerations: list[Toleration]) -> "_Snapshot":
        world = self._world
        pools = {p.metadata.name: p for p in world.pools()}
        locations = world.locations()
        templates = {t.metadata.name: t for t in _read(Template, world.cache.list(r.TEMPLATE))}
        parents = [p for pool in pools for p in world.parents_in(pool)]
        sums = promised(self._volumes(), parents, locations, templates)
        nodes = world.nodes()
        views = [
            location_view(x, pools[x.spec.pool], nodes, sums.get(x.metadata.name, Promised()))
            for x in locations
            if x.spec.pool in pools and pools[x.spec.pool].metadata.uid == x.spec.pool_uid
        ]
        return _Snapshot(
            locations=views,
            hosts=[host_view(n, tolerations) for n in nodes],
            parents=[
                ParentView(
                    template=p.spec.template,
                    location=p.spec.location,
                    ready=p.status.state is ParentState.READY,
                    failed=p.status.state is ParentState.FAILED,
                )
                for p in parents
                if not p.deleting and p.status.state is not ParentState.RETIRING
            ],
            templates=templates,
            pools=pools,
            world=world,
            unknown_parent_bytes=largest_template_bytes(templates.values()),
        )


@dataclass(frozen=True, slots=True)
class _Snapshot:
    locations: list[LocationView]
    hosts: list[HostView]
    parents: list[ParentView]
    templates: dict[str, Template]
    pools: dict[str, StoragePool]
    world: World
    unknown_parent_bytes: int

    def wish(self, volume: Volume) -> DiskWish:
        name = template_of(volume) or ""
        template = self.templates.get(name)
        wish = volume.spec.placement
        fresh = wish is not None and volume.spec.storage_id is None
        return DiskWish(
            name=volume.metadata.name,
            size_bytes=volume.spec.size
            or (template.status.virtual_size if template else None)
            or self.unknown_parent_bytes,
            tags=frozenset(volume.spec.pool_tags),
            iops=volume.spec.iops or 0,
            template=TemplateView(
                name=name,
                golden=template.spec.golden,
                file_bytes=template.status.size,
                virtual_bytes=template.status.virtual_size,
            )
            if template is not None
            else None,
            # After a first binding the fields are the last plan's, no longer anybody's wish.
            pool=wish.pool if wish and fresh else None,
            host=(wish.host or None) if wish and fresh else None,
            parent_pool=wish.parent_pool if wish and fresh else None,
        )

    def bound(self, volume: Volume) -> BoundDisk:
        wish = volume.spec.placement
        assert wish is not None
        pool, parent_pool = self.pools.get(wish.pool or ""), self.pools.get(wish.parent_pool or "")
        at = volume.status.location or (self.world.location_for(pool, wish.host or "") if pool else "")
        parent_at = self.world.location_for(parent_pool, wish.host or "") if parent_pool else None
        return BoundDisk(
            name=volume.metadata.name,
            location=next((x for x in self.locations if x.name == at), None),
            parent_location=parent_at,
        )


def location_view(
    location: StorageLocation, pool: StoragePool, nodes: Iterable[NodeView], sums: Promised
) -> LocationView:
    shared = pool.spec.scope is Scope.SHARED
    labels = pool.spec.host_selector.match_labels
    reach = {n.name for n in nodes if all(n.labels.get(k) == v for k, v in labels.items())}
    capacity = pool.spec.capacity
    return LocationView(
        name=location.metadata.name,
        pool=pool.metadata.name,
        host=location.spec.host,
        golden=pool.spec.golden,
        shared=shared,
        hosts=frozenset(reach if shared else {location.spec.host}),
        tags=frozenset(pool.spec.tags),
        enabled=pool.spec.state is PoolState.ENABLED and not pool.deleting,
        ready=not location.deleting and is_true(location.status.conditions, ConditionType.READY),
        total_bytes=location.status.total or 0,
        free_bytes=location.status.free or 0,
        capacity_bytes=capacity.bytes,
        capacity_iops=capacity.iops,
        overprovisioning_percent=capacity.overprovisioning_percent,
        used_limit_percent=capacity.used_limit_percent,
        allocated_limit_percent=capacity.allocated_limit_percent,
        allocated_bytes=sums.allocated_bytes,
        allocated_iops=sums.allocated_iops,
        fetching_bytes=sums.fetching_bytes,
    )


def host_view(node: NodeView, tolerations: list[Toleration]) -> HostView:
    """Taints of the node controller are told by ``ready`` and ``schedulable``; only people's taints count here."""
    foreign = [
        t
        for t in node.taints
        if t.get("effect") in {"NoSchedule", "NoExecute"} and not t["key"].startswith("node.kubernetes.io/")
    ]
    return HostView(
        name=node.name,
        labels=node.labels,
        ready=node.ready and not node.out_of_service,
        schedulable=not node.cordoned,
        tainted=not all(any(_tolerates(x, t) for x in tolerations) for t in foreign),
    )


def _tolerates(toleration: Toleration, taint: dict[str, Any]) -> bool:
    """As kube-scheduler's ToleratesTaint."""
    if toleration.effect and toleration.effect != taint.get("effect"):
        return False
    if toleration.key and toleration.key != taint["key"]:
        return False
    return toleration.operator == "Exists" or (
        bool(toleration.key) and toleration.value == taint.get("value", "")
    )


def _avoid(avoided: Iterable[Avoided]) -> Avoid:
    entries = list(avoided)
    return Avoid(
        locations=frozenset(a.location for a in entries if a.pool),
        hosts=frozenset(a.host for a in entries if a.host and not a.pool),
    )


def _bound_as(volume: Volume, assumed: Volume) -> bool:
    return volume.spec.storage_id == assumed.spec.storage_id


def _read(model: type[Template], objs: Iterable[Obj]) -> list[Template]:
    return [model.read(o) for o in objs]
