"""VirtualMachine: a QEMU guest that boots from a thin child of a shared parent."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from goldpool.api.model import (
    NAME_PATTERN,
    SUBDOMAIN_PATTERN,
    ApiModel,
    Bytes,
    Column,
    Crd,
    Kind,
    ListAtomic,
    ListMap,
    Rule,
    Time,
    positive,
)
from goldpool.api.references import Blockers, Conditions, Message, Tags, TemplateRef, VolumeRef
from goldpool.api.storagepool import Toleration
from goldpool.api.volume import ReclaimPolicy


class RunStrategy(StrEnum):
    ALWAYS = "Always"
    HALTED = "Halted"
    RERUN_ON_FAILURE = "RerunOnFailure"
    ONCE = "Once"


class GoldenPolicy(StrEnum):
    REQUIRED = "Required"
    PREFERRED = "Preferred"


class RootVolume(ApiModel):
    """The disk the machine boots from: made for it, from a template or empty, or one that exists."""

    rules: ClassVar = (
        Rule(
            "!(has(self.templateRef) && has(self.volumeRef))",
            "spec.rootVolume: set at most one of templateRef and volumeRef",
        ),
        Rule(
            "has(self.templateRef) || has(self.volumeRef) || has(self.size)",
            "spec.rootVolume: set templateRef or volumeRef; an empty disk, for spec.iso to install on, needs a size",
        ),
        Rule(
            "!has(self.volumeRef) || !has(self.size)",
            "spec.rootVolume.size: an existing volume has its own size; remove it",
        ),
        positive("size", "spec.rootVolume.size", optional=True),
    )

    template_ref: TemplateRef | None = Field(
        default=None,
        description="The template to boot from. Without it and volumeRef the disk is made empty.",
    )
    volume_ref: VolumeRef | None = Field(default=None, description="An existing Volume to boot from.")
    size: Bytes | None = Field(
        default=None,
        description="Size of the disk; default: the template's virtual size. An empty disk needs one.",
    )
    pool_tags: Tags = Field(default=[], description="Tags that the root disk's pool must all carry.")
    iops: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="I/O operations per second to reserve on the root disk's pool."
    )
    reclaim_policy: ReclaimPolicy = Field(
        default=ReclaimPolicy.DELETE, description="Whether the root volume made for the machine goes with it."
    )


class Iso(ApiModel):
    """A CD-ROM in the machine's drive, read-only."""

    template_ref: TemplateRef = Field(description="The template, of format iso.")


class AttachedVolume(ApiModel):
    """A further disk, attached at start."""

    rules: ClassVar = (
        Rule('self.name != "root"', "spec.volumes[].name: root is the disk the machine boots from"),
    )

    name: Annotated[str, StringConstraints(max_length=20, pattern=NAME_PATTERN)] = Field(
        description="Name of the disk in the guest: its serial number, of which virtio-blk has 20 bytes."
    )
    volume_ref: VolumeRef = Field(description="The Volume.")


class VirtualMachineSpec(ApiModel):
    """What the machine should be."""

    rules: ClassVar = (positive("memory", "spec.memory"),)

    cpus: Annotated[int, Field(ge=1, le=256)] = Field(default=1, description="Virtual CPUs.")
    memory: Bytes = Field(description="Memory of the guest; guaranteed to it.")
    root_volume: RootVolume = Field(description="The disk the machine boots from.")
    iso: Iso | None = Field(
        default=None,
        description="An installer or driver CD, inserted at the next start. It is tried after the root disk, so an empty "
        "disk boots the installer, and an installed one itself. Remove it when it is not needed any more: what the machine "
        "names stays fetched.",
    )
    volumes: Annotated[list[AttachedVolume], ListMap(("name",)), Field(max_length=16)] = Field(
        default=[], description="Further disks, attached at start."
    )
    node_selector: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=63)]], Field(max_length=16)
    ] = Field(default={}, description="Labels a node must carry to run the machine.")
    tolerations: Annotated[list[Toleration], ListAtomic(), Field(max_length=16)] = Field(
        default=[],
        description="Taints the machine tolerates: those whose keys the chart's allowedTolerations lists.",
    )
    priority_class_name: (
        Annotated[str, StringConstraints(max_length=253, pattern=SUBDOMAIN_PATTERN)] | None
    ) = Field(
        default=None,
        description="PriorityClass of the machine's pod: one that the chart's priorityClasses.allowed lists. Takes effect "
        "at the next start.",
    )
    golden_policy: GoldenPolicy = Field(
        default=GoldenPolicy.REQUIRED,
        description="Required: a golden template's parent must be on a golden pool. Preferred: where no golden pool can "
        "serve, the parent is fetched to the disk's own pool, and goes with its last user.",
    )
    run_strategy: RunStrategy = Field(
        default=RunStrategy.ALWAYS,
        description="Always (started again whenever it ends), Halted (stopped), RerunOnFailure (started again unless the "
        "guest powered itself off) or Once (started once).",
    )
    stop_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="How long an ACPI shutdown may take before the machine is switched off."
    )


