"""What a volume needs next."""

from typing import Any, Final

from goldpool.api.conditions import Reason, message_of, why_stalled
from goldpool.api.model import format_quantity
from goldpool.api.parent import ParentState
from goldpool.api.template import TemplateFormat
from goldpool.api.volume import DISCARDS_KEPT, Discarded, Volume, VolumeStatus
from goldpool.contracts.layout import ImageFormat, Owner
from goldpool.contracts.operations import CreateBlank, CreateChild, Operation
from goldpool.contracts.report import PERMANENT
from goldpool.controllers.backing import HOST_AWAY_SECONDS
from goldpool.controllers.landscape import Bind
from goldpool.controllers.naming import FINALIZER, MADE_FOR_ANNOTATION, OperationIds, storage_id
from goldpool.controllers.verdict import (
    Verdict,
    busy,
    conditions,
    good,
    seconds_since,
    stalled,
    timestamp,
    waiting,
)
from goldpool.controllers.volume.adoption import adopt, finish
from goldpool.controllers.volume.asking import ask
from goldpool.controllers.volume.discarding import discard
from goldpool.controllers.volume.observed import Observed, Place
from goldpool.controllers.volume.removal import removal
from goldpool.controllers.volume.status import left, status_of
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import AddFinalizer, EventKind, Plan, Record
from goldpool.kube import resources as r
from goldpool.planning.backoff import delay
from goldpool.planning.placement import DiskPlacement, Unplaceable
from goldpool.planning.references import template_of
from goldpool.planning.revisions import superseded

_SOON_BOUND_SECONDS: Final = 3.0
"""How long a volume that a machine made waits for that machine before it says that it waits."""


def plan(o: Observed) -> Plan:
    """What the volume needs next."""
    volume = o.volume
    if volume.deleting:
        return discard(o, removal(o)) if FINALIZER in volume.metadata.finalizers else Plan()
    if volume.spec.storage_id is None and (refusal := _refusal(o)) is not None:
        return refusal
    if volume.spec.storage_id is None and isinstance(o.direct, DiskPlacement):
        return _bind_at_once(o, o.direct)
    if FINALIZER not in volume.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.VOLUME, o.raw, FINALIZER),))
    if volume.spec.storage_id is None:
        return _unbound(o)
    if volume.restored:
        return adopt(o)
    return discard(o, _bound(o))


def _refusal(o: Observed) -> Plan | None:
    """Said at once, and not after its bytes were fetched."""
    if o.template is None or o.template.spec.format is not TemplateFormat.ISO:
        return None
    message = (
        f"Template {template_of(o.volume)} is an ISO, and no disk is made of one: name it in a machine's spec.iso, and make "
        "an empty volume instead"
    )
    return Plan(status=status_of(o, stalled(Reason.TEMPLATE_IS_ISO, message)))


def _bound(o: Observed) -> Plan:
    status = o.volume.status
    if status.storage_id not in {None, o.volume.spec.storage_id}:
        return _rebound(o)
    if status.created_time is None:
        return finish(o) if o.volume.adopted else _make(o)
    return Plan(status=status_of(o, _use(o), used_by=o.holder_name or o.holder or None))


def _bind_at_once(o: Observed, placement: DiskPlacement) -> Plan:
    """The finalizer comes with the binding: nothing is made before it, and a thousand volumes are a thousand writes
    fewer."""
    missing = "" if FINALIZER in o.volume.metadata.finalizers else FINALIZER
    bind = Bind.of(o.volume, placement, storage_id(o.token), pin=placement.host, finalizer=missing)
    return Plan(effects=(bind,))


def _unbound(o: Observed) -> Plan:
    if o.template is None and (wanted := template_of(o.volume)):
        return Plan(status=status_of(o, busy(Reason.TEMPLATE_NOT_FOUND, f"there is no Template {wanted}")))
    if isinstance(o.direct, Unplaceable):
        return Plan(status=status_of(o, busy(Reason.NOT_PLACEABLE, o.direct.sentence())))
    age = seconds_since(o.volume.metadata.creation_timestamp, o.now)
    if MADE_FOR_ANNOTATION in o.volume.metadata.annotations and age < _SOON_BOUND_SECONDS:
        # Its machine made it to bind it: a status now would only make that write lose its race.
        return Plan(again_after=_SOON_BOUND_SECONDS - age)
    message = (
        "the volume gets its place when a machine first needs it, or when spec.placement names pool and host"
    )
    return Plan(status=status_of(o, waiting(Reason.WAITING_FOR_CONSUMER, message)))


