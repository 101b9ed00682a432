"""What a template says of itself."""

from typing import Any

from goldpool.api.parent import Parent, ParentState
from goldpool.api.references import CopyException
from goldpool.api.source import SourceStatus
from goldpool.api.template import PoolRef, TemplateStatus
from goldpool.controllers.naming import RETRY_ANNOTATION, source_hash
from goldpool.controllers.template.observed import Observed
from goldpool.controllers.template.verdict import View, asides_of, message
from goldpool.controllers.verdict import Verdict, conditions
from goldpool.planning.revisions import superseded


def status_of(o: Observed, verdict: Verdict, view: View | None = None) -> dict[str, Any]:
    """The whole status. Without a view (it is going, or cannot be fetched at all) what is known of bytes stays."""
    before = o.template.status
    current = source_hash(o.raw["spec"])
    ready = sum(p.status.state is ParentState.READY and _is_of(p, view, before.revision) for p in o.parents)
    found = _of_bytes(o, view) if view is not None else _unchanged(before)
    return TemplateStatus(
        observed_generation=o.template.metadata.generation,
        phase=_phase(o, verdict, ready),
        conditions=conditions(
            verdict,
            previous=before.conditions,
            generation=o.template.metadata.generation,
            now=o.now,
            asides=asides_of(view) if view is not None else (),
        ),
        **found,
        copies=f"{ready}/{max(len(o.wanted), ready)}",
        children=sum(o.children.values()),
        pool_refs=_pool_refs(o, current, found["revision"]),
        exceptions=[
            CopyException(
                location=p.spec.location,
                host=p.spec.host,
                reason=p.status.failure or "Failed",
                message=message(p),
            )
            for p in {p.spec.location: p for p in o.parents if p.status.state is ParentState.FAILED}.values()
        ][:20],
        retry=o.template.metadata.annotations.get(RETRY_ANNOTATION),
        blockers=list(o.users.blockers) if o.template.deleting else [],
        blockers_total=o.users.total if o.template.deleting else None,
    ).to_dict()


def _is_of(parent: Parent, view: View | None, revision: str | None) -> bool:
    pinned = view.pin.revision if view is not None else revision
    return pinned is None or parent.status.revision == pinned


def _unchanged(before: TemplateStatus) -> dict[str, Any]:
    fields = ("revision", "refetches", "refetch", "refetch_asked", "source", "size", "virtual_size")
    return {field: getattr(before, field) for field in fields}


def _of_bytes(o: Observed, view: View) -> dict[str, Any]:
    """What is known of the bytes: of a copy if there was one, else what the source was found to serve."""
    before, pin, probe = o.template.status, view.pin, view.look.probe
    known = next((p for p in o.parents if pin.revision and p.status.revision == pin.revision), None)
    size, virtual = before.size, before.virtual_size
    if known is not None:
        size, virtual = known.status.size, known.status.virtual_size
    elif pin.revision is None:
        told = probe if probe is not None and probe.answered else None
        size = told.size if told is not None and not told.compression else None
        virtual = told.virtual_size if told is not None else None
    return {
        "revision": pin.revision,
        "refetches": pin.refetches or None,
        "refetch": pin.refetch,
        "refetch_asked": pin.asked,
        "source": SourceStatus(fetched=pin.fetched, probe=probe, changed=pin.drift.why)
        if pin.fetched or probe
        else None,
        "size": size,
        "virtual_size": virtual,
    }


def _pool_refs(o: Observed, current: str, revision: str | None) -> list[PoolRef]:
    pools = sorted({w.pool for w in o.wanted} | {p.spec.pool for p in o.parents} | set(o.children))[:64]
    refs = []
    for pool in pools:
        here = [p for p in o.parents if p.spec.pool == pool]
        states = [
            p.status.state for p in here if p.spec.source_hash == current and not superseded(p, o.template)
        ]
        copies = [p for p in here if p.status.state is ParentState.READY]
        ready = [p for p in copies if revision is None or p.status.revision == revision]
        refs.append(
            PoolRef(
                pool=pool,
                wanted=sum(w.pool == pool for w in o.wanted),
                ready=len(ready),
                superseded=len(copies) - len(ready),
                fetching=sum(
                    s in {None, ParentState.PENDING, ParentState.FETCHING, ParentState.PUBLISHED}
                    for s in states
                ),
                failed=sum(s is ParentState.FAILED for s in states),
                children=o.children.get(pool, 0),
                digest=next((p.status.revision or "" for p in (*ready, *copies)), ""),
            )
        )
    return refs


def _phase(o: Observed, verdict: Verdict, ready: int) -> str:
    if o.template.deleting:
        return "Terminating"
    if verdict.stalled:
        return "Failed"
    if verdict.ready:
        return "Ready" if ready else "Registered"
    if ready:
        return "Degraded"
    # A source that cannot serve makes it unready before anybody wants a copy: then nothing is being fetched.
    return "Fetching" if o.wanted or o.parents else "Registered"
