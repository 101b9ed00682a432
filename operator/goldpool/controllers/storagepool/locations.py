"""Which locations a pool should have: one for each of its hosts."""

from collections.abc import Iterable

from goldpool.api.model import API_VERSION
from goldpool.api.parent import Parent
from goldpool.api.storagepool import Scope, StoragePool
from goldpool.api.volume import Volume
from goldpool.controllers.naming import FINALIZER, LABEL_MANAGED, LABEL_POOL, MANAGED_BY
from goldpool.controllers.storagepool.observed import Observed
from goldpool.engine.plan import Create, Delete
from goldpool.kube import resources as r
from goldpool.planning.identity import location_name


def hosts_with_location(o: Observed) -> set[str]:
    """Those that are wanted, and those where something of the pool still is."""
    return {*wanted_hosts(o), *o.hosts_in_use}


def wanted_hosts(o: Observed) -> list[str]:
    if o.pool.spec.scope is Scope.SHARED:
        return [""] if o.nodes else []
    return sorted(n.name for n in o.nodes)


def hosts_in_use(pool: StoragePool, volumes: Iterable[Volume], parents: Iterable[Parent]) -> frozenset[str]:
    places = [v.spec.placement for v in volumes]
    hosts = {*(p.spec.host for p in parents), *(p.host or "" for p in places if p is not None)}
    # On a Shared pool a volume's host is where its machine is tied to, not where its bytes are.
    return frozenset(hosts if pool.spec.scope is Scope.HOST or not hosts else {""})


def missing_locations(o: Observed) -> Iterable[Create]:
    present = {x.metadata.name for x in o.locations}
    pool = o.pool.metadata
    for host in wanted_hosts(o):
        name = location_name(pool.name, pool.uid, host)
        if name not in present:
            yield Create(
                r.STORAGE_LOCATION,
                {
                    "apiVersion": API_VERSION,
                    "kind": "StorageLocation",
                    "metadata": {
                        "name": name,
                        "finalizers": [FINALIZER],
                        "labels": {LABEL_MANAGED: MANAGED_BY, LABEL_POOL: pool.name},
                    },
                    "spec": {"pool": pool.name, "poolUID": pool.uid, "host": host},
                },
            )


def stray_locations(o: Observed) -> Iterable[Delete]:
    """Of hosts no longer selected. One that is used stays, for its host may come back: a Node that was deleted and
    registered anew finds its location as it was. If the cache is wrong about that, the location holds itself up."""
    wanted = hosts_with_location(o)
    for location in o.locations:
        stray = location.spec.host not in wanted or location.spec.pool_uid != o.pool.metadata.uid
        if stray and not location.deleting:
            yield Delete(r.STORAGE_LOCATION, location.metadata.name, "", location.metadata.uid)
