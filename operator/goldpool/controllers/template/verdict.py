"""What a template comes to: whether it can be used, and what people should know beside that."""

from collections.abc import Iterator
from dataclasses import dataclass

from goldpool.api.conditions import ConditionStatus, ConditionType, Reason, message_of
from goldpool.api.model import human_bytes
from goldpool.api.parent import Parent, ParentState
from goldpool.api.source import SourceProbe
from goldpool.api.template import RefreshPolicy
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.template.asking import OF_THE_HOST, Look, reason_of
from goldpool.controllers.template.observed import Observed
from goldpool.controllers.template.revision import Pin
from goldpool.controllers.verdict import Aside, Verdict, busy, good, stalled, waiting
from goldpool.planning.revisions import superseded

_REMEDY = f"correct spec.source or spec.checksum, or set a new value of {RETRY_ANNOTATION}"


@dataclass(frozen=True, slots=True)
class View:
    """A template as this pass understands it."""

    o: Observed
    current: str
    look: Look
    pin: Pin


def verdict_of(v: View) -> Verdict:
    """What copies show counts more than what a host was told that only asked: it may see less than others do."""
    o = v.o
    copies = [*_of_now(v)]
    ready = [p for p in copies if p.status.state is ParentState.READY]
    broken = [p for p in copies if p.status.state is ParentState.FAILED]
    hopeless = [p for p in broken if p.status.permanent]
    want = len(o.wanted)
    if hopeless and not ready:
        return stalled(Reason.SOURCE_INVALID, f"{message(hopeless[0])} ({_REMEDY})")
    if not copies and not o.wanted:
        return _unfetched(v)
    held = {p.spec.location for p in ready}
    if all(w.location in held for w in o.wanted):
        anew = "; a new revision is being fetched" if v.pin.refetch is not None else ""
        return good(Reason.READY, f"{len(ready)} verified copies{anew}")
    if broken:
        sentence = f"{len(broken)} of {want} copies failed: {message(broken[0])}"
        held |= {p.spec.location for p in hopeless}
        if all(w.location in held for w in o.wanted):
            # Not Stalled, which would stop machines that have a good copy; but nothing more is tried by itself.
            return waiting(Reason.FETCH_FAILED, f"{sentence} ({_REMEDY})")
        return busy(Reason.FETCH_FAILED, sentence)
    return busy(Reason.FETCHING, f"{len(held)} of {want} copies are there")


def _unfetched(v: View) -> Verdict:
    """It is fetched when something needs it, whatever was answered: who asked is not who fetches."""
    probe, wanted = v.look.probe, v.look.wanted
    if probe is not None and probe.reason and probe.reason not in OF_THE_HOST:
        # Not Stalled: it is asked again, and still fetched for a machine that needs it.
        if probe.permanent:
            return busy(Reason.SOURCE_INVALID, f"{_from(probe)}: {probe.message} ({_REMEDY})")
        return busy(reason_of(probe), f"{_from(probe)}: {probe.message}")
    unknown = probe is None or probe.reason
    if unknown and wanted and v.o.asker is not None:
        return busy(Reason.PROBING, f"{v.o.asker.host} is asking the source what it serves")
    return good(Reason.NO_COPY_WANTED, "registered; it is fetched when something needs it")


def message(parent: Parent) -> str:
    """What a copy says, with its place."""
    found = message_of(parent.status.conditions)
    return f"{parent.spec.host or parent.spec.location}: {found or parent.status.failure or 'failed'}"


def asides_of(v: View) -> Iterator[Aside]:
    yield from _reachable(v)
    if v.pin.drift.why is not None:
        sentence = changed_sentence(v, v.pin.drift.why)
        yield Aside(ConditionType.SOURCE_CHANGED, ConditionStatus.TRUE, Reason.SOURCE_CHANGED, sentence)
    if (sentences := [*_failed_copies(v), *_dead_mirrors(v)]) and _usable(v):
        reason = Reason.COPIES_FAILED if any(_failed_copies(v)) else Reason.MIRRORS_FAILED
        yield Aside(ConditionType.DEGRADED, ConditionStatus.TRUE, reason, "; ".join(sentences))
    yield from _verified(v)


def _usable(v: View) -> bool:
    """Something serves: a copy, or a mirror. Where nothing does the template is not degraded but not ready."""
    probe = v.look.probe
    return any(_ready(v)) or (probe is not None and not probe.reason)


