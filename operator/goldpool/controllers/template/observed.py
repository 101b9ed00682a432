"""The frozen world of one template."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.contracts.operations import FetchPolicy
from goldpool.dispatch.outcome import Outcome
from goldpool.kube.port import Obj
from goldpool.planning.references import Users


@dataclass(frozen=True, slots=True)
class Wanted:
    """A location that should have a copy, and why."""

    location: str
    pool: str
    host: str
    prepared: bool
    fallback: bool = False
    """An ordinary pool stands in for a golden one."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A host that could fetch the template, and so may ask for it. ``location`` is its label goldpool.io/location."""

    host: str
    location: str = ""
    tolerations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """A template, its copies, where copies are wanted, and who uses it."""

    raw: Obj
    template: Template
    parents: tuple[Parent, ...]
    """Fresh from the API server when a copy has to be made, because a cache that misses one would fetch twice."""
    wanted: tuple[Wanted, ...]
    users: Users
    """Bound volumes and machines whose ISO it is, once it is being deleted; fresh from the API server before it goes."""
    children: Mapping[str, int]
    """Volumes, and machines that have the ISO inserted, per pool of their parent."""
    tokens: tuple[str, ...]
    """One for each copy that may have to be made, one for that of a new revision, and one for the fetching anew: names
    are minted, never derived."""
    places: tuple[Wanted, ...]
    """Usable locations where a new revision may come first: wanted ones, then those that have a copy."""
    probe: Outcome | None
    """Of ``probe_id``."""
    probe_id: str
    asker: Asker | None
    """Who may ask the source now; None while no host can."""
    policy: FetchPolicy
    """Of asking the source."""
    base_seconds: float
    cap_seconds: float
    now: datetime
