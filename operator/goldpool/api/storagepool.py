"""StoragePool: storage that holds disk images. A golden pool holds parents only."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from goldpool.api.model import (
    LABEL_NAME,
    ApiModel,
    Bytes,
    Column,
    Crd,
    Kind,
    ListAtomic,
    ListMap,
    ListSet,
    Name,
    Rule,
    positive,
)
from goldpool.api.references import Blockers, Conditions, CopyExceptions, Tags


class Scope(StrEnum):
    HOST = "Host"
    SHARED = "Shared"


class PoolState(StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    MAINTENANCE = "Maintenance"


class HostPathBackend(ApiModel):
    """A directory on each host."""

    path: Annotated[str, StringConstraints(max_length=512, pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$")] = (
        Field(
            description="Absolute path of the directory on the host, below one of the operator's allowed prefixes."
        )
    )
    require_mount: bool = Field(
        default=True,
        description="Whether the path must itself be a mount point; protects the root disk when a pool is unmounted.",
    )


class NfsBackend(ApiModel):
    """An NFS export, mounted through a PersistentVolume that the operator makes."""

    server: Annotated[str, StringConstraints(max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]*)$")] = (
        Field(description="Host name or address of the NFS server.")
    )
    path: Annotated[str, StringConstraints(max_length=512, pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$")] = (
        Field(description="Exported path.")
    )
    mount_options: Annotated[
        list[Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_.=:/-]+$")]],
        Field(max_length=16),
    ] = Field(default=["vers=4.1", "hard"], description="Mount options.")


class ClaimBackend(ApiModel):
    """An existing PersistentVolumeClaim in the data namespace, ReadWriteMany."""

    claim_name: Name = Field(description="Name of the claim in the data namespace.")


class Backend(ApiModel):
    """Where the bytes are: exactly one of the fields."""

    rules: ClassVar = (
        Rule(
            "(has(self.hostPath) ? 1 : 0) + (has(self.nfs) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) == 1",
            "spec.backend: set exactly one of hostPath, nfs and persistentVolumeClaim",
        ),
    )

    host_path: HostPathBackend | None = Field(default=None, description="A directory on each host.")
    nfs: NfsBackend | None = Field(
        default=None, description="An NFS export; the pool's scope must be Shared."
    )
    persistent_volume_claim: ClaimBackend | None = Field(
        default=None, description="A claim in the data namespace; the pool's scope must be Shared."
    )


class LabelSelector(ApiModel):
    """Which nodes are hosts of the pool."""

    match_labels: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=63)]], Field(max_length=16)
    ] = Field(default={}, description="Labels a node must carry; empty selects every node.")


class Toleration(ApiModel):
    """A Kubernetes toleration."""

    # The server's own rules for pods: without them the mistake would show only when a pod is refused.
    rules: ClassVar = (
        Rule(
            "self.operator != 'Exists' || self.value == ''",
            "tolerations[].value must be empty with operator Exists: remove it, or use Equal",
            ".value",
        ),
        Rule(
            "self.key != '' || self.operator == 'Exists'",
            "tolerations[].key may be empty only with operator Exists, which tolerates every taint",
            ".key",
        ),
    )

    key: Annotated[str, StringConstraints(max_length=316)] = Field(
        default="", description="Taint key; empty means all."
    )
    operator: Annotated[str, StringConstraints(pattern="^(Exists|Equal)$")] = Field(
        default="Equal", description="Exists or Equal."
    )
    value: Annotated[str, StringConstraints(max_length=63)] = Field(
        default="", description="Taint value for Equal."
    )
    effect: Annotated[str, StringConstraints(pattern="^(|NoSchedule|PreferNoSchedule|NoExecute)$")] = Field(
        default="", description="Taint effect; empty means all."
    )


class Capacity(ApiModel):
    """Limits of each location. What is not set is not limited, except by the disk itself."""

    rules: ClassVar = (positive("bytes", "spec.capacity.bytes", optional=True),)

    bytes: Bytes | None = Field(
        default=None, description="Bytes to plan with; default: the file system's size."
    )
    iops: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="I/O operations per second to plan with."
    )
    overprovisioning_percent: Annotated[int, Field(ge=100, le=10000)] = Field(
        default=200,
        description="Promised bytes may be this percentage of the capacity (CloudStack's factor 2).",
    )
    used_limit_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=85, description="Nothing new is placed when this much of the disk is used, or more."
    )
    allocated_limit_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=85,
        description="Nothing new is placed when more than this of the over-provisioned capacity is promised.",
    )


class StoragePoolSpec(ApiModel):
    """What the administrator declares."""

    rules: ClassVar = (
        Rule("self.golden == oldSelf.golden", "spec.golden is immutable: make a new StoragePool"),
        Rule("self.scope == oldSelf.scope", "spec.scope is immutable: make a new StoragePool"),
        Rule("self.backend == oldSelf.backend", "spec.backend is immutable: make a new StoragePool"),
        Rule(
            "self.scope == 'Shared' || has(self.backend.hostPath)",
            "spec.scope: nfs and persistentVolumeClaim backends are Shared",
        ),
        positive("downloadBandwidth", "spec.downloadBandwidth", optional=True),
        Rule(
            "!self.golden || !has(self.tags) || size(self.tags) == 0",
            "spec.tags has no meaning on a golden pool: remove it",
        ),
    )

    golden: bool = Field(default=False, description="Whether the pool is dedicated to parents. Immutable.")
    backend: Backend = Field(description="Where the bytes are. Immutable.")
    scope: Scope = Field(
        default=Scope.HOST,
        description="Host: every host has bytes of its own. Shared: all hosts see the same bytes. Immutable.",
    )
    host_selector: LabelSelector = Field(
        default=LabelSelector(), description="Nodes that reach the pool and work for it."
    )
    tolerations: Annotated[list[Toleration], ListAtomic(), Field(max_length=16)] = Field(
        default=[], description="For Jobs and machines on tainted storage hosts."
    )
    tags: Tags = Field(
        default=[], description="Matched by poolTags of disks. Of no meaning on a golden pool."
    )
    allowed_namespaces: Annotated[list[Name], ListSet(), Field(max_length=64)] = Field(
        default=[],
        description="Namespaces whose machines and volumes are placed here; empty means all. What is here already stays.",
    )
    state: PoolState = Field(
        default=PoolState.ENABLED,
        description="Enabled, Disabled (nothing new) or Maintenance (nothing new, machines are stopped).",
    )
    capacity: Capacity = Field(default=Capacity(), description="Limits of each location.")
    download_bandwidth: Bytes | None = Field(
        default=None,
        description="Bytes per second, like 100Mi, that all downloads into the pool take together at most. Each gets an "
        "equal share of it: divided by the downloads a pool may have at once (the chart's fetch.perPool).",
    )


class StoragePoolStatus(ApiModel):
    """What the operator found."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    phase: str | None = Field(
        default=None, description="Ready, Initializing, Degraded, Failed or Terminating; for people."
    )
    conditions: Conditions = Field(default=[], description="Ready, Reconciling, Stalled, DeletionBlocked.")
    hosts: str | None = Field(default=None, description="Usable locations of all, like 2/3.")
    hosts_ready: int | None = Field(default=None, description="Locations that can be used.")
    hosts_wanted: int | None = Field(default=None, description="Locations the pool should have.")
    total: Bytes | None = Field(default=None, description="Sum of the locations' sizes.")
    used: Bytes | None = Field(default=None, description="Sum of the bytes in use.")
    used_percent: str | None = Field(default=None, description="Used of total, like 42%.")
    parents: int | None = Field(default=None, description="Ready parents in the pool.")
    children: int | None = Field(
        default=None, description="On a golden pool: volumes whose parent is here; else children here."
    )
    volumes: int | None = Field(default=None, description="Volumes placed here.")
    exceptions: CopyExceptions = Field(default=[], description="Up to 20 locations that cannot be used.")
    blockers: Blockers = Field(default=[], description="Up to 10 users that hold up the deletion.")
    blockers_total: int | None = Field(default=None, description="How many users hold up the deletion.")


class StoragePool(Kind):
    """Storage that holds disk images: a directory on each host, a mount that all hosts share, an NFS export or a
    claim. A golden pool holds the read-only parents of templates and nothing else."""

    crd: ClassVar = Crd(
        kind="StoragePool",
        plural="storagepools",
        short="gpool",
        namespaced=False,
        columns=(
            Column("Golden", ".spec.golden", "boolean"),
            Column("Scope", ".spec.scope"),
            Column("Hosts", ".status.hosts"),
            Column("Used", ".status.usedPercent"),
            Column("Parents", ".status.parents", "integer"),
            Column("Children", ".status.children", "integer"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    )
    rules: ClassVar = (
        Rule(
            "size(self.metadata.name) <= 40",
            "metadata.name: at most 40 characters, because locations are named after it",
        ),
        LABEL_NAME,
    )

    spec: StoragePoolSpec = Field(description="What the administrator declares.")
    status: StoragePoolStatus = Field(default=StoragePoolStatus(), description="What the operator found.")


__all__ = [
    "Backend",
    "Capacity",
    "ListMap",
    "PoolState",
    "Scope",
    "StoragePool",
    "StoragePoolSpec",
    "StoragePoolStatus",
]
