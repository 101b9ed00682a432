"""The frozen world of one template."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from goldpool.api.parent import Parent
from goldpool.api.template import Template
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
    """One for each copy that may have to be made: names are minted, never derived."""
    now: datetime
