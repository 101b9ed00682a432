"""Why a machine is where it is, or nowhere: the operator's own planning, done again over the objects as they are."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from goldpool.api.conditions import ConditionType
from goldpool.api.model import Kind
from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool, Toleration
from goldpool.api.template import Template
from goldpool.api.virtualmachine import GoldenPolicy, VirtualMachine
from goldpool.api.volume import Volume
from goldpool.kube import resources as r
from goldpool.kube.port import KubeApi, Resource
from goldpool.planning.allocators import ALLOCATORS
from goldpool.planning.fallback import beside, is_golden
from goldpool.planning.placement import DiskWish, MachineWish, Placement, Rejection, RejectionReason
from goldpool.planning.planner import Planner
from goldpool.planning.rejections import REMEDIES
from goldpool.planning.snapshot import NodeView, avoid_of, iso_spot, medium_wish, node_view, seed_of
from goldpool.planning.standing import Standing, followed_by_fallback, standings

K = TypeVar("K", bound=Kind)


@dataclass(frozen=True)
class Objects:
    """All that planning looks at. Each list is consistent in itself; between them a moment may have passed."""

    machine: VirtualMachine
    nodes: Sequence[NodeView] = ()
    pools: Sequence[StoragePool] = ()
    locations: Sequence[StorageLocation] = ()
    templates: Sequence[Template] = ()
    parents: Sequence[Parent] = ()
    volumes: Sequence[Volume] = ()
    machines: Sequence[VirtualMachine] = ()


@dataclass(frozen=True)
class Disk:
    """``bound``: where it is, pool, host and the parent's pool; None while it has no place. ``volume`` is empty for the
    machine's ISO."""

    name: str
    volume: str
    bound: dict[str, str] | None
    candidates: tuple[Standing, ...]
    fallback: bool = False
    """It has its place, and its parent lies beside it though the template is golden."""


@dataclass(frozen=True)
class Explanation:
    """``answer``: what a plan made now would say; ``asked``: whether the machine has a place and this is only what if."""

    machine: str
    phase: str
    message: str
    asked: bool
    answer: str
    disks: tuple[Disk, ...]
    hosts: tuple[tuple[str, str, str], ...]
    """(host, reason, detail) of each host that may not run the machine."""
    avoid: tuple[dict[str, Any], ...]
    remedies: tuple[tuple[str, int, str], ...]
    """(reason, how many candidates, what would change it)."""

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        found["hosts"] = [dict(zip(("host", "reason", "detail"), x, strict=True)) for x in self.hosts]
        found["remedies"] = [dict(zip(("reason", "count", "remedy"), x, strict=True)) for x in self.remedies]
        return found


async def read(api: KubeApi, namespace: str, name: str) -> Objects:
    """Raises the exceptions of ``kube.port``: NotFound where there is no such machine."""

    async def of(resource: Resource, model: type[K]) -> list[K]:
        return [model.read(obj) for obj in await api.list(resource)]

    machine = VirtualMachine.read(await api.get(r.VIRTUAL_MACHINE, name, namespace))
    (nodes, pools, locations, templates, parents), (volumes, machines) = await asyncio.gather(
        asyncio.gather(
            api.list(r.NODE),
            of(r.STORAGE_POOL, StoragePool),
            of(r.STORAGE_LOCATION, StorageLocation),
            of(r.TEMPLATE, Template),
            of(r.PARENT, Parent),
        ),
        asyncio.gather(of(r.VOLUME, Volume), of(r.VIRTUAL_MACHINE, VirtualMachine)),
    )
    return Objects(machine, [*map(node_view, nodes)], pools, locations, templates, parents, volumes, machines)


def explain(objects: Objects, allocator: str) -> Explanation:
    """A machine whose root disk and ISO have a place is asked about as if nothing of it had one, with what it takes itself
    given back. One that waits is asked about as the operator asks: disks that have their place stay there."""
    machine, own = objects.machine, _disks(objects)
    inserted = machine.spec.iso is None or _bound_iso(machine) is not None
    placed = own["root"].spec.storage_id is not None and inserted
    planner = _planner(objects, own.values() if placed else (), allocator)
    unbound = {n: v for n, v in own.items() if placed or v.spec.storage_id is None}
    medium = [medium_wish(iso)] if (iso := _iso(objects)) is not None else []
    wish = MachineWish(
        disks=(*(planner.wish(n, v) for n, v in unbound.items()), *medium),
        bound=tuple(planner.bound(n, v) for n, v in own.items() if n not in unbound),
        node_selector=machine.spec.node_selector,
        avoid=avoid_of(machine.status.avoid),
        namespace=machine.metadata.namespace,
        unknown_parent_bytes=planner.ledger.unknown,
        namespace_volumes=planner.ledger.volumes_of(machine.metadata.namespace),
        may_fall_back=machine.spec.golden_policy is GoldenPolicy.PREFERRED,
    )
    seed = seed_of(machine.metadata.uid, machine.status.plans or 0)
    tolerations = machine.spec.tolerations
    objections, told = _candidates(planner, wish, seed, tolerations)
    answer = planner.search(wish, seed=seed, tolerations=tolerations)
    disks = tuple(
        Disk(
            disk.name,
            "" if disk.medium else own[disk.name].metadata.name,
            bound := _bound_iso(machine) if disk.medium else _bound(own[disk.name]),
            tuple(candidates),
            bound is not None and is_golden(disk) and _is_beside(objects, disk, bound),
        )
        for disk, candidates in zip(wish.disks, told, strict=True)
    )
    ready = next((c for c in machine.status.conditions if c.type == ConditionType.READY), None)
    return Explanation(
        machine=f"{machine.metadata.namespace}/{machine.metadata.name}",
        phase=machine.status.phase or "Pending",
        message=ready.message if ready is not None else "",
        asked=placed,
        answer=_said(answer) if isinstance(answer, Placement) else answer.sentence(),
        disks=disks,
        hosts=tuple((o.location, str(o.reason), o.detail) for _, o in sorted(objections.items())),
        avoid=tuple(a.to_dict() for a in machine.status.avoid),
        remedies=tuple(_remedies(disks)),
    )


