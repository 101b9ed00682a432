"""What a template needs next."""

from collections.abc import Iterable

from goldpool.api.conditions import Reason
from goldpool.api.model import API_VERSION
from goldpool.api.parent import Parent, ParentState
from goldpool.controllers.naming import (
    FINALIZER,
    LABEL_MANAGED,
    LABEL_TEMPLATE_UID,
    MANAGED_BY,
    parent_name,
    source_hash,
)
from goldpool.controllers.template.observed import Observed, Wanted
from goldpool.controllers.template.removal import removal
from goldpool.controllers.template.status import status_of, verdict_of
from goldpool.controllers.verdict import Verdict, stalled
from goldpool.engine.plan import AddFinalizer, Create, EventKind, Plan, Record
from goldpool.kube import resources as r


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
    create = tuple(
        _parent(o, want, current, token)
        for want, token in zip(missing(o.wanted, o.parents, current), o.tokens, strict=False)
    )
    verdict = verdict_of(o, current)
    told = _told(o, verdict)
    return Plan(effects=(*create, *told), status=status_of(o, verdict))


def missing(wanted: Iterable[Wanted], parents: Iterable[Parent], current: str) -> list[Wanted]:
    """Wanted locations without a copy of the current source. One that retires does not count: it may be gone soon,
    or be reverted, and then the next pass sees it."""
    held = {
        p.spec.location
        for p in parents
        if p.spec.source_hash == current and not p.deleting and p.status.state is not ParentState.RETIRING
    }
    return [w for w in wanted if w.location not in held]


def _parent(o: Observed, want: Wanted, current: str, token: str) -> Create:
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
                    "goldpool.io/template": metadata.name,
                    "goldpool.io/pool": want.pool,
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
                "revision": o.template.status.revision or "",
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