def _rebound(o: Observed) -> Plan:
    """Bound anew before it was ever used: the old file, if any, is discarded while the new one is made."""
    before, discards = o.volume.status, left(o)
    assert before.storage_id is not None
    if before.location:
        if len(discards) >= DISCARDS_KEPT:
            message = (
                f"{len(discards)} disks of earlier bindings are to be removed before the next one is given up"
            )
            return Plan(status=status_of(o, busy(Reason.CREATING, message)))
        discards.append(Discarded(location=before.location, storage_id=before.storage_id))
    fresh = VolumeStatus(
        observed_generation=o.volume.metadata.generation,
        phase="Pending",
        conditions=conditions(
            busy(Reason.CREATING, "bound anew"), previous=before.conditions,
            generation=o.volume.metadata.generation, now=o.now,
        ),
        storage_id=o.volume.spec.storage_id,
        discards=discards,
    )  # fmt: skip
    return Plan(status=fresh.to_dict(), again_after=0)


def _make(o: Observed) -> Plan:
    volume = o.volume
    if o.place is None:
        return Plan(
            status=status_of(
                o, busy(Reason.VOLUME_FAILED, "its pool or location is gone"), failure="PoolGone"
            )
        )
    attempt = volume.status.attempts or 0
    storage = volume.spec.storage_id or ""
    operation = OperationIds.create(storage, attempt)
    place = o.place
    bound: dict[str, Any] = {
        "storage_id": storage,
        "location": place.location.metadata.name,
        "parent_location": o.parent_location,
    }
    match o.creation:
        case Succeeded():
            done = {"created_time": timestamp(o.now), "capacity": _size(o), "failure": None}
            return Plan(
                status=status_of(o, good(Reason.BOUND, "the disk is made"), **bound, **done),
                afterwards=(Settle(operation),),
            )
        case Failed(reason=reason, message=message, permanent=permanent):
            pause = delay(attempt + 1, 0.5, first=o.base_seconds)
            told = Record(o.raw, EventKind.WARNING, str(reason), "Create", message)
            verdict = (
                stalled(Reason.VOLUME_FAILED, message) if permanent else busy(Reason.VOLUME_FAILED, message)
            )
            return Plan(
                effects=(told,),
                status=status_of(o, verdict, **bound, failure=str(reason), attempts=attempt + 1),
                afterwards=(Settle(operation),),
                again_after=None if permanent else pause,
            )
    if o.creation is None and volume.status.failure in PERMANENT:
        # Whatever woke the volume: the same operation cannot succeed here.
        return Plan(
            status=volume.status.model_copy(update={"first_used_time": None, "discards": left(o)}).to_dict()
        )
    if template_of(volume):
        made = _child(o, place, operation, bound)
        if isinstance(made, Plan):
            return made
        request: Operation = made
    else:
        assert volume.spec.size is not None  # the schema: an empty disk has a size
        request = CreateBlank(
            id=operation, location=place.location.metadata.name, storage_id=storage, owner=_owner(volume),
            virtual_bytes=volume.spec.size,
        )  # fmt: skip
    if place.host is None:
        return Plan(
            status=status_of(o, busy(Reason.WAITING_FOR_HOST, "its host is not ready"), **bound),
            again_after=HOST_AWAY_SECONDS,
        )
    return Plan(
        effects=(ask(o, place, place.host, request),),
        status=status_of(o, _being_made(place), **bound),
    )


