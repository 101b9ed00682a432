"""The frozen world of one location."""

from dataclasses import dataclass
from datetime import datetime

from goldpool.api.references import Blocker
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.operations import Known
from goldpool.controllers.abandonment import abandons
from goldpool.dispatch.mounts import LocationMount
from goldpool.dispatch.outcome import Outcome
from goldpool.kube.port import Obj
from goldpool.planning.snapshot import NodeView


@dataclass(frozen=True, slots=True)
class Observed:
    """A location, the pool and host it belongs to, and what its last operations said."""

    raw: Obj
    location: StorageLocation
    pool: StoragePool | None
    node: NodeView | None
    host: str | None
    """Who can work on it now."""
    mount: LocationMount | None
    operation: str
    """Id of the operation this pass is about: initialise, probe, rebind or release."""
    outcome: Outcome | None
    facts: LocationFacts | None
    facts_time: datetime | None
    users: tuple[Blocker, ...]
    """Who holds it up, once it is being deleted; nobody asks before."""
    known: Known | None
    """What objects say lies here, and what of theirs may; None when there is too much of it to compare."""
    parents: int
    volumes: int
    probe_seconds: int
    probe_failed_seconds: int
    now: datetime

    @property
    def place(self) -> str:
        """What the annotation that gives the location up must name."""
        return self.location.spec.host or self.location.spec.pool

    @property
    def given_up(self) -> bool:
        return abandons(self.location.metadata.annotations, self.place)
