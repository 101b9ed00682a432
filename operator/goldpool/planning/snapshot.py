"""The views that planning decides on, made from the objects of the API. Pure: the operator keeps them in an index,
``explain`` makes them anew."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from goldpool.api.conditions import ConditionType, is_true
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import PoolState, Scope, StoragePool, Toleration
from goldpool.api.template import Template
from goldpool.api.virtualmachine import Avoided, VirtualMachine
from goldpool.api.volume import Volume
from goldpool.planning.identity import digest
from goldpool.planning.promises import Promised, Spot
from goldpool.planning.references import template_of
from goldpool.planning.views import ISO, Avoid, DiskWish, HostView, LocationView, TemplateView


@dataclass(frozen=True, slots=True)
class NodeView:
    """What matters of a Node."""

    name: str
    uid: str
    labels: dict[str, str]
    ready: bool
    cordoned: bool
    taints: tuple[dict[str, Any], ...]
    out_of_service: bool


def node_view(obj: Mapping[str, Any]) -> NodeView:
    """``ready`` is the Ready condition; a node that stopped reporting has Unknown there."""
    spec, status, metadata = obj.get("spec", {}), obj.get("status", {}), obj["metadata"]
    taints = tuple(spec.get("taints") or ())
    return NodeView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        labels=metadata.get("labels") or {},
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())),
        cordoned=bool(spec.get("unschedulable")),
        taints=taints,
        out_of_service=any(t["key"] == "node.kubernetes.io/out-of-service" for t in taints),
    )


@dataclass(frozen=True, slots=True)
class LocationFacts:
    """What matters of a StorageLocation by itself. Bytes; 0 is not known."""

    name: str
    pool: str
    pool_uid: str
    host: str
    well: bool
    total: int
    free: int


def location_facts(location: StorageLocation) -> LocationFacts:
    status = location.status
    return LocationFacts(
        name=location.metadata.name,
        pool=location.spec.pool,
        pool_uid=location.spec.pool_uid,
        host=location.spec.host,
        well=not location.deleting and is_true(status.conditions, ConditionType.READY),
        total=status.total or 0,
        free=status.free or 0,
    )


def location_view(
    facts: LocationFacts, pool: StoragePool, nodes: Iterable[NodeView], sums: Promised
) -> LocationView:
    shared = pool.spec.scope is Scope.SHARED
    capacity = pool.spec.capacity
    return LocationView(
        name=facts.name,
        pool=pool.metadata.name,
        host=facts.host,
        golden=pool.spec.golden,
        shared=shared,
        hosts=hosts_of(pool, nodes) if shared else frozenset({facts.host}),
        tags=frozenset(pool.spec.tags),
        namespaces=frozenset(pool.spec.allowed_namespaces),
        enabled=pool.spec.state is PoolState.ENABLED and not pool.deleting,
        ready=facts.well,
        total_bytes=facts.total,
        free_bytes=facts.free,
        capacity_bytes=capacity.bytes,
        capacity_iops=capacity.iops,
        overprovisioning_percent=capacity.overprovisioning_percent,
        used_limit_percent=capacity.used_limit_percent,
        allocated_limit_percent=capacity.allocated_limit_percent,
        allocated_bytes=sums.allocated_bytes,
        allocated_iops=sums.allocated_iops,
        fetching_bytes=sums.fetching_bytes,
        unsized=sums.unsized,
    )


def hosts_of(pool: StoragePool, nodes: Iterable[NodeView]) -> frozenset[str]:
    """Those the pool's hostSelector selects."""
    wanted = pool.spec.host_selector.match_labels.items()
    return frozenset(n.name for n in nodes if all(n.labels.get(k) == v for k, v in wanted))


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


def disk_wish(name: str, volume: Volume, template: Template | None, unknown_bytes: int) -> DiskWish:
    """``name``: the disk's in the machine. ``unknown_bytes``: what a template of unknown size counts."""
    wish = volume.spec.placement
    fresh = wish is not None and volume.spec.storage_id is None
    known = template.status.virtual_size if template is not None else None
    return DiskWish(
        name=name,
        size_bytes=volume.spec.size or known or unknown_bytes,
        tags=frozenset(volume.spec.pool_tags),
        iops=volume.spec.iops or 0,
        template=_template_view(template_of(volume) or "", template) if template is not None else None,
        # After a first binding the fields are the last plan's, no longer anybody's wish.
        pool=wish.pool if wish and fresh else None,
        host=(wish.host or None) if wish and fresh else None,
        parent_pool=wish.parent_pool if wish and fresh else None,
    )


def medium_wish(template: Template) -> DiskWish:
    """For the machine's CD drive."""
    return DiskWish(ISO, 0, template=_template_view(template.metadata.name, template), medium=True)


def _template_view(name: str, template: Template) -> TemplateView:
    return TemplateView(
        name=name,
        golden=template.spec.golden,
        file_bytes=template.status.size,
        virtual_bytes=template.status.virtual_size,
    )


def iso_spot(machine: VirtualMachine) -> Spot | None:
    """Where the machine's ISO is, or will be fetched to."""
    iso = machine.status.iso
    return (iso.template, iso.location) if iso is not None else None


def avoid_of(avoided: Iterable[Avoided]) -> Avoid:
    entries = list(avoided)
    return Avoid(
        locations=frozenset(a.location for a in entries if a.pool),
        hosts=frozenset(a.host for a in entries if a.host and not a.pool),
    )


def seed_of(uid: str, plans: int) -> int:
    """Another one for each plan, so that what failed is not drawn again first."""
    return int(digest(uid, str(plans)), 36)
