"""The frozen world of one volume."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
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


@dataclass(frozen=True, slots=True)
class Observed:
    """A volume, its place, the parent it waits for, its last operation, and the machine that holds it."""

    raw: Obj
    volume: Volume
    template: Template | None
    place: Place | None
    """Of spec.placement; None while unbound, or when the pool or location is gone."""
    old_place: Place | None
    """Of status.discarding."""
    parent_location: str | None
    candidates: tuple[Parent, ...]
    """Copies of the template at the parent's location."""
    fresh_parent: Parent | None
    """status.parent, read from the API server itself before its child is made."""
    creation: Outcome | None
    removal: Outcome | None
    discarding: Outcome | None
    holder: str
    """UID of the machine whose Lease holds the volume; empty when nobody does."""
    holder_name: str
    direct: DiskPlacement | Unplaceable | None
    """Where it goes at once because pool and host are given; None when it waits for a machine."""
    token: str
    trash_seconds: int
    base_seconds: float
    now: datetime
