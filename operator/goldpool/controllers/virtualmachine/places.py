"""Places that failed a machine, and the disks that need another one."""

from typing import Any

from goldpool.api.conditions import ConditionType, Reason, is_true, message_of
from goldpool.api.virtualmachine import Avoided
from goldpool.api.volume import DISCARDS_KEPT
from goldpool.controllers.naming import MADE_FOR_ANNOTATION
from goldpool.controllers.verdict import timestamp
from goldpool.controllers.virtualmachine import medium
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.controllers.virtualmachine.pod import tied_host
from goldpool.controllers.virtualmachine.status import Draft


def needing_place(o: Observed, draft: Draft) -> list[DiskView]:
    """Disks without a place, and never used disks whose place has failed."""
    return [
        d
        for d in o.disks
        if d.volume is not None
        and not d.volume.deleting
        and (
            d.volume.spec.storage_id is None
            or failed_where_bound(d)
            or _bound_where_avoided(d, draft)
            or _bound_where_iso_failed(o, d)
        )
    ]


def movable(o: Observed) -> list[DiskView]:
    """Disks that were made for the machine and never used, so that they may follow its ISO to a host that can have it."""
    return [
        d
        for d in o.disks
        if d.volume is not None
        and d.volume.spec.storage_id is not None
        and d.volume.metadata.annotations.get(MADE_FOR_ANNOTATION) == o.machine.metadata.uid
        and not (d.volume.used or d.volume.restored or d.volume.deleting)
        and len(d.volume.status.discards) < DISCARDS_KEPT
    ]


def failed_where_bound(disk: DiskView) -> bool:
    volume = disk.volume
    if volume is None or volume.used or volume.spec.storage_id is None:
        return False
    return volume.status.failure is not None and volume.status.storage_id == volume.spec.storage_id


def _bound_where_avoided(disk: DiskView, draft: Draft) -> bool:
    """A start failed on the host before the disk was opened: its bytes mean nothing yet."""
    volume = disk.volume
    if volume is None or volume.used or volume.spec.placement is None:
        return False
    if volume.spec.placement.volume_uid != volume.metadata.uid:
        return False  # restored: its disk is another object's
    hosts = {a.host for a in draft.get("avoid") if not a.pool}
    return bool(volume.spec.placement.host) and volume.spec.placement.host in hosts


def _bound_where_iso_failed(o: Observed, disk: DiskView) -> bool:
    """Only another host can have the ISO, and a disk that was never used may go there."""
    volume = disk.volume
    if volume is None or volume.used or volume.restored or volume.spec.placement is None:
        return False
    return o.iso is not None and o.iso.host == volume.spec.placement.host != "" and medium.has_failed(o)


def is_permanent(disk: DiskView) -> bool:
    assert disk.volume is not None
    return is_true(disk.volume.status.conditions, ConditionType.STALLED)


def _avoided(o: Observed, disk: DiskView) -> Avoided:
    assert disk.volume is not None
    status, placement = disk.volume.status, disk.volume.spec.placement
    parent_failed = status.failure == "ParentFailed"
    location = (status.parent_location if parent_failed else status.location) or ""
    pool = (placement.parent_pool if parent_failed else placement.pool) if placement else ""
    message = message_of(status.conditions)
    return Avoided(
        location=location or (placement.pool if placement else None) or disk.volume_name,
        host=(placement.host if placement else "") or "",
        pool=pool or "",
        reason=status.failure or "",
        message=message,
        time=timestamp(o.now),
    )


def avoided_host(o: Observed, pod: dict[str, Any], why: str) -> Avoided:
    host = pod["spec"].get("nodeName") or tied_host(o)
    return Avoided(
        location=host or f"pod {pod['metadata']['uid']}",
        host=host,
        pool="",
        reason=Reason.START_FAILED,
        message=why[:1024],
        time=timestamp(o.now),
    )


def last_failure(draft: Draft) -> str:
    entries = draft.get("avoid") or []
    if not entries:
        return "unknown"
    last = entries[-1]
    return f"{last.reason} at {last.location}: {last.message}"


def avoid_failed_places(o: Observed, draft: Draft) -> None:
    """Places where a disk that was never used failed join the avoid set, unless it was just cleared: then they are
    given another chance."""
    if draft.reset:
        return
    for disk in o.disks:
        if failed_where_bound(disk):
            draft.avoid(_avoided(o, disk))
    if medium.has_failed(o):
        draft.avoid(medium.avoided(o))
