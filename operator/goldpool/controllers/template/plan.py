"""What a template needs next."""

from collections.abc import Iterable

from goldpool.api.conditions import ConditionType, Reason, is_true
from goldpool.api.model import API_VERSION
from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template
from goldpool.controllers.naming import (
    FINALIZER,
    LABEL_MANAGED,
    LABEL_POOL,
    LABEL_TEMPLATE,
    LABEL_TEMPLATE_UID,
    MANAGED_BY,
    parent_name,
    source_hash,
)
from goldpool.controllers.template.asking import look
from goldpool.controllers.template.observed import Observed, Wanted
from goldpool.controllers.template.removal import removal
from goldpool.controllers.template.revision import pin_of
from goldpool.controllers.template.status import status_of
from goldpool.controllers.template.verdict import View, changed_sentence, verdict_of
from goldpool.controllers.verdict import Verdict, stalled
from goldpool.engine.plan import AddFinalizer, Create, EventKind, Plan, Record
from goldpool.kube import resources as r
from goldpool.planning.revisions import decides, serves


def plan(o: Observed) -> Plan:
    """A Parent for each wanted location that has none; the first published one decides the revision."""
    if o.template.deleting:
        return removal(o)
    if FINALIZER not in o.template.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.TEMPLATE, o.raw, FINALIZER),))
    if not o.template.spec.direct_download:
        message = "spec.directDownload is false and there are no image stores yet: set it to true"
        return Plan(status=status_of(o, stalled(Reason.IMAGE_STORE_REQUIRED, message)))
    current = source_hash(o.raw["spec"])
    seen = look(o, current)
    pin = pin_of(o, current, seen.probe)
    view = View(o, current, seen, pin)
    verdict = verdict_of(view)
    told = (*_told(o, verdict), *pin.told, *_drift_told(view))
    # What has begun goes on at once; nothing else would bring the next pass.
    again = 0 if pin.refetch != o.template.status.refetch else seen.again_after
    return Plan(
        effects=(*_copies(o, current), *seen.effects, *told),
        status=status_of(o, verdict, view),
        afterwards=seen.afterwards,
        again_after=again,
    )


def _copies(o: Observed, current: str) -> tuple[Create, ...]:
    """One wherever one is wanted; but while the source is fetched anew only the one that brings the new revision: the
    others would be of a revision that may not be served any more."""
    if lacks_candidate(o.template, o.places, o.parents, current):
        assert o.template.status.refetch is not None
        return (_parent(o, o.places[0], current, o.tokens[-2], o.template.status.refetch.token),)
    wants = missing(o.template, o.wanted, o.parents, current)
    return tuple(_parent(o, want, current, token) for want, token in zip(wants, o.tokens, strict=False))


def missing(
    template: Template, wanted: Iterable[Wanted], parents: Iterable[Parent], current: str
) -> list[Wanted]:
    """Wanted locations without a copy of the current source and revision. One that retires does not count: it may be
    gone soon, or be reverted, and then the next pass sees it."""
    copies = [
        p
        for p in parents
        if p.spec.source_hash == current and not p.deleting and p.status.state is not ParentState.RETIRING
    ]
    under_way = template.status.refetch is not None and not any(
        decides(p, template) and p.status.state is ParentState.FAILED and p.status.permanent for p in copies
    )
    if under_way:
        return []
    held = {p.spec.location for p in copies if serves(p, template)}
    return [w for w in wanted if w.location not in held]


def lacks_candidate(
    template: Template, places: Iterable[Wanted], parents: Iterable[Parent], current: str
) -> bool:
    """Whether a new revision is to be fetched and no copy is at it: none was made, or its location is away."""
    usable = {place.location for place in places}
    return (
        template.status.refetch is not None
        and bool(usable)
        and not any(
            decides(p, template)
            and p.spec.source_hash == current
            and not p.deleting
            and p.status.state is not ParentState.RETIRING
            and (p.status.revision or p.spec.location in usable)
            for p in parents
        )
    )


def _parent(o: Observed, want: Wanted, current: str, token: str, refetch: str = "") -> Create:
    metadata = o.template.metadata
    return Create(
        r.PARENT,
        {
            "apiVersion": API_VERSION,
            "kind": "Parent",
            "metadata": {
                "name": parent_name(metadata.name, token),
                "finalizers": [FINALIZER],
                "labels": {
                    LABEL_MANAGED: MANAGED_BY,
                    LABEL_TEMPLATE_UID: metadata.uid,
                    LABEL_TEMPLATE: metadata.name,
                    LABEL_POOL: want.pool,
                },
            },
            "spec": {
                "template": metadata.name,
                "templateUID": metadata.uid,
                "pool": want.pool,
                "location": want.location,
                "host": want.host,
                "format": o.template.spec.format,
                "sourceHash": current,
                "revision": "" if refetch else o.template.status.revision or "",
                **({"refetch": refetch} if refetch else {}),
                "fallback": want.fallback,
            },
        },
    )


def _told(o: Observed, verdict: Verdict) -> tuple[Record, ...]:
    before = next((c for c in o.template.status.conditions if c.type == "Ready"), None)
    if before is not None and before.reason == verdict.reason:
        return ()
    if verdict.reason is Reason.READY:
        return (Record(o.raw, EventKind.NORMAL, Reason.READY, "Fetch", verdict.message),)
    if verdict.reason in {Reason.SOURCE_INVALID, Reason.FETCH_FAILED}:
        return (Record(o.raw, EventKind.WARNING, verdict.reason, "Fetch", verdict.message),)
    return ()


def _drift_told(view: View) -> tuple[Record, ...]:
    why = view.pin.drift.why
    if why is None or is_true(view.o.template.status.conditions, ConditionType.SOURCE_CHANGED):
        return ()
    return (
        Record(view.o.raw, EventKind.WARNING, Reason.SOURCE_CHANGED, "Probe", changed_sentence(view, why)),
    )
