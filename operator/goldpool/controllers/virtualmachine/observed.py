"""The frozen world of one machine."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.parent import Parent
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import InsertedIso, VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.naming import ABANDONED_ANNOTATION, FIRST_USE_ANNOTATION
from goldpool.controllers.virtualmachine.orphans import Orphans
from goldpool.dispatch.mounts import LocationMount
from goldpool.kube.port import Obj
from goldpool.planning.placement import Placement, Unplaceable
from goldpool.planning.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class DiskView:
    """One of the machine's disks. ``volume`` is None while there is none of that name."""

    name: str
    volume_name: str
    root: bool
    volume: Volume | None
    lease: Obj | None
    template: Template | None = None
    """Of the volume's source."""
    pool: StoragePool | None = None
    mount: LocationMount | None = None
    parent: Parent | None = None
    parent_mount: LocationMount | None = None
    parent_pool: StoragePool | None = None

    @property
    def holder(self) -> str:
        """UID of the machine that holds the volume; empty when nobody does."""
        return str(((self.lease or {}).get("spec") or {}).get("holderIdentity") or "")

    @property
    def abandoned_on(self) -> str:
        """The host on which the holder was given up, and may still write; empty otherwise."""
        annotations = (self.lease or {}).get("metadata", {}).get("annotations") or {}
        return str(annotations.get(ABANDONED_ANNOTATION) or "")

    @property
    def host(self) -> str:
        """The only host that reaches the bytes; empty on a Shared pool, and when the pool is not known."""
        placement = self.volume.spec.placement if self.volume else None
        if placement is None or self.pool is None or self.pool.spec.scope is Scope.SHARED:
            return ""
        return placement.host or ""

    @property
    def first_used_by_holder(self) -> bool:
        """Before the machine that holds the volume, nobody had it."""
        return FIRST_USE_ANNOTATION in ((self.lease or {}).get("metadata", {}).get("annotations") or {})


@dataclass(frozen=True, slots=True)
class MediumView:
    """What the machine's CD drive holds, or is to hold."""

    template: Template | None
    """Of spec.iso."""
    pool: StoragePool | None
    """Of status.iso, as are all below."""
    mount: LocationMount | None
    copies: tuple[Parent, ...]
    """At the location, of the template that spec.iso names and of its revision."""
    parent: Parent | None
    """Read from the API server itself before a pod is made."""


def iso_of_start(machine: VirtualMachine, pod: Obj | None) -> InsertedIso | None:
    """The ISO of the pod there is, or of the next start; None when what is recorded is not wanted any more."""
    iso, wanted = machine.status.iso, machine.spec.iso
    if iso is None or pod is not None:
        return iso
    return iso if wanted is not None and wanted.template_ref.name == iso.template else None


@dataclass(frozen=True, slots=True)
class Pause:
    """A disk whose I/O failed, so that QEMU paused the guest; ``no_space``: for want of room."""

    disk: str
    no_space: bool


@dataclass(frozen=True, slots=True)
class PodSettings:
    """What the chart decides about VM pods."""

    namespace: str
    image: str
    pull_policy: str
    service_account: str
    priority_class: str
    """Of machines that name none; empty for none."""
    allowed_priority_classes: tuple[str, ...]
    allowed_tolerations: tuple[str, ...]
    """Keys of taints; ``*`` is all."""
    cpu_allocation_ratio: int
    memory_overhead_bytes: int
    memory_per_disk_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds."""

    max_plans: int
    start_deadline: int
    unschedulable: int
    restart_cap: int


@dataclass(frozen=True, slots=True)
class Observed:
    """A machine, its disks, its pod, and where its unbound disks would go."""

    raw: Obj
    machine: VirtualMachine
    template: Template | None
    """Of rootVolume.templateRef."""
    disks: tuple[DiskView, ...]
    """The root disk first."""
    pod: Obj | None
    """Read from the API server itself before anything is released on its absence."""
    pauses: tuple[Pause, ...]
    """Of a pod that is not ready, as its runtime says."""
    pod_node: NodeView | None
    pod_node_known: bool
    host_node: NodeView | None
    """The node a bound machine, or one with its ISO on a host, is tied to."""
    maintenance: str
    """Name of a pool in Maintenance that the machine uses; empty for none."""
    placement: Placement | Unplaceable | None
    """Of the disks and the ISO that need a place; None when all have one, or planning is not due."""
    local_parents: frozenset[str]
    """Of the placement's parent locations, those on a host of their own."""
    tokens: tuple[str, ...]
    """One for each disk that may be bound."""
    pods: PodSettings
    limits: Limits
    now: datetime
    orphans: Orphans | None = None
    """Of earlier machines of this name."""
    medium: MediumView | None = None
    """None when the machine neither has nor wants an ISO."""

    @property
    def iso(self) -> InsertedIso | None:
        """Of the pod there is, or of the next start."""
        return iso_of_start(self.machine, self.pod)

    @property
    def root(self) -> DiskView:
        return self.disks[0]
