"""The status of a location: what was, plus what this pass found."""

from datetime import datetime
from typing import Any

from goldpool.api.storagelocation import StorageLocationStatus
from goldpool.contracts.operations import LocationState
from goldpool.controllers.storagelocation.observed import Observed
from goldpool.controllers.verdict import Verdict, conditions, timestamp


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
        parents=o.parents,
        volumes=o.volumes,
        blockers=list(o.users[:10]) if o.location.deleting else [],
        blockers_total=len(o.users) if o.location.deleting else None,
    ).to_dict()
