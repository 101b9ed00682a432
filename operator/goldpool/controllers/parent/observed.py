"""The frozen world of one parent."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.contracts.operations import FetchPolicy
from goldpool.controllers.abandonment import abandons
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.outcome import Outcome
from goldpool.kube.port import Obj
from goldpool.planning.references import Users
from goldpool.planning.revisions import superseded


@dataclass(frozen=True, slots=True)
class Observed:
    """A copy, what it is a copy of, where it is, and everybody who may need it."""

    raw: Obj
    parent: Parent
    template: Template | None
    """None when it is gone or another template of the name."""
    source_hash: str
    pool: StoragePool | None
    location: StorageLocation | None
    location_ready: bool
    host: str | None
    hosts: tuple[str, ...]
    """All that could work there now, in the order in which their turn comes; ``host`` is the one whose it is."""
    host_location: str
    """Where the host stands, as its label says; empty when it does not."""
    node_known: bool
    mount: LocationMount | None
    fetch: Outcome | None
    removal: Outcome | None
    users: Users
    """Of the cache; once the copy is Retiring, of the API server itself: volumes, VM pods and Jobs."""
    waiting: int
    """Volumes bound here whose child is not made yet, and machines whose ISO it is: they want the copy."""
    prepared: bool
    copies: tuple[Parent, ...]
    """All of the template, this one among them."""
    volumes: tuple[Volume, ...]
    """All of the template."""
    policy: FetchPolicy
    base_seconds: float
    cap_seconds: float
    jitter: float
    now: datetime

    @property
    def superseded(self) -> bool:
        """New disks take another revision; this copy is for the children it has."""
        return self.template is not None and superseded(self.parent, self.template)

    @property
    def given_up(self) -> bool:
        """A person said so of the copy, or of all that its location holds; and the location cannot be reached."""
        place = self.parent.spec.host or self.parent.spec.pool
        told = [self.parent.metadata.annotations]
        if self.location is not None:
            told.append(self.location.metadata.annotations)
        reachable = self.host is not None and self.location_ready
        return not reachable and any(abandons(annotations, place) for annotations in told)

    @property
    def lost(self) -> bool:
        """It was published, and a later look at its location did not find it."""
        published = self.parent.status.published_time
        if self.location is None or published is None:
            return False
        seen = self.location.status
        return self.parent.metadata.name in seen.missing and published < (seen.inspected_time or "")
