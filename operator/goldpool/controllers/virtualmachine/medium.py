"""The ISO in a machine's CD drive: where its copy is, and when the machine may start with it.

Unlike a disk it is nothing of the machine's own. So its place is chosen anew whenever it cannot serve, also for a machine
that has run before, and ``status.iso`` is all there is of it. It is set and changed only while there is no pod: what a pod
reads stays named until its end is proven.
"""

from typing import Final

from goldpool.api.conditions import Reason, message_of, why_stalled
from goldpool.api.parent import Parent, ParentState
from goldpool.api.storagepool import PoolState
from goldpool.api.template import Template, TemplateFormat
from goldpool.api.virtualmachine import Avoided, InsertedIso
from goldpool.controllers.verdict import busy, stalled, timestamp
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.pod import pinned_host
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import Plan
from goldpool.planning.placement import DiskPlacement

_ON_ITS_WAY: Final = (None, ParentState.PENDING, ParentState.FETCHING, ParentState.PUBLISHED)
_GOING_SECONDS: Final = 1.0


def needs_place(o: Observed, draft: Draft, *, moving: bool) -> bool:
    """``moving``: disks of the machine are being placed, and the ISO must be in reach of the same host."""
    if o.machine.spec.iso is None:
        return False
    iso: InsertedIso | None = draft.get("iso")
    return iso is None or moving or has_failed(o) or _cannot_serve(o, iso)


def has_failed(o: Observed) -> bool:
    """It could not be fetched to its place. The place is kept until there is another: the fetch is tried again."""
    if o.iso is None or o.medium is None or _is_there(o, o.iso):
        return False
    states = {p.status.state for p in o.medium.copies}
    return ParentState.FAILED in states and ParentState.READY not in states


def _cannot_serve(o: Observed, iso: InsertedIso) -> bool:
    medium, tied = o.medium, pinned_host(o.disks)
    if medium is None or medium.mount is None or medium.pool is None:
        return True
    if medium.pool.spec.state is PoolState.MAINTENANCE or medium.pool.deleting:
        return True
    if not iso.host:
        return False
    if tied:
        return tied != iso.host
    return o.host_node is None or not o.host_node.ready or o.host_node.cordoned


def avoided(o: Observed) -> Avoided:
    assert o.iso is not None
    assert o.medium is not None
    failed = next(p for p in o.medium.copies if p.status.state is ParentState.FAILED)
    return Avoided(
        location=o.iso.location,
        host=o.iso.host,
        pool=o.iso.pool,
        reason=Reason.PARENT_FAILED,
        message=message_of(failed.status.conditions),
        time=timestamp(o.now),
    )


def is_iso(template: Template | None) -> bool:
    return template is not None and template.spec.format is TemplateFormat.ISO


def await_template(o: Observed, draft: Draft, *, moving: bool) -> Plan | None:
    """Asked while the ISO is not there: a copy that is does not need its template any more."""
    wanted, medium = o.machine.spec.iso, o.medium
    if wanted is None or medium is None:
        return None
    name, template = wanted.template_ref.name, medium.template
    if template is not None and not is_iso(template):
        message = f"spec.iso: Template {name} is of format {template.spec.format}, not iso: name another one, or none"
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_IS_NO_ISO, message), "Failed"))
    if _is_there(o, draft.get("iso")) and not needs_place(o, draft, moving=moving):
        return None
    if template is None:
        message = f"spec.iso: there is no Template {name}"
        return Plan(status=draft.status(busy(Reason.TEMPLATE_NOT_FOUND, message), "Pending"))
    if template.deleting:
        message = f"spec.iso: Template {name} is being deleted"
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_DELETING, message), "Failed"))
    if (bad := why_stalled(template.status.conditions)) is not None:
        message = f"spec.iso: Template {name}: {bad}"
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_FAILED, message), "Failed"))
    return None


def placed(o: Observed, place: DiskPlacement) -> InsertedIso:
    assert o.machine.spec.iso is not None
    return InsertedIso(
        template=o.machine.spec.iso.template_ref.name,
        pool=place.pool,
        host=place.host,
        location=place.location,
    )


def await_medium(o: Observed, draft: Draft) -> Plan | None:
    """The machine names its copy first, and the pass that makes the pod reads it from the API server: from then on the
    copy's removal sees the machine, or the machine sees the removal."""
    iso: InsertedIso | None = draft.get("iso")
    if o.machine.status.iso is not None and iso is None:
        # Said before there is a pod: what is recorded then is what the pod has.
        verdict = busy(Reason.STARTING, "the CD drive is emptied")
        return Plan(status=draft.status(verdict, "Provisioning"), again_after=0)
    if o.machine.spec.iso is None or iso is None or o.medium is None:
        return None
    if iso.parent is None:
        ready = [p for p in o.medium.copies if _may_be_named(p, o.medium.template)]
        if not ready:
            message = f"Template {iso.template} is being fetched to {iso.location} for the CD drive"
            return Plan(status=draft.status(busy(Reason.WAITING_FOR_PARENT, message), "Provisioning"))
        chosen = min(ready, key=lambda p: p.metadata.name)
        named = {"parent": chosen.metadata.name, "revision": chosen.status.revision}
        draft.set(iso=iso.model_copy(update=named))
        message = f"Template {iso.template} is at {iso.location}"
        return Plan(
            status=draft.status(busy(Reason.WAITING_FOR_PARENT, message), "Provisioning"), again_after=0
        )
    if _is_there(o, iso):
        return None
    parent = o.medium.parent
    if parent is not None and not parent.deleting and parent.status.state in _ON_ITS_WAY:
        message = f"{iso.parent}: {message_of(parent.status.conditions)}"
        return Plan(status=draft.status(busy(Reason.WAITING_FOR_PARENT, message), "Pending"))
    draft.set(iso=iso.model_copy(update={"parent": None, "revision": None}))
    message = f"Parent {iso.parent} is going; another copy is needed"
    return Plan(
        status=draft.status(busy(Reason.WAITING_FOR_PARENT, message), "Pending"), again_after=_GOING_SECONDS
    )


def _may_be_named(parent: Parent, template: Template | None) -> bool:
    return (
        parent.status.state is ParentState.READY
        and not parent.deleting
        and template is not None
        and parent.status.revision == template.status.revision
    )


def _is_there(o: Observed, iso: InsertedIso | None) -> bool:
    parent = o.medium.parent if o.medium is not None else None
    return (
        iso is not None
        and parent is not None
        and parent.metadata.name == iso.parent
        and parent.status.state is ParentState.READY
        and not parent.deleting
        and parent.status.revision == iso.revision
    )


def change_to_come(o: Observed) -> str:
    """What the next start will change about a machine that runs; for the end of a sentence."""
    wanted = o.machine.spec.iso.template_ref.name if o.machine.spec.iso else ""
    there = o.iso.template if o.iso else ""
    if wanted == there:
        return ""
    if not wanted:
        return f"; ISO {there} stays in its drive until it is restarted"
    return f"; ISO {wanted} is inserted when it is restarted"
