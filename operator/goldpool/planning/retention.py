"""Whether a parent stays: used, wanted ahead, the last of its revision, or unused for less than its retention."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.references import Users, uses_parent
from goldpool.planning.revisions import superseded


class KeepReason(StrEnum):
    IN_USE = "InUse"
    PREPARED = "Prepared"
    LAST_COPY = "LastCopy"
    RETAINED = "Retained"


@dataclass(frozen=True, slots=True)
class Keep:
    """The parent stays. ``unused_since`` is what the status should say (None while in use or wanted ahead);
    ``retire_time`` is when to look again, if time alone can change the verdict."""

    reason: KeepReason
    unused_since: datetime | None = None
    retire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retire:
    """Nobody needs the parent; its users are listed once more, uncached, before a byte goes."""

    unused_since: datetime


def judge(
    parent: Parent,
    template: Template | None,
    users: Users,
    copies: Iterable[Parent],
    volumes: Iterable[Volume],
    *,
    now: datetime,
) -> Keep | Retire:
    """Keep or retire ``parent``. ``copies`` are all parents of its template, ``volumes`` all volumes.

    The unused time starts when this first says so, and starts anew after each use (CloudStack forgot to:
    marked_for_gc survived a new deployment). Without a template, or with one or a parent that is being deleted, no
    time is granted; users and the last copy are guarded all the same. A fallback on an ordinary pool is granted none
    either: the pool is for disks.
    """
    if users:
        return Keep(KeepReason.IN_USE)
    unwanted = template is None or template.deleting or parent.deleting
    if not unwanted and is_prepared(parent, template):
        return Keep(KeepReason.PREPARED)
    since = read_time(parent.status.unused_since) or now
    if is_last_named_copy(parent, copies, volumes):
        return Keep(KeepReason.LAST_COPY, unused_since=since)
    if template is None or unwanted or parent.spec.fallback:
        return Retire(since)
    retire_time = since + timedelta(seconds=template.spec.retention)
    if now < retire_time:
        return Keep(KeepReason.RETAINED, unused_since=since, retire_time=retire_time)
    return Retire(since)


def is_prepared(parent: Parent, template: Template | None) -> bool:
    """Whether the template wants the copy ahead of any user. Golden templates prepare golden pools only,
    and only copies of the revision that new disks take."""
    return (
        template is not None
        and not parent.spec.fallback
        and parent.spec.pool in template.spec.prepare.pools
        and not superseded(parent, template)
    )


def is_last_named_copy(parent: Parent, copies: Iterable[Parent], volumes: Iterable[Volume]) -> bool:
    """Whether a volume names the parent's revision and no other copy is sure to stay.

    Two unused copies may be judged at the same moment from the same cache. So only a copy that is in use, or that comes
    first (golden before fallback, then by name), counts as staying: both can never choose each other.
    """
    revision = parent.status.revision
    known = list(volumes)
    if not revision or not any(v.status.revision == revision for v in known):
        return False
    return not any(_stays_instead(other, parent, known) for other in copies)


def _stays_instead(other: Parent, parent: Parent, volumes: list[Volume]) -> bool:
    if other.metadata.name == parent.metadata.name or other.deleting:
        return False
    if other.status.state is not ParentState.READY or other.status.revision != parent.status.revision:
        return False
    return _precedence(other) < _precedence(parent) or any(uses_parent(v, other) for v in volumes)


def _precedence(parent: Parent) -> tuple[bool, str]:
    return parent.spec.fallback, parent.metadata.name


def read_time(text: str | None) -> datetime | None:
    """RFC 3339 as the API stores it, in UTC; None for nothing. Raises ValueError."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
