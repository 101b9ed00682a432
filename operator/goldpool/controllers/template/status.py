"""What a template says of itself."""

from typing import Any

from goldpool.api.conditions import Reason, message_of
from goldpool.api.parent import Parent, ParentState
from goldpool.api.references import CopyException
from goldpool.api.template import PoolRef, TemplateStatus
from goldpool.controllers.naming import RETRY_ANNOTATION, source_hash
from goldpool.controllers.template.observed import Observed
from goldpool.controllers.verdict import Verdict, busy, conditions, good, stalled


def revision_of(o: Observed, current: str) -> Parent | None:
    """The copy that decides: the first published one of the current source, unless the revision is known."""
    published = (
        p for p in o.parents
        if p.spec.source_hash == current and p.status.revision
        and p.status.state in {ParentState.PUBLISHED, ParentState.READY}
    )  # fmt: skip
    return min(published, key=lambda p: (p.status.published_time or "", p.metadata.name), default=None)


def verdict_of(o: Observed, current: str) -> Verdict:
    copies = [p for p in o.parents if p.spec.source_hash == current]
    ready = [p for p in copies if p.status.state is ParentState.READY]
    broken = [p for p in copies if p.status.state is ParentState.FAILED]
    hopeless = [p for p in broken if p.status.permanent]
    want = len(o.wanted)
    if hopeless and not ready:
        return stalled(Reason.SOURCE_INVALID, f"{_message(hopeless[0])} (correct spec.source or spec.checksum, or set "
                       f"a new value of {RETRY_ANNOTATION})")  # fmt: skip
    if not copies and not o.wanted:
        return good(Reason.NO_COPY_WANTED, "registered; it is fetched when something needs it")
    held = {p.spec.location for p in ready}
    if all(w.location in held for w in o.wanted):
        return good(Reason.READY, f"{len(ready)} verified copies")
    if broken:
        return busy(Reason.FETCH_FAILED, f"{len(broken)} of {want} copies failed: {_message(broken[0])}")
    return busy(Reason.FETCHING, f"{len(held)} of {want} copies are there")


def _message(parent: Parent) -> str:
    found = message_of(parent.status.conditions)
    return f"{parent.spec.host or parent.spec.location}: {found or parent.status.failure or 'failed'}"


def status_of(o: Observed, verdict: Verdict) -> dict[str, Any]:
    before = o.template.status
    current = source_hash(o.raw["spec"])
    pin = revision_of(o, current) if before.revision is None else None
    known = pin or next(
        (p for p in o.parents if before.revision and p.status.revision == before.revision), None
    )
    ready = sum(p.status.state is ParentState.READY for p in o.parents)
    return TemplateStatus(
        observed_generation=o.template.metadata.generation,
        phase=_phase(o, verdict, ready),
        conditions=conditions(
            verdict, previous=before.conditions, generation=o.template.metadata.generation, now=o.now
        ),
        revision=before.revision or (pin.status.revision if pin else None),
        size=known.status.size if known else before.size,
        virtual_size=known.status.virtual_size if known else before.virtual_size,
        copies=f"{ready}/{max(len(o.wanted), ready)}",
        children=sum(o.children.values()),
        pool_refs=_pool_refs(o, current),
        exceptions=[
            CopyException(
                location=p.spec.location,
                host=p.spec.host,
                reason=p.status.failure or "Failed",
                message=_message(p),
            )
            for p in {p.spec.location: p for p in o.parents if p.status.state is ParentState.FAILED}.values()
        ][:20],
        retry=o.template.metadata.annotations.get(RETRY_ANNOTATION),
        blockers=list(o.users.blockers) if o.template.deleting else [],
        blockers_total=o.users.total if o.template.deleting else None,
    ).to_dict()


def _pool_refs(o: Observed, current: str) -> list[PoolRef]:
    pools = sorted({w.pool for w in o.wanted} | {p.spec.pool for p in o.parents} | set(o.children))[:64]
    refs = []
    for pool in pools:
        here = [p for p in o.parents if p.spec.pool == pool]
        states = [p.status.state for p in here if p.spec.source_hash == current]
        ready = [p for p in here if p.status.state is ParentState.READY]
        refs.append(
            PoolRef(
                pool=pool,
                wanted=sum(w.pool == pool for w in o.wanted),
                ready=len(ready),
                fetching=sum(
                    s in {None, ParentState.PENDING, ParentState.FETCHING, ParentState.PUBLISHED}
                    for s in states
                ),
                failed=sum(s is ParentState.FAILED for s in states),
                children=o.children.get(pool, 0),
                digest=ready[0].status.revision or "" if ready else "",
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
    return "Degraded" if ready else "Fetching"