def _child(o: Observed, place: Place, operation: str, bound: dict[str, Any]) -> CreateChild | Plan:
    """The request, or what it still waits for. The volume names its parent first and reads it afresh then: from that
    moment the parent's removal sees the volume, or the volume sees the removal. Once a disk was asked for the name stays
    until that has ended: a disk over this parent may be there already."""
    volume, status = o.volume, o.volume.status
    if o.template is None:
        return Plan(
            status=status_of(
                o, busy(Reason.TEMPLATE_NOT_FOUND, f"there is no Template {template_of(volume)}"), **bound
            )
        )
    ready = [
        p for p in o.candidates
        if p.status.state is ParentState.READY and not p.deleting and p.status.revision == o.template.status.revision
    ]  # fmt: skip
    if status.parent is None:
        if not ready:
            return Plan(status=_await_parent(o, bound))
        chosen = min(ready, key=lambda p: p.metadata.name)
        named = {"parent": chosen.metadata.name, "revision": chosen.status.revision}
        return Plan(status=status_of(o, _being_made(place), **bound, **named), again_after=0)
    parent = o.fresh_parent
    if (
        parent is None
        or (parent.deleting and o.creation is None and not status.attempts)
        or parent.status.state is not ParentState.READY
        or parent.status.revision != status.revision
    ):
        if o.creation is not None:
            return Plan(status=status_of(o, _being_made(place), **bound))
        none: dict[str, Any] = {"parent": None, "revision": None}
        gone = busy(Reason.WAITING_FOR_PARENT, f"Parent {status.parent} is going; another copy is needed")
        return Plan(status=status_of(o, gone, **bound, **none), again_after=1)
    virtual = parent.status.virtual_size or 0
    size = volume.spec.size or virtual
    if size < virtual:
        message = (
            f"spec.size {format_quantity(size)} is below the virtual size "
            f"{format_quantity(virtual)} of Template {parent.spec.template}"
        )
        return Plan(
            status=status_of(o, stalled(Reason.SIZE_TOO_SMALL, message), **bound, failure="SizeTooSmall")
        )
    return CreateChild(
        id=operation,
        location=place.location.metadata.name,
        storage_id=volume.spec.storage_id or "",
        owner=_owner(volume),
        virtual_bytes=size,
        parent=parent.metadata.name,
        parent_location=parent.spec.location,
        parent_format=ImageFormat(parent.spec.format),
        parent_virtual_bytes=virtual,
        revision=parent.status.revision or "",
    )


def _being_made(place: Place) -> Verdict:
    """The same from the moment its parent is named: the pass that asks for the disk then has nothing to write."""
    return busy(Reason.CREATING, f"the disk is being made in {place.pool.metadata.name}")


def _size(o: Observed) -> int | None:
    """What was made: the size asked for, else the parent's."""
    parent = o.fresh_parent
    return o.volume.spec.size or (parent.status.virtual_size if parent else None)


def _await_parent(o: Observed, bound: dict[str, Any]) -> dict[str, Any]:
    copies = [p for p in o.candidates if o.template is None or not superseded(p, o.template)]
    failed = [p for p in copies if p.status.state is ParentState.FAILED]
    if o.template is not None and o.template.deleting:
        return status_of(
            o,
            stalled(Reason.TEMPLATE_DELETING, f"Template {template_of(o.volume)} is being deleted"),
            **bound,
        )
    if o.template is not None and (why := why_stalled(o.template.status.conditions)) is not None:
        return status_of(o, stalled(Reason.TEMPLATE_FAILED, why), **bound, failure="TemplateFailed")
    if failed:
        # Final for this binding only: the disk was never used, so the machine's planner may bind it anew.
        why = message_of(failed[0].status.conditions)
        return status_of(o, busy(Reason.PARENT_FAILED, why), **bound, failure="ParentFailed")
    message = f"Template {template_of(o.volume)} is being fetched to {o.parent_location}"
    return status_of(o, busy(Reason.WAITING_FOR_PARENT, message), **bound, failure=None)


def _owner(volume: Volume) -> Owner:
    return Owner(namespace=volume.metadata.namespace, name=volume.metadata.name, uid=volume.metadata.uid)


def _use(o: Observed) -> Verdict:
    if o.lost:
        assert o.place is not None
        message = (
            f"volumes/{o.volume.spec.storage_id} is not at {o.place.location.metadata.name} any more; it is never made "
            "anew: restore it there, or delete the volume"
        )
        return stalled(Reason.VOLUME_LOST, message)
    if o.parent is not None and o.parent.status.state not in {ParentState.READY, ParentState.RETIRING}:
        return busy(
            Reason.PARENT_LOST, f"Parent {o.parent.metadata.name}: {message_of(o.parent.status.conditions)}"
        )
    if o.holder:
        return good(Reason.IN_USE, f"held by {o.holder_name or o.holder}")
    return good(Reason.BOUND, "the disk is made")
