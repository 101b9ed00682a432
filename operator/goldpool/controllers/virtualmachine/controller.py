"""Gathers a machine's world."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from goldpool.api.storagepool import PoolState
from goldpool.api.template import Template
from goldpool.api.virtualmachine import InsertedIso, VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.backing import mount_of
from goldpool.controllers.indices import root_volume_name
from goldpool.controllers.landscape import Landscape
from goldpool.controllers.naming import lease_name, pod_name
from goldpool.controllers.virtualmachine.affected import affected
from goldpool.controllers.virtualmachine.collection import collect
from goldpool.controllers.virtualmachine.evidence import may_say_why
from goldpool.controllers.virtualmachine.medium import needs_place
from goldpool.controllers.virtualmachine.observed import (
    DiskView,
    Limits,
    MediumView,
    Observed,
    Pause,
    PodSettings,
    iso_of_start,
)
from goldpool.controllers.virtualmachine.orphans import Orphans, orphans_of
from goldpool.controllers.virtualmachine.pause import LOG_LINES, pause_of
from goldpool.controllers.virtualmachine.places import avoid_failed_places, movable, needing_place
from goldpool.controllers.virtualmachine.placing import await_templates
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.controllers.virtualmachine.pod import pinned_host
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.controllers.world import World
from goldpool.dispatch.mounts import LocationMount
from goldpool.engine.plan import Plan
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, KubeError, Obj
from goldpool.planning.placement import Placement, Unplaceable
from goldpool.planning.references import template_of
from goldpool.planning.revisions import superseded
from goldpool.planning.views import ISO

_LOG_SECONDS: Final = 10
"""A host may have gone before its Node says so."""


class VirtualMachineController:
    name = "virtualmachine"
    resource = r.VIRTUAL_MACHINE

    def __init__(self, world: World, landscape: Landscape) -> None:
        self._world = world
        self._landscape = landscape
        settings = world.settings
        self._pods = PodSettings(
            namespace=settings.data_namespace,
            image=settings.vm_image,
            pull_policy=settings.image_pull_policy,
            service_account=settings.service_account,
            priority_class=settings.pod_priority_class,
            allowed_priority_classes=settings.allowed_priority_classes,
            allowed_tolerations=settings.allowed_tolerations,
            cpu_allocation_ratio=settings.cpu_allocation_ratio,
            memory_overhead_bytes=settings.memory_overhead_bytes,
            memory_per_disk_bytes=settings.memory_per_disk_bytes,
        )
        self._limits = Limits(
            max_plans=settings.max_plans,
            start_deadline=settings.start_deadline_seconds,
            unschedulable=settings.unschedulable_seconds,
            restart_cap=settings.restart_cap_seconds,
        )

    async def gather(self, key: Key) -> Observed | Orphans | None:
        world = self._world
        raw = world.cache.at(r.VIRTUAL_MACHINE, key)
        orphans = await orphans_of(world, key, raw["metadata"]["uid"] if raw is not None else "")
        if raw is None:
            return orphans
        machine = world.read(VirtualMachine, raw)
        if machine.deleting:
            # The answer to its creation may have been lost, and the watch may lag behind.
            await world.refresh(r.VOLUME, root_volume_name(raw), key.namespace)
        pod = await self._pod(raw, machine)
        if pod is None and not machine.deleting:
            await self._refresh_claimed(raw, machine)
        pauses = await self._pauses(pod, tuple(self._disks(raw, machine)))
        # No await below: the snapshot that is planned on must be the one the binding is counted against.
        disks = tuple(self._disks(raw, machine))
        template = machine.spec.root_volume.template_ref
        node = (pod or {}).get("spec", {}).get("nodeName", "")
        iso = iso_of_start(machine, pod)
        host = pinned_host(disks) or (iso.host if iso is not None else "")
        observed = Observed(
            raw=raw,
            machine=machine,
            template=world.template(template.name) if template else None,
            disks=disks,
            pod=pod,
            pauses=pauses,
            pod_node=world.node(node) if node else None,
            pod_node_known=not node or world.node(node) is not None,
            host_node=world.node(host) if host else None,
            maintenance=self._maintenance(disks, iso if pod is not None else None),
            placement=None,
            local_parents=frozenset(),
            tokens=tuple(world.token() for _ in disks),
            pods=self._pods,
            limits=self._limits,
            now=world.now(),
            orphans=orphans,
            medium=self._medium(machine, iso),
        )
        return self._with_placement(observed)

    async def _refresh_claimed(self, raw: Obj, machine: VirtualMachine) -> None:
        """Once every volume is claimed, a pod may follow: a volume whose deletion began before the claim has no
        holder to its own controller, so it is read from the API server itself. Claim first, read then. In the same way a
        copy that is being removed has been named first."""
        disks = [*self._disks(raw, machine)]
        if all(d.holder == machine.metadata.uid for d in disks):
            for disk in disks:
                await self._world.refresh(r.VOLUME, disk.volume_name, machine.metadata.namespace)
            if (iso := iso_of_start(machine, None)) is not None and iso.parent is not None:
                await self._world.refresh(r.PARENT, iso.parent)

    async def _pod(self, raw: Obj, machine: VirtualMachine) -> Obj | None:
        """Of the cache while it has one. That there is none is only believed of the API server itself once the
        machine has claims to give back: a second pod, or a released disk, could follow from it."""
        world, name = self._world, pod_name(machine.metadata.name, machine.metadata.uid)
        pod = world.pod(name)
        # A creation whose answer was lost left no podRef, but never happened without the claims.
        holds = any(d.holder == machine.metadata.uid for d in self._disks(raw, machine))
        if pod is not None or (machine.status.pod_ref is None and not holds):
            return pod
        return await world.refresh(r.POD, name, world.settings.data_namespace)

    async def _pauses(self, pod: Obj | None, disks: Iterable[DiskView]) -> tuple[Pause, ...]:
        """Only a log says why a guest does not run: the kubelet keeps the readiness probe's answer to itself."""
        world = self._world
        if pod is None or not may_say_why(pod, world.node(pod["spec"].get("nodeName", "")), world.now()):
            return ()
        metadata = pod["metadata"]
        try:
            async with asyncio.timeout(_LOG_SECONDS):
                log = await self._world.kube.pod_log(
                    metadata["name"], metadata["namespace"], tail_lines=LOG_LINES
                )
        except (KubeError, TimeoutError):
            return ()  # its host does not answer, or the container has just ended
        return pause_of(log, disks)

    def _with_placement(self, o: Observed) -> Observed:
        if o.pod is not None or o.machine.deleting or any(d.volume is None for d in o.disks):
            return o
        draft = Draft.of(o)
        unbound = {d.name: d.volume for d in needing_place(o, draft) if d.volume is not None}
        drive = needs_place(o, draft, moving=bool(unbound))
        if not (unbound or drive) or await_templates(o, draft) is not None:
            return o
        avoid_failed_places(o, draft)
        iso = o.medium.template if drive and o.medium is not None else None
        found = self._place(o, draft, unbound, iso)
        if isinstance(found, Unplaceable) and iso is not None:
            free = unbound | {d.name: d.volume for d in movable(o) if d.volume is not None}
            second = self._place(o, draft, free, iso) if len(free) > len(unbound) else found
            found = second if isinstance(second, Placement) else found
        if isinstance(found, Unplaceable):
            return replace(o, placement=found)
        parents = {p.parent_location for p in found.disks if p.parent_location and p.disk != ISO}
        local = {x for x in parents if (location := self._world.location(x)) and location.spec.host}
        return replace(o, placement=found, local_parents=frozenset(local))

    def _place(
        self, o: Observed, draft: Draft, unbound: dict[str, Volume], iso: Template | None
    ) -> Placement | Unplaceable:
        bound = {
            d.name: d.volume
            for d in o.disks
            if d.volume is not None and d.name not in unbound and d.volume.spec.storage_id
        }
        # In the order of the disks: the first one chooses the host.
        wanted = {d.name: unbound[d.name] for d in o.disks if d.name in unbound}
        return self._landscape.place_machine(o.machine, wanted, bound, avoid=draft.get("avoid"), iso=iso)

    def _disks(self, raw: Obj, machine: VirtualMachine) -> Iterable[DiskView]:
        namespace = machine.metadata.namespace
        yield self._disk("root", root_volume_name(raw), namespace, root=True)
        for attached in machine.spec.volumes:
            yield self._disk(attached.name, attached.volume_ref.name, namespace, root=False)

    def _disk(self, name: str, volume_name: str, namespace: str, *, root: bool) -> DiskView:
        world = self._world
        volume = world.volume(namespace, volume_name)
        if volume is None:
            return DiskView(name=name, volume_name=volume_name, root=root, volume=None, lease=None)
        template = template_of(volume)
        status = volume.status
        parent = world.parent(status.parent) if status.parent else None
        placement = volume.spec.placement
        return DiskView(
            name=name,
            volume_name=volume_name,
            root=root,
            volume=volume,
            lease=world.lease(lease_name(volume.metadata.uid)),
            template=world.template(template) if template else None,
            pool=world.pool(placement.pool) if placement and placement.pool else None,
            mount=self._mount(status.location),
            parent=parent,
            parent_mount=self._mount(parent.spec.location if parent else None),
            parent_pool=world.pool(parent.spec.pool) if parent else None,
        )

    def _medium(self, machine: VirtualMachine, iso: InsertedIso | None) -> MediumView | None:
        world, wanted = self._world, machine.spec.iso
        if wanted is None and iso is None:
            return None
        template = world.template(wanted.template_ref.name) if wanted is not None else None
        here = world.parents_at(iso.location) if iso is not None else []
        return MediumView(
            template=template,
            pool=world.pool(iso.pool) if iso is not None else None,
            mount=self._mount(iso.location if iso is not None else None),
            copies=tuple(
                p
                for p in here
                if template is not None
                and p.spec.template_uid == template.metadata.uid
                and not superseded(p, template)
            ),
            parent=world.parent(iso.parent) if iso is not None and iso.parent is not None else None,
        )

    def _mount(self, name: str | None) -> LocationMount | None:
        world = self._world
        location = world.location(name) if name else None
        pool = world.pool(location.spec.pool) if location else None
        if location is None or pool is None or pool.metadata.uid != location.spec.pool_uid:
            return None
        return mount_of(pool, location, location.status.node_uid or "", world.cluster_uid)

    def _maintenance(self, disks: Iterable[DiskView], iso: InsertedIso | None) -> str:
        """``iso``: of a pod; a machine that is stopped has it placed elsewhere."""
        pools = [pool for disk in disks for pool in (disk.pool, disk.parent_pool)]
        if iso is not None:
            pools.append(self._world.pool(iso.pool))
        for pool in pools:
            if pool is not None and pool.spec.state is PoolState.MAINTENANCE:
                return pool.metadata.name
        return ""

    def plan(self, observed: Observed | Orphans) -> Plan:
        return collect(observed) if isinstance(observed, Orphans) else plan(observed)

    def affected(self, change: Change) -> Iterable[Key]:
        return affected(self._world.cache, change)
