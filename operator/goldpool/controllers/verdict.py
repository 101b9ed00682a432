"""Conditions as kstatus reads them.

``Ready`` is there from the first status on. While work goes on ``Reconciling`` is True, when trying cannot help
``Stalled`` is; never both, and neither is there when it would be False.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from goldpool.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from goldpool.planning.references import Users

MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pass found about the current generation."""

    ready: bool
    reason: Reason
    message: str
    stalled: bool = False
    waiting: bool = False
    """Not ready, and nothing is being done about it: it waits for a user's act."""
    blocked: str = ""
    """Who holds up the deletion, in a sentence; empty when nobody does."""


def good(reason: Reason, message: str) -> Verdict:
    return Verdict(ready=True, reason=reason, message=message)


def busy(reason: Reason, message: str) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message)


def waiting(reason: Reason, message: str) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message, waiting=True)


def stalled(reason: Reason, message: str) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message, stalled=True)


def blocked(message: str) -> Verdict:
    return Verdict(ready=False, reason=Reason.DELETION_BLOCKED, message=message, blocked=message)


def named(users: Users) -> str:
    """The first three by name, for a sentence."""
    first = (
        f"{b.kind} {b.namespace}/{b.name}" if b.namespace else f"{b.kind} {b.name}"
        for b in users.blockers[:3]
    )
    more = f" and {users.total - 3} more" if users.total > 3 else ""
    return ", ".join(first) + more


def ways_out(users: Users) -> str:
    """How a person lets go of what is used, for the end of a sentence."""
    kinds = {b.kind for b in users.blockers}
    machines = ["remove spec.iso from the machines, and restart those that run"]
    volumes = ["delete the volumes or their machines"]
    return "; ".join(
        [*(volumes if kinds != {"VirtualMachine"} else []), *(machines if "VirtualMachine" in kinds else [])]
    )


@dataclass(frozen=True, slots=True)
class Aside:
    """A condition beside those that follow from the verdict."""

    kind: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


def conditions(
    verdict: Verdict,
    *,
    previous: Sequence[Condition],
    generation: int,
    now: datetime,
    asides: Iterable[Aside] = (),
) -> list[Condition]:
    """The whole list; a condition keeps its time while its status stays, as the API conventions ask."""
    wanted = [_told(verdict, ConditionType.READY, verdict.ready)]
    if verdict.stalled:
        wanted.append(_told(verdict, ConditionType.STALLED, True))
    elif not verdict.ready and not verdict.waiting:
        wanted.append(_told(verdict, ConditionType.RECONCILING, True))
    if verdict.blocked:
        wanted.append(_told(verdict, ConditionType.DELETION_BLOCKED, True))
    before = {c.type: c for c in previous}
    found = []
    for aside in (*wanted, *asides):
        old = before.get(aside.kind)
        found.append(
            Condition(
                type=aside.kind,
                status=aside.status,
                reason=aside.reason,
                message=_clip(aside.message),
                last_transition_time=old.last_transition_time
                if old is not None and old.status is aside.status
                else timestamp(now),
                observed_generation=generation,
            )
        )
    return found


def _told(verdict: Verdict, kind: ConditionType, state: bool) -> Aside:
    status = ConditionStatus.TRUE if state else ConditionStatus.FALSE
    return Aside(kind, status, verdict.reason, verdict.message)


def _clip(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """The inverse of ``timestamp``."""
    return datetime.fromisoformat(text)


def seconds_since(text: str | None, now: datetime) -> float:
    """Infinity when it never happened."""
    return (now - moment(text)).total_seconds() if text else float("inf")
