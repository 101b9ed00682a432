"""The two things the book keeps: an operation, and a Job that carries some."""

from dataclasses import dataclass, field

from goldpool.contracts.report import Progress
from goldpool.dispatch.claims import Claims
from goldpool.dispatch.outcome import Ended
from goldpool.dispatch.record import JobRecord, Recorded
from goldpool.dispatch.request import Request
from goldpool.kube.port import Key


@dataclass(slots=True)
class Entry:
    """An operation from the first ask to its settling. ``request`` is None for one found in a Job and not asked for.

    ``group``: after a loss it goes only with its half. ``losses_alone`` counts losses as the only one of its Job.
    """

    id: str
    asked_at: float
    request: Request | None = None
    recorded: Recorded | None = None
    owners: set[Key] = field(default_factory=set)
    size: int = 0
    not_before: float = 0.0
    group: int = 0
    losses: int = 0
    losses_alone: int = 0
    job: str | None = None
    progress: Progress | None = None
    ended: Ended | None = None
    ended_at: float | None = None

    @property
    def waiting(self) -> bool:
        return self.job is None and self.ended is None

    @property
    def claims(self) -> Claims:
        assert self.recorded is not None
        return self.recorded.claims

    def end(self, outcome: Ended, now: float) -> None:
        self.ended, self.ended_at = outcome, now


@dataclass(slots=True)
class Flight:
    """A Job from its creation until it is gone.

    ``over_at``: since when its operations' fate is known. ``stopped``: its container terminated, so the names it
    claimed are free. ``given_up``: its operations failed though it may still run.
    """

    record: JobRecord
    over_at: float | None = None
    stopped: bool = False
    given_up: bool = False

    @property
    def over(self) -> bool:
        return self.over_at is not None

    def carries(self, operation_id: str) -> bool:
        """The operation's fate is still open in this Job."""
        return not self.over and any(operation.id == operation_id for operation in self.record.operations)
