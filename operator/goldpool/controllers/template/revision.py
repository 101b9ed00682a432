"""Which revision new disks take, and when the source is fetched anew for another one.

The first published copy decides the first revision; from then on only a copy that was made for fetching anew (its
spec.refetch is the token of status.refetch) can decide another. Both are one write of the template's status, guarded
by its version. Copies of the revision before stay where they are until they have no children.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from goldpool.api.conditions import Reason
from goldpool.api.parent import Parent, ParentState
from goldpool.api.source import FetchedSource, Refetch, SourceFacts, SourceProbe
from goldpool.api.template import RefreshPolicy
from goldpool.controllers.naming import REFETCH_ANNOTATION
from goldpool.controllers.template.asking import facts_of
from goldpool.controllers.template.drift import Drift, drift_of
from goldpool.controllers.template.observed import Observed
from goldpool.controllers.verdict import timestamp
from goldpool.engine.plan import EventKind, Record


@dataclass(frozen=True, slots=True)
class Pin:
    """What the status will say of the revision."""

    revision: str | None
    refetches: int
    refetch: Refetch | None
    asked: str | None
    """The value of goldpool.io/refetch that was acted on."""
    fetched: FetchedSource | None
    drift: Drift
    told: tuple[Record, ...] = ()


def pin_of(o: Observed, current: str, probe: SourceProbe | None) -> Pin:
    before = o.template.status
    revision, refetches, refetch = before.revision, before.refetches or 0, before.refetch
    told: tuple[Record, ...] = ()
    if revision is None:
        first = _first(p for p in _published(o, current) if not p.spec.refetch)
        revision = first.status.revision if first is not None else None
    elif refetch is not None and (brought := _first(_made_for(o, current, refetch))) is not None:
        told = (_brought(o, revision, brought),)
        refetches += brought.status.revision != revision
        revision, refetch = brought.status.revision, None
    fetched = _fetched(o, current, revision)
    drift = drift_of(o, current, fetched, probe)
    pin = Pin(revision, refetches, refetch, before.refetch_asked, fetched, drift, told)
    return _decided(o, current, pin, probe) if before.revision is not None and not told else _heard(o, pin)


def _decided(o: Observed, current: str, pin: Pin, probe: SourceProbe | None) -> Pin:
    """Begins the fetching anew, goes on with it or calls it off."""
    spec = o.template.spec
    asked = o.template.metadata.annotations.get(REFETCH_ANNOTATION)
    anew = asked is not None and asked != pin.asked
    pin = _heard(o, pin)
    if spec.checksum is not None:
        # What it names is what was fetched: other bytes are never those that were meant.
        return replace(pin, refetch=None)
    if anew:
        return _begun(o, pin, f"{REFETCH_ANNOTATION} asks for it", probe, asked=True)
    if pin.refetch is not None and pin.refetch.asked:
        return pin
    if spec.source.refresh_policy is not RefreshPolicy.REFETCH:
        return replace(pin, refetch=None)
    if pin.drift.why is not None and (pin.refetch is None or _is_stuck(o, current, pin.refetch, probe)):
        return _begun(o, pin, pin.drift.why, probe, asked=False)
    if pin.drift.known and pin.drift.why is None:
        return replace(pin, refetch=None)
    return pin


def _heard(o: Observed, pin: Pin) -> Pin:
    return replace(pin, asked=o.template.metadata.annotations.get(REFETCH_ANNOTATION))


def _begun(o: Observed, pin: Pin, why: str, probe: SourceProbe | None, *, asked: bool) -> Pin:
    seen = facts_of(probe) if probe is not None and probe.answered else None
    refetch = Refetch(token=o.tokens[-1], since=timestamp(o.now), why=why[:512], asked=asked, seen=seen)
    note = f"a new revision is fetched beside {(pin.revision or '')[:12]}: {why}"
    return replace(pin, refetch=refetch, told=(Record(o.raw, EventKind.NORMAL, "Refetching", "Fetch", note),))


def _is_stuck(o: Observed, current: str, refetch: Refetch, probe: SourceProbe | None) -> bool:
    """What was served when it began can never be a copy; meanwhile the source serves something else again."""
    made = [p for p in o.parents if p.spec.refetch == refetch.token and p.spec.source_hash == current]
    hopeless = any(p.status.state is ParentState.FAILED and p.status.permanent for p in made)
    return hopeless and probe is not None and bool(probe.answered) and facts_of(probe) != refetch.seen


def _brought(o: Observed, before: str, copy: Parent) -> Record:
    after = copy.status.revision or ""
    if after == before:
        note = f"the source still serves revision {before[:12]}"
    else:
        note = f"new disks take revision {after[:12]} from now on, no longer {before[:12]}"
    return Record(o.raw, EventKind.NORMAL, Reason.REFETCHED, "Fetch", note)


def _published(o: Observed, current: str) -> list[Parent]:
    states = {ParentState.PUBLISHED, ParentState.READY}
    return [
        p for p in o.parents
        if p.spec.source_hash == current and p.status.revision and p.status.state in states
    ]  # fmt: skip


def _made_for(o: Observed, current: str, refetch: Refetch) -> list[Parent]:
    return [p for p in _published(o, current) if p.spec.refetch == refetch.token]


def _first(copies: Iterable[Parent]) -> Parent | None:
    return min(copies, key=lambda p: (p.status.published_time or "", p.metadata.name), default=None)


def _fetched(o: Observed, current: str, revision: str | None) -> FetchedSource | None:
    """Of the newest copy of the revision: validators change when the same bytes are put in place again."""
    before = o.template.status.source.fetched if o.template.status.source is not None else None
    if revision != o.template.status.revision:
        before = None
    copies = [p for p in _published(o, current) if p.status.revision == revision and p.status.published_time]
    if revision is None or not copies:
        return before
    newest = max(copies, key=lambda p: (p.status.published_time or "", p.metadata.name))
    if before is not None and (newest.status.published_time or "") <= before.time:
        return before
    facts = newest.status.source or SourceFacts()
    if before is not None and facts == SourceFacts():
        return before  # it lay there already: nobody heard a server
    return FetchedSource(
        **facts.model_dump(), time=newest.status.published_time or "", verified=newest.status.verified or ""
    )
