"""A restored object: it takes over the disk of the object that was backed up, and never makes one."""

from typing import Any, Final

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.api.volume import Volume
from goldpool.contracts.layout import Owner
from goldpool.contracts.operations import Adopt
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import OperationIds, lease_name
from goldpool.controllers.verdict import busy, good, stalled, timestamp
from goldpool.controllers.volume.asking import ask
from goldpool.controllers.volume.observed import Observed
from goldpool.controllers.volume.status import status_of
from goldpool.controllers.world import World
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import EventKind, Patch, Plan, Record
from goldpool.kube import resources as r
from goldpool.planning.references import template_of

_LOOK_SECONDS: Final = 60
"""Between two tries: what is in the way goes without a word to this object."""


async def rivals_of(world: World, volume: Volume) -> tuple[str, ...]:
    """Who has the disk beside this object: another Volume, a machine by its claim, a pod, a Job."""
    disk, place = volume.spec.storage_id or "", volume.spec.placement
    found = await world.kube.list(r.VOLUME, fields=f"spec.storageID={disk}")
    others = [
        f"Volume {x['metadata']['namespace']}/{x['metadata']['name']}"
        for x in found
        if x["metadata"]["uid"] != volume.metadata.uid
    ]
    data = world.settings.data_namespace
    lease = await world.refresh(
        r.LEASE, lease_name(place.volume_uid if place and place.volume_uid else ""), data
    )
    if lease is not None:
        notes = lease["metadata"].get("annotations") or {}
        others.append(f"VirtualMachine {notes.get('goldpool.io/holder', 'unknown')}")
    for pod in await world.fresh_pods():
        mounts = [m for c in pod["spec"].get("containers", ()) for m in c.get("volumeMounts", ())]
        if any(m["mountPath"].endswith(f"/{disk}") for m in mounts):
            others.append(f"Pod {pod['metadata']['name']}")
    others += [f"Job {name}" for name in await world.dispatcher.users_of(disk)]
    return tuple(sorted(others))


def adopt(o: Observed) -> Plan:
    """The disk says whose it is: the sidecar must name this namespace and name, and nobody else may have it."""
    volume = o.volume
    disk = volume.spec.storage_id or ""
    operation = OperationIds.adopt(disk, volume.metadata.uid)
    if volume.adopted:
        # Recorded first: from here on no crash can take the disk for one that is still to be made.
        bound = {"spec": {"placement": {"volumeUID": volume.metadata.uid}}}
        metadata = volume.metadata
        patch = Patch(r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, bound)
        return Plan(effects=(patch,), afterwards=(Settle(operation),))
    if o.place is None:
        return _waits(o, "its pool or location is gone")
    match o.adoption:
        case Succeeded(adopted=found) if found is not None:
            told = Record(
                o.raw, EventKind.NORMAL, Reason.VOLUME_RESTORED, "Adopt", f"took over volumes/{disk}"
            )
            status = status_of(
                o,
                busy(Reason.VOLUME_RESTORED, "the disk was taken over"),
                adopted_uid=volume.metadata.uid,
                storage_id=disk,
                location=o.place.location.metadata.name,
                parent_location=o.parent_location if found.parent else None,
                revision=found.revision or None,
                capacity=found.virtual_bytes,
                created_time=None,
                parent=None,
                failure=None,
            )
            return Plan(effects=(told,), status=status, again_after=0)
        case Succeeded():
            return Plan(afterwards=(Settle(operation),), again_after=0)
        case Failed(reason=reason, message=message):
            missing = reason is FailureReason.VOLUME_MISSING
            verdict = stalled(Reason.VOLUME_LOST if missing else Reason.VOLUME_RESTORED, message)
            return Plan(
                status=status_of(o, verdict), afterwards=(Settle(operation),), again_after=_LOOK_SECONDS
            )
    if o.rivals:
        return _waits(o, f"its disk {disk} belongs to {', '.join(o.rivals[:3])}: delete that, or this object")
    if o.place.host is None:
        return Plan(
            status=status_of(o, busy(Reason.WAITING_FOR_HOST, "its host is not ready")),
            again_after=_LOOK_SECONDS,
        )
    metadata = volume.metadata
    request = Adopt(
        id=operation,
        location=o.place.location.metadata.name,
        storage_id=disk,
        owner=Owner(namespace=metadata.namespace, name=metadata.name, uid=metadata.uid),
    )
    return Plan(
        effects=(ask(o, o.place, o.place.host, request),),
        status=status_of(o, busy(Reason.VOLUME_RESTORED, f"its disk {disk} is being taken over")),
    )


def finish(o: Observed) -> Plan:
    """The disk is ours. A child needs a copy of its revision, any one: named first and read afresh then, as for a child
    that is made."""
    status = o.volume.status
    if not status.revision:
        return _made(o)
    template = template_of(o.volume)
    if o.template is not None and not _has_copies(o):
        message = f"it is a child of revision {status.revision}, but Template {template} has another one, and no copy"
        return Plan(status=status_of(o, stalled(Reason.REVISION_MISMATCH, message)))
    fresh = o.fresh_parent
    if (
        fresh is not None
        and not fresh.deleting
        and fresh.status.state is ParentState.READY
        and fresh.status.revision == status.revision
    ):
        return _made(o)
    ready = [
        p.metadata.name
        for p in o.candidates
        if p.status.state is ParentState.READY and not p.deleting and p.status.revision == status.revision
    ]
    if not ready or status.parent in ready:
        verdict = busy(
            Reason.WAITING_FOR_PARENT, f"Template {template} is being fetched to {o.parent_location}"
        )
        gone: dict[str, Any] = {"parent": None, "parent_location": o.parent_location}
        return Plan(status=status_of(o, verdict, **gone), again_after=1 if ready else None)
    named = status_of(
        o, busy(Reason.CREATING, "the parent is there"), parent=min(ready), parent_location=o.parent_location
    )
    return Plan(status=named, again_after=0)


def _has_copies(o: Observed) -> bool:
    """A template that was fetched anew keeps copies of an earlier revision for the children they have."""
    assert o.template is not None
    wanted = o.volume.status.revision
    return o.template.status.revision in {None, wanted} or any(
        p.status.revision == wanted and not p.deleting for p in o.candidates
    )


def _made(o: Observed) -> Plan:
    return Plan(
        status=status_of(o, good(Reason.BOUND, "the disk was taken over"), created_time=timestamp(o.now))
    )


def _waits(o: Observed, why: str) -> Plan:
    message = f"the object was restored: {why}; nothing was touched"
    return Plan(status=status_of(o, stalled(Reason.VOLUME_RESTORED, message)), again_after=_LOOK_SECONDS)
