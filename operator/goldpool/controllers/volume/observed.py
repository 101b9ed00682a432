"""The frozen world of one volume."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.conditions import ConditionType, is_true
from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Discarded, Volume
from goldpool.controllers.abandonment import abandons
from goldpool.controllers.naming import ABANDONED_ANNOTATION
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.outcome import Outcome
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Unplaceable


@dataclass(frozen=True, slots=True)
class Place:
    """A location as this volume's operations need it."""

    pool: StoragePool
    location: StorageLocation
    mount: LocationMount
    host: str | None
    node_known: bool

    @property
    def reachable(self) -> bool:
        return self.host is not None and is_true(self.location.status.conditions, ConditionType.READY)


@dataclass(frozen=True, slots=True)
class Discard:
    """One of status.discards. ``place`` is None when its pool or location is gone."""

    disk: Discarded
    place: Place | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Observed:
    """A volume, its place, the parent it waits for, its last operation, and the machine that holds it."""

    raw: Obj
    volume: Volume
    template: Template | None
    place: Place | None
    """Of spec.placement; None while unbound, or when the pool or location is gone."""
    adoption: Outcome | None
    rivals: tuple[str, ...]
    """Of a restored volume whose disk is not taken over yet: who else has the disk, as the API server itself says."""
    discards: tuple[Discard, ...]
    parent_location: str | None
    candidates: tuple[Parent, ...]
    """Copies of the template at the parent's location."""
    fresh_parent: Parent | None
    """status.parent, read from the API server itself before its child is made."""
    creation: Outcome | None
    removal: Outcome | None
    parent: Parent | None
    """status.parent as the cache has it."""
    lease: Obj | None
    holder: str
    """UID of the machine whose Lease holds the volume; empty when nobody does."""
    holder_name: str
    direct: DiskPlacement | Unplaceable | None
    """Where it goes at once because pool and host are given; None when it waits for a machine."""
    token: str
    trash_seconds: int
    base_seconds: float
    now: datetime

    @property
    def given_up(self) -> bool:
        return self.place is not None and given_up(self.volume, self.place)

    @property
    def holder_given_up(self) -> bool:
        """The machine went with a lost host; its claim stays, so that nothing else starts over the disk."""
        return ABANDONED_ANNOTATION in ((self.lease or {}).get("metadata", {}).get("annotations") or {})

    @property
    def lost(self) -> bool:
        """It was made, and a later look at its location did not find it."""
        made = self.volume.status.created_time
        if self.place is None or made is None:
            return False
        seen = self.place.location.status
        return self.volume.spec.storage_id in seen.missing and made < (seen.inspected_time or "")


def given_up(volume: Volume, place: Place) -> bool:
    """A person said so of the disk, or of all that its location holds; and the location cannot be reached."""
    spec = place.location.spec
    told = (volume.metadata.annotations, place.location.metadata.annotations)
    return not place.reachable and any(abandons(a, spec.host or spec.pool) for a in told)