class PodRef(ApiModel):
    """The machine's pod."""

    namespace: str = Field(description="Namespace of the pod.")
    name: str = Field(description="Name of the pod.")
    uid: str = Field(default="", description="UID of the pod.")


class InsertedIso(ApiModel):
    """The copy of an ISO that the machine reads, or will read when it is there."""

    template: str = Field(description="The template.")
    pool: str = Field(description="Pool of the copy.")
    host: str = Field(default="", description="Host of the copy; empty on a Shared pool.")
    location: str = Field(description="StorageLocation of the copy.")
    parent: str | None = Field(default=None, description="The Parent, once it is there.")
    revision: str | None = Field(default=None, description="Revision of the parent.")


class Avoided(ApiModel):
    """A place this machine's planning skips."""

    location: str = Field(description="StorageLocation, or the host's name when the host itself failed.")
    host: str = Field(default="", description="Host of the place.")
    pool: str = Field(default="", description="Pool of the place.")
    reason: str = Field(description="Why, as a stable reason.")
    message: Message = Field(default="", description="Why, for a person.")
    time: Time = Field(description="Since when.")


class RejectionCount(ApiModel):
    """How many candidates lost for one reason."""

    reason: str = Field(description="The reason.")
    count: int = Field(description="How many candidates.")
    example: Message = Field(default="", description="One of them, with its numbers.")


class VirtualMachineStatus(ApiModel):
    """What the operator found."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    phase: str | None = Field(
        default=None,
        description="Pending, Provisioning, Starting, Running, Paused, StoragePaused, Stopping, Stopped, Succeeded, Failed, "
        "HostLost or Terminating; for people.",
    )
    conditions: Conditions = Field(default=[], description="Ready, Reconciling, Stalled.")
    pod_ref: PodRef | None = Field(default=None, description="The machine's pod, in the data namespace.")
    host: str | None = Field(default=None, description="Where the machine runs or will run.")
    template: str | None = Field(default=None, description="The template of the root volume.")
    root_volume: str | None = Field(default=None, description="Name of the root Volume.")
    root_pool: str | None = Field(default=None, description="Pool of the root volume.")
    golden_pool: str | None = Field(default=None, description="Pool of the root volume's parent.")
    fallback_pool: str | None = Field(
        default=None,
        description="Ordinary pool of the root volume's parent, where no golden pool could serve.",
    )
    iso: InsertedIso | None = Field(
        default=None,
        description="The ISO of the current start, or of the next one. It changes only while the machine is stopped.",
    )
    avoid: Annotated[list[Avoided], ListMap(("location",)), Field(max_length=64)] = Field(
        default=[], description="Places that planning skips because they failed this machine."
    )
    plans: int | None = Field(default=None, description="How many plans failed, of ten.")
    rejections: Annotated[list[RejectionCount], ListMap(("reason",)), Field(max_length=16)] = Field(
        default=[], description="Why nothing fits, counted per reason."
    )
    first_start_time: Time | None = Field(default=None, description="When the guest first ran.")
    start_time: Time | None = Field(default=None, description="When the current pod was made.")
    restarts: int | None = Field(default=None, description="How often the guest was started again.")
    ended: Annotated[str, StringConstraints(max_length=1024)] | None = Field(
        default=None, description="Why the guest last ended."
    )
    retry: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="The value of goldpool.io/retry that was acted on."
    )
    planned_generation: int | None = Field(
        default=None, description="The generation the avoid set belongs to."
    )
    blockers: Blockers = Field(default=[], description="What the deletion waits for.")


class VirtualMachine(Kind):
    """A virtual machine: a QEMU guest in a pod, whose root disk is a thin child of a template's shared parent."""

    crd: ClassVar = Crd(
        kind="VirtualMachine",
        plural="virtualmachines",
        short="gvm",
        namespaced=True,
        columns=(
            Column("Phase", ".status.phase"),
            Column("Template", ".status.template"),
            Column("Host", ".status.host"),
            Column("Root pool", ".status.rootPool"),
            Column("Golden pool", ".status.goldenPool"),
            Column("ISO", ".status.iso.template", priority=1),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status', priority=1),
            Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        selectable=(".status.phase", ".status.host"),
    )
    rules: ClassVar = (
        Rule("size(self.metadata.name) <= 63", "metadata.name: at most 63 characters"),
        Rule(
            "!has(oldSelf.status.firstStartTime) || self.spec.rootVolume == oldSelf.spec.rootVolume",
            "spec.rootVolume is frozen: the machine has booted from it; make a new VirtualMachine",
        ),
    )

    spec: VirtualMachineSpec = Field(description="What the machine should be.")
    status: VirtualMachineStatus = Field(
        default=VirtualMachineStatus(), description="What the operator found."
    )
