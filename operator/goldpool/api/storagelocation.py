"""StorageLocation: where bytes really are, (pool, host). Written by the operator; people read it."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from goldpool.api.model import ApiModel, Bytes, Column, Crd, Kind, ListAtomic, Rule, Time
from goldpool.api.references import Blockers, Conditions

Names = Annotated[list[Annotated[str, StringConstraints(max_length=260)]], ListAtomic(), Field(max_length=10)]


class StorageLocationSpec(ApiModel):
    """Which pool and host. The object's name is the location's ID on disk."""

    rules: ClassVar = (
        Rule("self.pool == oldSelf.pool && self.poolUID == oldSelf.poolUID && self.host == oldSelf.host",
             "spec: a location is always the same pool and host"),
    )  # fmt: skip

    pool: str = Field(description="Name of the StoragePool.")
    pool_uid: str = Field(alias="poolUID", description="UID of the StoragePool.")
    host: str = Field(default="", description="Name of the node; empty for a Shared pool.")


class StorageLocationStatus(ApiModel):
    """The facts of the host."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    phase: str | None = Field(
        default=None,
        description="Pending, Initializing, Ready, NotMounted, ForeignPool, Replaced or HostNotReady; for people.",
    )
    conditions: Conditions = Field(default=[], description="Ready, Reconciling, Stalled.")
    initialized_time: Time | None = Field(
        default=None, description="When the location's identity was written; it is never written again."
    )
    node_uid: str | None = Field(
        default=None, alias="nodeUID", description="UID of the node the identity names."
    )
    total: Bytes | None = Field(default=None, description="Size of the file system.")
    free: Bytes | None = Field(default=None, description="Bytes that can still be written.")
    used_percent: str | None = Field(default=None, description="Used of total, like 42%.")
    probe_time: Time | None = Field(default=None, description="When the location was last looked at.")
    attempts: int | None = Field(default=None, description="Failed attempts in a row.")
    parents: int | None = Field(default=None, description="Parents here.")
    volumes: int | None = Field(default=None, description="Volumes here.")
    inspected_time: Time | None = Field(
        default=None, description="When what lies here was last compared with what objects know."
    )
    missing: Names = Field(
        default=[], description="Parents and volumes that should be here and are not: some of them."
    )
    missing_total: int | None = Field(default=None, description="How many are missing.")
    orphans: Names = Field(
        default=[],
        description="Entries that no object knows, like volumes/v-7k2m9qx4: some of them. Never removed.",
    )
    orphans_total: int | None = Field(default=None, description="How many entries no object knows.")
    blockers: Blockers = Field(default=[], description="Who holds up the deletion.")
    blockers_total: int | None = Field(default=None, description="How many users hold up the deletion.")


class StorageLocation(Kind):
    """Where bytes really are: one pool on one host, or a whole Shared pool."""

    crd: ClassVar = Crd(
        kind="StorageLocation",
        plural="storagelocations",
        short="gloc",
        namespaced=False,
        columns=(
            Column("Pool", ".spec.pool"),
            Column("Host", ".spec.host"),
            Column("Phase", ".status.phase"),
            Column("Total", ".status.total"),
            Column("Used", ".status.usedPercent"),
            Column("Parents", ".status.parents", "integer"),
            Column("Volumes", ".status.volumes", "integer"),
            Column("Orphans", ".status.orphansTotal", "integer", priority=1),
            Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        selectable=(".spec.pool", ".spec.host"),
    )

    spec: StorageLocationSpec = Field(description="Which pool and host.")
    status: StorageLocationStatus = Field(
        default=StorageLocationStatus(), description="The facts of the host."
    )
