"""From a pool that nobody should have to none: its users first, then its parents, then its locations."""

from goldpool.api.conditions import Reason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.storagepool.observed import Observed
from goldpool.controllers.storagepool.status import status_of
from goldpool.controllers.verdict import blocked, busy, named, ways_out
from goldpool.engine.plan import Delete, EventKind, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if FINALIZER not in o.pool.metadata.finalizers:
        return Plan()
    if o.users:
        sentence = f"{o.users.total} user(s) of the pool: {named(o.users)}; {ways_out(o.users)}"
        return Plan(
            effects=(Record(o.raw, EventKind.WARNING, Reason.DELETION_BLOCKED, "Delete", sentence),),
            status=status_of(o, blocked(sentence)),
        )
    if o.parents:
        # Unused parents see that their pool goes, and retire.
        return Plan(status=status_of(o, busy(Reason.TERMINATING, f"{o.parents} parent(s) are being removed")))
    going = tuple(
        Delete(r.STORAGE_LOCATION, x.metadata.name, "", x.metadata.uid) for x in o.locations if not x.deleting
    )
    if o.locations:
        count = len(o.locations)
        return Plan(
            effects=going,
            status=status_of(o, busy(Reason.TERMINATING, f"{count} location(s) are given back")),
        )
    return Plan(effects=(RemoveFinalizer(r.STORAGE_POOL, o.raw, FINALIZER),))
