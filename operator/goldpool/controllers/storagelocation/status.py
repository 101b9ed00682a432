"""The status of a location: what was, plus what this pass found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from goldpool.api.storagelocation import StorageLocationStatus
from goldpool.contracts.facts import LocationState
from goldpool.contracts.operations import Known
from goldpool.controllers import abandonment
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.verdict import Verdict, conditions, timestamp


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the last comparison found, without what has been explained since."""

    time: str | None
    missing: tuple[str, ...]
    missing_total: int
    orphans: tuple[str, ...]
    orphans_total: int


def inspection_of(o: Observed) -> Inspected:
    """Objects change between a Probe and now: only what they still say counts."""
    before = o.location.status
    known = o.known if o.known is not None else Known()
    found = o.facts.inspection if o.facts is not None else None
    if found is not None and o.facts_time is not None:
        time: str | None = timestamp(o.facts_time)
        missing, missing_total = found.missing, found.missing_total
        orphans, orphans_total = found.unknown, found.unknown_total
    else:
        time = before.inspected_time
        missing, missing_total = tuple(before.missing), before.missing_total or 0
        orphans, orphans_total = tuple(before.orphans), before.orphans_total or 0
    ours = {*known.present, *known.transient}
    still_missing = tuple(name for name in missing if name in known.present)
    still_orphans = tuple(name for name in orphans if name.rpartition("/")[2] not in ours)
    return Inspected(
        time,
        still_missing,
        missing_total - len(missing) + len(still_missing),
        still_orphans,
        orphans_total - len(orphans) + len(still_orphans),
    )


def away(o: Observed) -> str:
    """Who does not answer, and what to do about it."""
    host = o.location.spec.host
    if not host:
        return "every host of the pool is not ready"
    what = f"node {host} is not ready" if o.node is not None else f"node {host} was deleted"
    if o.given_up:
        return f"{what}; it was given up: deletions of what was here do not wait for it"
    return what + way_out(o)


def way_out(o: Observed) -> str:
    name = o.location.metadata.name
    return abandonment.way_out(o.location.metadata.annotations, o.place, f"storagelocation {name}")


def status(
    o: Observed,
    verdict: Verdict,
    *,
    initialized: bool = False,
    attempts: int | None = None,
    node_uid: str | None = None,
    probed: datetime | None = None,
) -> dict[str, Any]:
    before = o.location.status
    facts = o.facts if o.facts is not None and o.facts.state is LocationState.OK else None
    total = facts.total_bytes if facts else before.total
    free = facts.free_bytes if facts else before.free
    inspected = inspection_of(o)
    used = (total - (free or 0)) if total else None
    return StorageLocationStatus(
        observed_generation=o.location.metadata.generation,
        phase="Terminating" if o.location.deleting else str(verdict.reason),
        conditions=conditions(
            verdict, previous=before.conditions, generation=o.location.metadata.generation, now=o.now
        ),
        initialized_time=before.initialized_time or (timestamp(o.now) if initialized else None),
        node_uid=node_uid or before.node_uid or (o.node.uid if o.node and initialized else None),
        total=total,
        free=free,
        used_percent=f"{used * 100 // total}%" if total and used is not None else None,
        probe_time=timestamp(probed)
        if probed
        else (timestamp(o.now) if initialized or attempts else before.probe_time),
        attempts=None if initialized else attempts if attempts is not None else before.attempts,
        inspected_time=_inspected_time(o, inspected, initialized=initialized),
        missing=list(inspected.missing),
        missing_total=inspected.missing_total or None,
        orphans=list(inspected.orphans),
        orphans_total=inspected.orphans_total or None,
        parents=o.parents,
        volumes=o.volumes,
        blockers=list(o.users[:10]) if o.location.deleting else [],
        blockers_total=len(o.users) if o.location.deleting else None,
    ).to_dict()


def _inspected_time(o: Observed, inspected: Inspected, *, initialized: bool) -> str | None:
    """A new location holds nothing; of one that was given up nobody knows what it still holds."""
    if initialized:
        return None if o.given_up else timestamp(o.now)
    return inspected.time
