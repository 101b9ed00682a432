"""The steps in which the machine's disks and its ISO get their places."""

from goldpool.api.conditions import Reason
from goldpool.api.virtualmachine import RejectionCount
from goldpool.api.volume import DISCARDS_KEPT
from goldpool.controllers.landscape import Bind, Reserve
from goldpool.controllers.naming import RETRY_ANNOTATION, storage_id
from goldpool.controllers.verdict import busy, stalled
from goldpool.controllers.virtualmachine import medium
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.places import (
    avoid_failed_places,
    last_failure,
    needing_place,
)
from goldpool.controllers.virtualmachine.status import SAID_BY_VOLUMES_SECONDS, Draft
from goldpool.engine.plan import EventKind, Plan, Record
from goldpool.planning.placement import Placement, Unplaceable
from goldpool.planning.references import template_of
from goldpool.planning.views import ISO


def heed_plans(o: Observed, draft: Draft) -> Plan | None:
    """After ten plans that failed, only a person can know what is wrong."""
    plans = draft.get("plans") or 0
    if plans < o.limits.max_plans or draft.get("first_start_time"):
        return None
    message = (
        f"{plans} plans failed; last: {last_failure(draft)}. Change the spec or set a new value of "
        f"{RETRY_ANNOTATION}"
    )
    return Plan(status=draft.status(stalled(Reason.TOO_MANY_PLANS, message), "Failed"))


def await_templates(o: Observed, draft: Draft) -> Plan | None:
    """Without its template a disk would be placed as if it needed no parent."""
    unbound = needing_place(o, draft)
    for disk in unbound:
        assert disk.volume is not None
        name = template_of(disk.volume)
        if name is not None and disk.template is None:
            message = f"Volume {disk.volume_name}: there is no Template {name}"
            return Plan(status=draft.status(busy(Reason.TEMPLATE_NOT_FOUND, message), "Pending"))
        if disk.template is not None and disk.template.deleting:
            message = f"Volume {disk.volume_name}: Template {name} is being deleted"
            return Plan(status=draft.status(stalled(Reason.TEMPLATE_DELETING, message), "Failed"))
        if medium.is_iso(disk.template):
            message = f"Volume {disk.volume_name}: Template {name} is an ISO, and no disk is made of one"
            return Plan(status=draft.status(stalled(Reason.TEMPLATE_IS_ISO, message), "Failed"))
    return medium.await_template(o, draft, moving=bool(unbound))


def await_placement(o: Observed, draft: Draft) -> Plan | None:
    """All disks that need a place get it in one plan: one guarded write each, which is the reservation. So does the ISO,
    by the status of the same pass."""
    unbound = needing_place(o, draft)
    if not unbound and not medium.needs_place(o, draft, moving=False):
        return None
    for disk in unbound:
        assert disk.volume is not None
        if len(disk.volume.status.discards) >= DISCARDS_KEPT:
            message = f"Volume {disk.volume_name}: {DISCARDS_KEPT} disks of earlier bindings are to be removed first"
            return Plan(status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, message), "Pending"))
    avoid_failed_places(o, draft)
    if (stop := heed_plans(o, draft)) is not None:
        return stop
    match o.placement:
        case None:
            return Plan(
                status=draft.status(busy(Reason.PLANNING, "a place is being chosen"), "Pending"),
                again_after=0,
            )
        case Unplaceable():
            return _nowhere(o, draft, o.placement)
        case Placement():
            return _bind(o, draft, o.placement)


def _nowhere(o: Observed, draft: Draft, refusal: Unplaceable) -> Plan:
    counts = [RejectionCount(reason=str(x), count=n, example=e) for x, n, e in refusal.counts()]
    before = {x.reason: x.count for x in draft.get("rejections")}
    sentence = refusal.sentence()
    told: tuple[Record, ...] = ()
    if before != {x.reason: x.count for x in counts} or not counts:
        # Free percentages change all the time; what a person should hear again is another reason, or another number.
        told = (Record(o.raw, EventKind.WARNING, Reason.NOT_PLACEABLE, "Plan", sentence),)
    draft.set(rejections=counts)
    return Plan(effects=told, status=draft.status(busy(Reason.NOT_PLACEABLE, sentence), "Pending"))


def _bind(o: Observed, draft: Draft, placement: Placement) -> Plan:
    by_name = {p.disk: p for p in placement.disks}
    pinned = placement.hosts[0] if len(placement.hosts) == 1 else ""
    iso = by_name.pop(ISO, None)  # which ties this start to a host, and no disk
    tied = any(p.host for p in by_name.values())
    effects: list[object] = []
    if iso is not None:
        inserted = medium.placed(o, iso)
        effects.append(Reserve(o.machine, (inserted.template, inserted.location)))
        draft.set(iso=inserted)
    placed = [d for d in o.disks if d.name in by_name]
    for disk, token in zip(placed, o.tokens, strict=False):
        assert disk.volume is not None
        place = by_name[disk.name]
        # One feasible host may be chance on Shared pools: only bytes on a host tie the machine to it.
        pin = place.host or (pinned if tied or place.parent_location in o.local_parents else "")
        effects.append(Bind.of(disk.volume, place, storage_id(token), pin=pin))
    on = f" on {pinned}" if pinned else ""
    why = f" ({placement.why})" if placement.why else ""
    told = Record(o.raw, EventKind.NORMAL, Reason.PLACED, "Plan", f"placed{on}: {placement.sentence()}{why}")
    draft.set(rejections=[])
    if iso is None and draft.may_be_left_out():
        return Plan(effects=(*effects, told), again_after=SAID_BY_VOLUMES_SECONDS)
    stands_in = " with a fallback's parent" if any(p.fallback for p in placement.disks) else ""
    return Plan(
        effects=(*effects, told),
        status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, f"placed{on}{stands_in}"), "Provisioning"),
        again_after=0 if iso is not None else None,  # its place is in the status, which wakes nobody
    )
