"""Volume: a disk, always an object of its own."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from goldpool.api.model import ApiModel, Bytes, Column, Crd, Kind, ListMap, Name, Rule, Time, positive
from goldpool.api.references import Blockers, Conditions, Tags, TemplateRef


class VolumeType(StrEnum):
    ROOT = "Root"
    DATA = "Data"


class ReclaimPolicy(StrEnum):
    DELETE = "Delete"
    RETAIN = "Retain"


class VolumeSource(ApiModel):
    """What the disk starts as; nothing set means empty."""

    template_ref: TemplateRef | None = Field(
        default=None, description="A thin child of this template's parent."
    )


class Placement(ApiModel):
    """Where the disk is. Each field is a wish until planning binds it in one guarded write."""

    pool: Name | None = Field(
        default=None, description="Name of the ordinary StoragePool that holds the disk."
    )
    host: Annotated[str, StringConstraints(max_length=253)] | None = Field(
        default=None, description="Host of the location; empty when bound to a Shared pool."
    )
    parent_pool: Name | None = Field(default=None, description="Name of the pool that holds the parent.")
    volume_uid: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, alias="volumeUID", description="UID of the Volume that was bound; set by the operator."
    )


class VolumeSpec(ApiModel):
    """What the disk should be."""

    rules: ClassVar = (
        Rule("self.type == oldSelf.type", "spec.type is immutable: make a new Volume"),
        Rule(
            "has(self.size) == has(oldSelf.size) && (!has(self.size) || self.size == oldSelf.size)",
            "spec.size is immutable for now: make a new Volume",
        ),
        Rule(
            "has(self.size) || (has(self.source) && has(self.source.templateRef))",
            "spec.size: an empty disk needs a size",
        ),
        Rule(
            "has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",
            "spec.source is immutable: make a new Volume",
        ),
        Rule(
            "!has(self.storageID) || (has(self.placement) && has(self.placement.pool))",
            "spec.storageID is minted with the binding: do not set it",
        ),
        positive("size", "spec.size", optional=True),
    )

    type: VolumeType = Field(default=VolumeType.DATA, description="Root or Data. Immutable.")
    size: Bytes | None = Field(
        default=None,
        description="Size of the disk a guest sees, not below the template's; default: the template's.",
    )
    source: VolumeSource | None = Field(
        default=None, description="What the disk starts as; absent means empty. Immutable."
    )
    reclaim_policy: ReclaimPolicy = Field(
        default=ReclaimPolicy.DELETE, description="What becomes of a machine's root volume with the machine."
    )
    pool_tags: Tags = Field(default=[], description="Tags that the pool must all carry.")
    iops: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="I/O operations per second to reserve on the pool."
    )
    placement: Placement | None = Field(
        default=None, description="Where the disk is; frozen once it was given to a started machine."
    )
    storage_id: Annotated[str, StringConstraints(max_length=63, pattern=r"^v-[a-z0-9]{8,32}$")] | None = (
        Field(
            default=None,
            alias="storageID",
            description="Name of the disk in its pool; minted with the binding, never reused.",
        )
    )


DISCARDS_KEPT: Final = 16
"""So many old disks may wait to be removed; the volume is not bound anew before there is room to remember one more."""


class Discarded(ApiModel):
    """The disk of an earlier binding, on its way out."""

    location: str = Field(description="StorageLocation of the old disk.")
    storage_id: str = Field(alias="storageID", description="Name of the old disk.")


class VolumeStatus(ApiModel):
    """What the operator found."""

    observed_generation: int = Field(default=-1, description="The generation this status is about.")
    phase: str | None = Field(
        default=None,
        description="Pending, WaitingForParent, Creating, Ready, InUse, Lost, Failed or Terminating; for people.",
    )
    conditions: Conditions = Field(default=[], description="Ready, Reconciling, Stalled, DeletionBlocked.")
    location: str | None = Field(default=None, description="StorageLocation that holds the disk.")
    parent_location: str | None = Field(default=None, description="StorageLocation that holds the parent.")
    parent: str | None = Field(default=None, description="Parent this child was made from.")
    revision: str | None = Field(default=None, description="Revision of the parent.")
    storage_id: str | None = Field(
        default=None, alias="storageID", description="The binding this status is about."
    )
    capacity: Bytes | None = Field(default=None, description="Size of the disk that was made.")
    created_time: Time | None = Field(
        default=None, description="When the disk was made; it is never made again."
    )
    first_used_time: Time | None = Field(
        default=None,
        description="When the disk was first given to a machine; from then on its place is frozen.",
    )
    used_by: str | None = Field(default=None, description="The machine that holds the volume.")
    failure: str | None = Field(
        default=None, description="Why the disk could not be made, as a stable reason."
    )
    attempts: int | None = Field(
        default=None, description="How often making the disk was tried for this binding."
    )
    adopted_uid: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None,
        alias="adoptedUID",
        description="UID of this object once it took its disk over from the object that was backed up.",
    )
    discards: Annotated[list[Discarded], ListMap(("storageID",)), Field(max_length=DISCARDS_KEPT)] = Field(
        default=[], description="Disks of earlier, never used bindings, on their way out."
    )
    blockers: Blockers = Field(default=[], description="Who holds up the deletion.")
    blockers_total: int | None = Field(default=None, description="How many users hold up the deletion.")


class Volume(Kind):
    """A disk of a virtual machine: a thin child of a template's parent, or empty. It outlives machines unless its
    reclaimPolicy says otherwise."""

    crd: ClassVar = Crd(
        kind="Volume",
        plural="volumes",
        short="gvol",
        namespaced=True,
        columns=(
            Column("Type", ".spec.type"),
            Column("Size", ".status.capacity"),
            Column("Pool", ".spec.placement.pool"),
            Column("Host", ".spec.placement.host"),
            Column("Parent", ".status.parent"),
            Column("Phase", ".status.phase"),
            Column("Used by", ".status.usedBy", priority=1),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
        selectable=(
            ".spec.placement.pool",
            ".spec.placement.parentPool",
            ".spec.storageID",
            ".status.parent",
        ),
    )
    rules: ClassVar = (
        Rule(
            "!has(oldSelf.status.firstUsedTime) || (has(self.spec.placement) && has(self.spec.storageID)"
            " && self.spec.placement == oldSelf.spec.placement && self.spec.storageID == oldSelf.spec.storageID)",
            "spec.placement and spec.storageID are frozen: a machine has used this disk",
        ),
    )

    spec: VolumeSpec = Field(description="What the disk should be.")
    status: VolumeStatus = Field(default=VolumeStatus(), description="What the operator found.")

    @property
    def restored(self) -> bool:
        """Its binding is of another object: of the one that was backed up."""
        place = self.spec.placement
        return (
            self.spec.storage_id is not None and place is not None and place.volume_uid != self.metadata.uid
        )

    @property
    def adopted(self) -> bool:
        """It took over a disk that others wrote: that disk is never made anew."""
        return self.status.adopted_uid == self.metadata.uid

    @property
    def used(self) -> bool:
        """A machine was given the disk: it stays where it is."""
        return self.status.first_used_time is not None or self.adopted
