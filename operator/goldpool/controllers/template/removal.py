"""A template goes when nobody uses it and its copies are gone."""

from goldpool.api.conditions import Reason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.template.observed import Observed
from goldpool.controllers.template.status import status_of
from goldpool.controllers.verdict import blocked, busy, named, ways_out
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import EventKind, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if FINALIZER not in o.template.metadata.finalizers:
        return Plan()
    if o.probe is not None:
        return Plan(afterwards=(Settle(o.probe_id),), again_after=0)  # nobody wants to know any more
    if o.users:
        sentence = f"{o.users.total} user(s) depend on the template: {named(o.users)}; {ways_out(o.users)}"
        return Plan(
            effects=(Record(o.raw, EventKind.WARNING, Reason.DELETION_BLOCKED, "Delete", sentence),),
            status=status_of(o, blocked(sentence)),
        )
    if o.parents:
        # Each copy retires by itself once it sees that its template goes: only it may say that nobody needs it.
        return Plan(
            status=status_of(o, busy(Reason.TERMINATING, f"{len(o.parents)} copies are being removed"))
        )
    return Plan(effects=(RemoveFinalizer(r.TEMPLATE, o.raw, FINALIZER),))