def _ready(v: View) -> Iterator[Parent]:
    return (p for p in _of_now(v) if p.status.state is ParentState.READY)


def _of_now(v: View) -> Iterator[Parent]:
    o = v.o
    return (p for p in o.parents if p.spec.source_hash == v.current and not superseded(p, o.template))


def _failed_copies(v: View) -> Iterator[str]:
    broken = [p for p in _of_now(v) if p.status.state is ParentState.FAILED]
    if broken and any(_ready(v)):
        pools = sorted({p.spec.pool for p in broken})
        yield f"{len(broken)} copies failed in {', '.join(pools)}: {message(broken[0])}"


def _dead_mirrors(v: View) -> Iterator[str]:
    probe = v.look.probe
    dead = [m for m in probe.mirrors if m.reason] if probe is not None and not probe.reason else []
    if probe is not None and dead:
        each = "; ".join(f"{m.mirror}: {m.reason}: {m.message}" for m in dead)
        yield f"{len(dead)} of {len(probe.mirrors)} mirrors cannot serve it: {each}"


def _verified(v: View) -> Iterator[Aside]:
    """Once there is a revision: whether anybody said beforehand what its bytes must be."""
    if v.pin.revision is None:
        return
    algorithm = v.pin.fetched.verified if v.pin.fetched is not None else ""
    if algorithm or v.o.template.spec.checksum is not None:
        sentence = f"the bytes have the declared {algorithm or 'checksum'}"
        yield Aside(ConditionType.VERIFIED, ConditionStatus.TRUE, Reason.CHECKSUM_MATCHED, sentence)
        return
    sentence = (
        f"nobody declared a checksum: what was fetched first, sha256:{v.pin.revision}, binds all other copies"
    )
    yield Aside(ConditionType.VERIFIED, ConditionStatus.FALSE, Reason.NO_CHECKSUM, sentence)


def _reachable(v: View) -> Iterator[Aside]:
    kind, probe = ConditionType.SOURCE_REACHABLE, v.look.probe
    if probe is not None and probe.reason and probe.reason not in OF_THE_HOST:
        yield Aside(kind, ConditionStatus.FALSE, reason_of(probe), f"{_from(probe)}: {probe.message}")
    elif probe is not None and probe.reason:
        said = f"{_from(probe)} could not ask: {probe.message}"
        yield Aside(kind, ConditionStatus.UNKNOWN, Reason.OPERATION_FAILED, said)
    elif probe is not None:
        yield Aside(kind, ConditionStatus.TRUE, Reason.REACHABLE, _served(probe))
    elif v.look.wanted and v.o.asker is None:
        sort = "golden" if v.o.template.spec.golden else "ordinary"
        sentence = f"no {sort} pool has a ready host yet from which the source could be asked"
        yield Aside(kind, ConditionStatus.UNKNOWN, Reason.NO_HOST_TO_ASK, sentence)
    elif v.look.wanted:
        yield Aside(kind, ConditionStatus.UNKNOWN, Reason.PROBING, "the source is being asked what it serves")


def _from(probe: SourceProbe) -> str:
    return f"from {probe.host}" if probe.host else "from a host"


def _served(probe: SourceProbe) -> str:
    size = human_bytes(probe.size) if probe.size is not None else "an unknown number of bytes"
    packed = f", compressed by {probe.compression}" if probe.compression else ""
    return f"{probe.mirror} serves {size}{f' of {probe.format}' if probe.format else ''}{packed}"


def changed_sentence(v: View, why: str) -> str:
    """What told it, and what follows."""
    return f"{why}; {_consequence(v)}"


def _consequence(v: View) -> str:
    spec = v.o.template.spec
    if spec.checksum is not None:
        return "spec.checksum names what was fetched, so that other bytes need a Template of their own"
    if spec.source.refresh_policy is not RefreshPolicy.REFETCH and v.pin.refetch is None:
        return "spec.source.refreshPolicy is Pin: new disks still take what was fetched"
    failed = next(
        (
            p
            for p in v.o.parents
            if v.pin.refetch is not None
            and p.spec.refetch == v.pin.refetch.token
            and p.status.state is ParentState.FAILED
        ),
        None,
    )
    if failed is not None:
        return f"fetching the new revision failed: {message(failed)}"
    return "a new revision is being fetched"
