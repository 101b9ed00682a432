"""What has become of an operation."""

from dataclasses import dataclass

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.report import Adopted, FailureReason, Fetched, Probed, Progress
from goldpool.contracts.source import MirrorResult


@dataclass(frozen=True, slots=True)
class Pending:
    """Asked for, and in no Job yet."""


@dataclass(frozen=True, slots=True)
class Running:
    """In a Job. ``progress`` is only known for a Fetch that has begun to transfer."""

    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """``facts``: how the Job found the operation's location; ``fetched``: of a Fetch, what it brought; ``adopted``: of an
    Adopt, what it found."""

    facts: LocationFacts | None = None
    fetched: Fetched | None = None
    adopted: Adopted | None = None
    probed: Probed | None = None
    mirrors: tuple[MirrorResult, ...] = ()
    """Of a Fetch or a ProbeSource: what each mirror that was asked answered, the first ten of them."""
    mirrors_total: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """``permanent``: the same operation cannot succeed later or elsewhere either."""

    reason: FailureReason
    message: str
    permanent: bool
    mirrors: tuple[MirrorResult, ...] = ()
    mirrors_total: int = 0


Ended = Succeeded | Failed
Outcome = Pending | Running | Ended
