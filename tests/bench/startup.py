"""A replica that starts in a cluster that is full already: until its caches are, and what that takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from goldpool.engine.clock import SystemClock, micro_time
from goldpool.kube import resources as r
from goldpool.kube.client import KubeClient
from tests.bench import writers
from tests.bench.figures import Figure
from tests.bench.stage import Stage
from tests.e2e.api import SYSTEM_NAMESPACE, Obj

VOLUMES: Final = 5000
PARENTS: Final = 2000
_NAMESPACE: Final = "bench-startup"
_LEASE: Final = "goldpool-operator"


def measure(stage: Stage) -> list[Figure]:
    """As a standby, so that it only reads: somebody else holds the Lease. No operator ever works on these objects."""
    with _full_cluster(stage), _lease_of_somebody(stage):
        operator = stage.operator
        began = time.monotonic()
        operator.start()
        try:
            took = operator.await_caches() - began
            used = operator.cpu_seconds()
            time.sleep(10)  # what it still has to do after it said so counts, too
            settled, (now, peak) = operator.cpu_seconds(), operator.resident_mib()
            writes = operator.writes()
        finally:
            operator.stop()
    what = f"{VOLUMES} Volumes, {PARENTS} Parents"
    return [
        Figure(
            "startup", "time to filled caches", took, "s", detail=f"{what}; the interpreter's start included"
        ),
        Figure("startup", "CPU to filled caches", used, "s", detail=f"{settled:.2f} s ten seconds later"),
        Figure(
            "startup", "resident memory", now, "MiB", goal=250 * 1e6 / 2**20, detail=f"peak {peak:.0f} MiB"
        ),
        Figure("startup", "writes of a standby", writes, goal=0),
    ]


@contextmanager
def _full_cluster(stage: Stage) -> Iterator[None]:
    stage.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
    try:
        writers.each(range(VOLUMES), _make_volume)
        writers.each(range(PARENTS), _make_parent)
        yield
    finally:
        stage.api.delete_all("Volume", _NAMESPACE)
        stage.api.delete_all("Parent", labels="bench=startup")
        stage.api.delete("Namespace", _NAMESPACE)


@contextmanager
def _lease_of_somebody(stage: Stage) -> Iterator[None]:
    now = micro_time(SystemClock().now())
    spec = {"holderIdentity": "bench", "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now}
    metadata = {"name": _LEASE, "namespace": SYSTEM_NAMESPACE}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    stage.api.delete("Lease", _LEASE, SYSTEM_NAMESPACE)
    stage.api.create(lease)
    try:
        yield
    finally:
        stage.api.delete("Lease", _LEASE, SYSTEM_NAMESPACE)


async def _make_volume(client: KubeClient, number: int) -> None:
    """As one that was made and is held by a machine."""
    name = f"volume-{number}"
    placement = {
        "pool": "bench",
        "host": f"host-{number % 100}",
        "parentPool": "bench-golden",
        "volumeUID": "bench",
    }
    spec = {
        "type": "Root",
        "size": "20Gi",
        "source": {"templateRef": {"name": f"template-{number % 20}"}},
        "placement": placement,
        "storageID": f"v-{number:08d}",
    }
    metadata = {"name": name, "namespace": _NAMESPACE}
    await client.create(r.VOLUME, {"metadata": metadata, "spec": spec})
    status = {
        "observedGeneration": 1,
        "phase": "InUse",
        "conditions": [_condition("InUse", f"held by team-a/machine-{number}")],
        "location": f"bench-{number % 100}",
        "parentLocation": f"bench-golden-{number % 100}",
        "parent": f"parent-{number % PARENTS}",
        "revision": "0" * 64,
        "storageID": f"v-{number:08d}",
        "capacity": "20Gi",
        "createdTime": _TIME,
        "usedBy": f"team-a/machine-{number}",
    }
    await client.apply(r.VOLUME, {"metadata": metadata, "status": status}, subresource="status")


async def _make_parent(client: KubeClient, number: int) -> None:
    name = f"parent-{number}"
    spec = {
        "template": f"template-{number % 20}",
        "templateUID": "bench",
        "pool": "bench-golden",
        "location": f"bench-golden-{number % 100}",
        "host": f"host-{number % 100}",
        "format": "qcow2",
        "sourceHash": "0" * 16,
        "revision": "0" * 64,
    }
    await client.create(r.PARENT, {"metadata": {"name": name, "labels": {"bench": "startup"}}, "spec": spec})
    status = {
        "observedGeneration": 1,
        "conditions": [_condition("Ready", "verified")],
        "state": "Ready",
        "revision": "0" * 64,
        "publishedTime": _TIME,
    }
    await client.apply(r.PARENT, {"metadata": {"name": name}, "status": status}, subresource="status")


def _condition(reason: str, message: str) -> Obj:
    found: dict[str, Any] = {"type": "Ready", "status": "True", "reason": reason, "message": message}
    return found | {"lastTransitionTime": _TIME, "observedGeneration": 1}


_TIME: Final = "2026-01-01T00:00:00Z"
