"""What a pass writes down of a pool."""

from typing import Any, Final

from goldpool.api.conditions import ConditionStatus, ConditionType, Reason, is_true
from goldpool.api.references import CopyException
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import PoolState, StoragePoolStatus
from goldpool.controllers.storagepool.locations import hosts_with_location
from goldpool.controllers.storagepool.observed import Observed
from goldpool.controllers.verdict import Verdict, busy, conditions, good

_EXCEPTIONS: Final = 20


def verdict_of(o: Observed) -> Verdict:
    wanted, usable = len(hosts_with_location(o)), sum(map(_usable, o.locations))
    if o.pool.spec.state is not PoolState.ENABLED:
        reason = Reason.DISABLED if o.pool.spec.state is PoolState.DISABLED else Reason.MAINTENANCE
        return good(reason, f"spec.state is {o.pool.spec.state}: nothing new is placed here")
    if wanted == 0:
        return busy(Reason.NO_HOSTS, "no node matches spec.hostSelector.matchLabels")
    if usable == wanted:
        return good(Reason.READY, f"{usable} of {wanted} locations can be used")
    problems = "; ".join(f"{e.host or e.location}: {e.message or e.reason}" for e in _exceptions(o)[:3])
    reason = (
        Reason.INITIALIZING
        if all(x.status.initialized_time is None for x in o.locations)
        else Reason.HOSTS_NOT_READY
    )
    return busy(
        reason, f"{usable} of {wanted} locations can be used; {problems or 'hosts are being prepared'}"
    )


def status_of(o: Observed, verdict: Verdict) -> dict[str, Any]:
    total = sum(x.status.total or 0 for x in o.locations)
    used = total - sum(x.status.free or 0 for x in o.locations)
    usable, wanted = sum(map(_usable, o.locations)), len(hosts_with_location(o))
    return StoragePoolStatus(
        observed_generation=o.pool.metadata.generation,
        phase=_phase(o, verdict, usable),
        conditions=conditions(
            verdict, previous=o.pool.status.conditions, generation=o.pool.metadata.generation, now=o.now
        ),
        hosts=f"{usable}/{wanted}",
        hosts_ready=usable,
        hosts_wanted=wanted,
        total=total,
        used=used,
        used_percent=f"{used * 100 // total}%" if total else None,
        parents=o.parents_ready,
        children=o.children,
        volumes=o.volumes,
        exceptions=_exceptions(o),
        blockers=list(o.users.blockers) if o.pool.deleting else [],
        blockers_total=o.users.total if o.pool.deleting else None,
    ).to_dict()


def _usable(location: StorageLocation) -> bool:
    return is_true(location.status.conditions, ConditionType.READY)


def _exceptions(o: Observed) -> list[CopyException]:
    return [
        CopyException(location=x.metadata.name, host=x.spec.host, reason=c.reason, message=c.message)
        for x in sorted(o.locations, key=lambda x: x.spec.host)
        for c in x.status.conditions
        if c.type == ConditionType.READY and c.status is not ConditionStatus.TRUE
    ][:_EXCEPTIONS]


def _phase(o: Observed, verdict: Verdict, usable: int) -> str:
    if o.pool.deleting:
        return "Terminating"
    if verdict.stalled:
        return "Failed"
    if verdict.ready:
        return "Ready" if verdict.reason is Reason.READY else str(verdict.reason)
    return "Degraded" if usable else "Initializing"
