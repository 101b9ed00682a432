"""What a pool needs next."""

from goldpool.api.conditions import Reason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.storagepool.locations import missing_locations, stray_locations
from goldpool.controllers.storagepool.nfs import claim_for_nfs
from goldpool.controllers.storagepool.observed import Observed
from goldpool.controllers.storagepool.path import path_problem
from goldpool.controllers.storagepool.removal import removal
from goldpool.controllers.storagepool.status import status_of, verdict_of
from goldpool.controllers.verdict import stalled
from goldpool.engine.plan import AddFinalizer, Plan
from goldpool.kube import resources as r


def plan(o: Observed) -> Plan:
    """One location per host. A pool that is used stays Terminating; one that is not gives its locations back."""
    if o.pool.deleting:
        return removal(o)
    if FINALIZER not in o.pool.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.STORAGE_POOL, o.raw, FINALIZER),))
    if (problem := path_problem(o.pool, o.allowed_prefixes, o.other_paths)) is not None:
        return Plan(status=status_of(o, stalled(Reason.PATH_NOT_ALLOWED, problem)))
    effects: list[object] = [*claim_for_nfs(o), *missing_locations(o), *stray_locations(o)]
    return Plan(effects=tuple(effects), status=status_of(o, verdict_of(o)))
