"""What the VirtualMachine's controller observes, with defaults that fit each other."""

from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.backing import mount_of
from goldpool.controllers.naming import FIRST_USE_ANNOTATION
from goldpool.controllers.virtualmachine.observed import DiskView, Limits, Observed, PodSettings
from goldpool.dispatch.mounts import LocationMount
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Placement, Rejection, RejectionReason, Unplaceable
from tests.unit.controllers.builders import (
    DATA,
    NOW,
    a_condition,
    a_golden_pool,
    a_lease,
    a_location,
    a_machine,
    a_node,
    a_parent,
    a_pinned_template,
    a_pool,
    a_root_of,
    ago,
)

PODS = PodSettings(
    namespace=DATA,
    image="goldpool-vm:test",
    pull_policy="IfNotPresent",
    service_account="goldpool-workload",
    priority_class="",
    allowed_priority_classes=(),
    allowed_tolerations=(),
    cpu_allocation_ratio=10,
    memory_overhead_bytes=1 << 28,
    memory_per_disk_bytes=1 << 26,
)
LIMITS = Limits(max_plans=10, start_deadline=120, unschedulable=30, restart_cap=300)
MINE = "uid-web-1"


def mounted(pool: Obj, location: Obj) -> LocationMount:
    owner, place = StoragePool.read(pool), StorageLocation.read(location)
    return mount_of(owner, place, place.status.node_uid or "", "cluster")


def a_disk(
    volume: Obj | None,
    *,
    name: str = "root",
    root: bool = True,
    lease: Obj | None = None,
    pool: Obj | None = None,
    golden: Obj | None = None,
    **changes: Any,
) -> DiskView:
    """``volume`` as the machine sees it: on its pool, with its parent on a golden one when it names one."""
    pool, golden = pool or a_pool(), golden or a_golden_pool()
    read = Volume.read(volume) if volume else None
    parented = read is not None and read.status.parent is not None
    shared = golden["spec"]["scope"] == "Shared"
    at = a_location(golden["metadata"]["name"], "" if shared else "node-1")
    defaults: dict[str, Any] = {
        "name": name,
        "volume_name": volume["metadata"]["name"] if volume else changes.get("volume_name", "web-1-root"),
        "root": root,
        "volume": read,
        "lease": lease,
        "template": Template.read(a_pinned_template()) if read and read.spec.source else None,
        "pool": StoragePool.read(pool),
        "mount": mounted(pool, a_location(pool["metadata"]["name"])),
        "parent": Parent.read(a_parent()) if parented else None,
        "parent_mount": mounted(golden, at) if parented else None,
        "parent_pool": StoragePool.read(golden) if parented else None,
    }
    return DiskView(**(defaults | changes))


def a_claim(volume: Obj, *, first: bool = True, **more: Any) -> Obj:
    """The machine's own Lease; ``first``: nobody had used the volume before."""
    return a_lease(volume, annotations={FIRST_USE_ANNOTATION: "true"} if first else {}, **more)


def observed(
    machine: Obj | None = None, *disks: DiskView, pod: Obj | None = None, **changes: Any
) -> Observed:
    """Without ``disks``: one root disk, made, claimed and marked used, so that only the pod is missing."""
    raw = machine or a_machine()
    if not disks:
        disks = (a_ready_disk(raw),)
    node = (pod or {}).get("spec", {}).get("nodeName", "")
    defaults: dict[str, Any] = {
        "template": Template.read(a_pinned_template()),
        "pod": pod,
        "pauses": (),
        "pod_node": a_node(node) if node else None,
        "pod_node_known": True,
        "host_node": a_node(),
        "maintenance": "",
        "placement": None,
        "local_parents": frozenset(),
        "tokens": tuple(f"token{n:03}" for n in range(len(disks))),
        "pods": PODS,
        "limits": LIMITS,
        "now": NOW,
    }
    return Observed(raw=raw, machine=VirtualMachine.read(raw), disks=disks, **(defaults | changes))


def a_ready_disk(machine: Obj | None = None, **more: Any) -> DiskView:
    """The machine's root disk, made, used first by it, and claimed."""
    root = a_root_of(machine or a_machine(), made=True, status={"firstUsedTime": ago(30)})
    return a_disk(root, **({"lease": a_claim(root)} | more))


def running(pod: Obj) -> Obj:
    """A machine whose status an earlier pass wrote about this very pod."""
    ref = {"namespace": DATA, "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return {"podRef": ref, "startTime": ago(600)}


BY_REF = {"rootVolume": {"volumeRef": {"name": "web-1-root"}}}
PLACED = Placement(
    (DiskPlacement("root", "std-a.node-1", "std-a", "node-1", "golden-ssd.node-1", "golden-ssd"),),
    ("node-1",),
)
NOWHERE = Unplaceable((Rejection("std-a.node-1", RejectionReason.USED_LIMIT, "91 % used"),))


def a_stalled(reason: str = "VolumeFailed", message: str = "no") -> list[Obj]:
    return [
        a_condition(status="False", reason=reason, message=message),
        a_condition("Stalled", reason=reason, message=message),
    ]


def with_root(root: Obj | None, machine: Obj | None = None, **changes: Any) -> Any:
    return observed(machine, a_disk(root), **changes)


def failed(
    failure: str = "IOError", machine: Obj | None = None, *, stalled: bool = False, **more: Any
) -> Obj:
    at = {"storageID": "v-aaaaaaaa", "location": "std-a.node-1", "parentLocation": "golden-ssd.node-1"}
    told = a_stalled(failure) if stalled else [a_condition(status="False", reason=failure, message="no")]
    return a_root_of(machine or a_machine(), status=at | {"failure": failure, "conditions": told}, **more)