def _candidates(
    planner: Planner, wish: MachineWish, seed: int, tolerations: list[Toleration]
) -> tuple[dict[str, Rejection], list[list[Standing]]]:
    """Why each host that may not run the machine may not, and the candidates of each disk, fallbacks last."""
    objections, golden = planner.candidates(wish, seed=seed, tolerations=tolerations)
    told = [standings(golden, n) for n in range(len(wish.disks))]
    if (second := beside(wish)) is not None:
        _, others = planner.candidates(second, seed=seed, tolerations=tolerations)
        told = [
            followed_by_fallback(found, standings(others, n)) if is_golden(disk) else found
            for n, (disk, found) in enumerate(zip(wish.disks, told, strict=True))
        ]
    return objections, told


def _disks(objects: Objects) -> dict[str, Volume]:
    """The machine's volumes by the disks' names, root first; a root volume that is not made yet as it will be."""
    machine = objects.machine
    namespace, root = machine.metadata.namespace, machine.spec.root_volume
    there = {v.metadata.name: v for v in objects.volumes if v.metadata.namespace == namespace}
    name = root.volume_ref.name if root.volume_ref else f"{machine.metadata.name}-root"
    found = {"root": there.get(name) or _root_to_be(machine, name)}
    for attached in machine.spec.volumes:
        if attached.volume_ref.name in there:
            found[attached.name] = there[attached.volume_ref.name]
    return found


def _iso(objects: Objects) -> Template | None:
    """What the next start has in the CD drive."""
    wanted = objects.machine.spec.iso
    if wanted is None:
        return None
    return next((t for t in objects.templates if t.metadata.name == wanted.template_ref.name), None)


def _bound_iso(machine: VirtualMachine) -> dict[str, str] | None:
    iso, wanted = machine.status.iso, machine.spec.iso
    if iso is None or wanted is None or wanted.template_ref.name != iso.template:
        return None
    return {"pool": iso.pool, "host": iso.host, "parentPool": iso.pool}


def _is_beside(objects: Objects, disk: DiskWish, bound: dict[str, str]) -> bool:
    """A golden parent that is on no golden pool."""
    if disk.medium:
        return any(p.metadata.name == bound["pool"] and not p.spec.golden for p in objects.pools)
    return bound["pool"] == bound.get("parentPool")


def _root_to_be(machine: VirtualMachine, name: str) -> Volume:
    root = machine.spec.root_volume
    spec: dict[str, Any] = {
        "type": "Root",
        "size": root.size,
        "poolTags": list(root.pool_tags),
        "iops": root.iops,
    }
    if root.template_ref is not None:
        spec["source"] = {"templateRef": {"name": root.template_ref.name}}
    metadata = {"name": name, "namespace": machine.metadata.namespace}
    return Volume.read({"metadata": metadata, "spec": {k: v for k, v in spec.items() if v is not None}})


def _planner(objects: Objects, but: Iterable[Volume], allocator: str) -> Planner:
    planner = Planner(ALLOCATORS[allocator])
    for node in objects.nodes:
        planner.put_node(node.name, node)
    for pool in objects.pools:
        planner.put_pool(pool.metadata.name, pool)
    for location in objects.locations:
        planner.put_location(location.metadata.name, location)
    for template in objects.templates:
        planner.put_template(template.metadata.name, template)
    for parent in objects.parents:
        planner.put_parent(parent.metadata.name, parent)
    left_out = {(v.metadata.namespace, v.metadata.name) for v in but}
    for volume in objects.volumes:
        key = (volume.metadata.namespace, volume.metadata.name)
        if key not in left_out:
            planner.put_volume(key, volume)
    own = (objects.machine.metadata.namespace, objects.machine.metadata.name)
    for machine in objects.machines:
        key = (machine.metadata.namespace, machine.metadata.name)
        if key != own:
            planner.put_machine(key, iso_spot(machine))
    return planner


def _bound(volume: Volume) -> dict[str, str] | None:
    place = volume.spec.placement
    if place is None or volume.spec.storage_id is None:
        return None
    found = {"pool": place.pool or "", "host": place.host or ""}
    return found | ({"parentPool": place.parent_pool} if place.parent_pool else {})


def is_bound_there(disk: Disk, candidate: Standing) -> bool:
    bound = disk.bound
    if bound is None:
        return False
    pools = (candidate.pool, candidate.parent_pool)
    return pools == (bound["pool"], bound.get("parentPool", "")) and candidate.host in {bound["host"], ""}


def _said(answer: Placement) -> str:
    places = answer.sentence()
    hosts = answer.hosts[0] if len(answer.hosts) == 1 else f"any of {', '.join(answer.hosts)}"
    return f"{places}, on {hosts}" if places else f"on {hosts}"


def _remedies(disks: Iterable[Disk]) -> Iterable[tuple[str, int, str]]:
    """For the reasons there are, the most frequent first."""
    reasons = [c.reason for d in disks for c in d.candidates if c.reason]
    for reason in sorted(set(reasons), key=lambda x: (-reasons.count(x), x)):
        yield reason, reasons.count(reason), REMEDIES[RejectionReason(reason)]
