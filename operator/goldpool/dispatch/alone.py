"""Operations that get a Job of their own: which kind of Job, under which name, and how many at once. Pure."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from goldpool.contracts.operations import Fetch, Operation, ProbeSource
from goldpool.dispatch.entries import Flight
from goldpool.dispatch.record import JobKind, Lane
from goldpool.dispatch.settings import Limits


def goes_alone(operation: Operation) -> bool:
    """A transfer takes long, and what is mounted for one source is nothing to another."""
    return isinstance(operation, Fetch | ProbeSource)


def kind_of(operation: Operation) -> JobKind:
    match operation:
        case Fetch():
            return JobKind.FETCH
        case ProbeSource():
            return JobKind.PROBE
        case _:
            return JobKind.SLOT


def name_of(operation: Operation) -> str:
    """Fixed by the operation's id, so the same can never be in two Jobs. A valid label value, too."""
    about = operation.parent if isinstance(operation, Fetch) else getattr(operation, "template", "")
    readable = re.sub(r"[^a-z0-9-]+", "-", about)[:36].strip("-")
    digest = hashlib.sha256(operation.id.encode()).hexdigest()[:16]
    return f"{kind_of(operation).value}-{readable}-{digest}"


def has_room(kind: JobKind, lane: Lane, flights: Iterable[Flight], limits: Limits) -> bool:
    """Whether one more Job of the kind may run in the lane. One given up on is on a lost host: it loads that host only."""
    running = [f for f in flights if f.record.kind is kind and not f.stopped]
    on_host = Counter(f.record.lane.host for f in running)[lane.host]
    counted = [f.record.lane for f in running if not f.given_up]
    if kind is JobKind.PROBE:
        return on_host < limits.source_probes_per_host and len(counted) < limits.source_probes
    return (
        on_host < limits.fetches_per_host
        and Counter(other.pool for other in counted)[lane.pool] < limits.fetches_per_pool
        and len(counted) < limits.fetches
    )
