"""What a machine needs next. Pure; a second call on the world it leads to returns no effects."""

from goldpool.api.conditions import Reason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.verdict import good, stalled
from goldpool.controllers.virtualmachine.collection import collect
from goldpool.controllers.virtualmachine.effects import ensure_root, release_claims
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.pod import pod_manifest
from goldpool.controllers.virtualmachine.removal import removal
from goldpool.controllers.virtualmachine.running import follow, reason_to_rest
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.controllers.virtualmachine.steps import STEPS
from goldpool.engine.plan import AddFinalizer, Create, Plan
from goldpool.kube import resources as r


def plan(o: Observed) -> Plan:
    found = _plan(o)
    if o.orphans is None:
        return found
    first = collect(o.orphans)
    times = [x for x in (first.again_after, found.again_after) if x is not None]
    return Plan(
        (*first.effects, *found.effects), found.status, found.afterwards, min(times) if times else None
    )


def _plan(o: Observed) -> Plan:
    if o.machine.deleting:
        return removal(o)
    if FINALIZER not in o.machine.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.VIRTUAL_MACHINE, o.raw, FINALIZER),))
    draft = Draft.of(o)
    if o.pod is not None:
        return follow(o, draft, o.pod)
    if (why := reason_to_rest(o, draft)) is not None:
        return _rest(o, draft, *why)
    for step in STEPS:
        if (verdict := step(o, draft)) is not None:
            return verdict
    return _start(o)


def _rest(o: Observed, draft: Draft, reason: Reason, message: str, phase: str) -> Plan:
    """Claims are given back only now that no pod is left: the next holder may be another machine."""
    verdict = stalled(reason, message) if reason is Reason.FAILED else good(reason, message)
    if reason is Reason.HALTED:
        draft.set(ended=None, restarts=None)
    effects = (*ensure_root(o), *release_claims(o, o.disks))
    return Plan(effects=effects, status=draft.status(verdict, phase))


def _start(o: Observed) -> Plan:
    """Without a status: the next pass sees the pod and says so, as it would if this one had died here."""
    return Plan(effects=(Create(r.POD, pod_manifest(o)),), again_after=0)
