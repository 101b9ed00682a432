"""Many Volumes at once, pool and host given: how many Jobs they take, and how much longer than the writes alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from goldpool.kube import resources as r
from goldpool.kube.client import KubeClient
from tests.bench import writers
from tests.bench.baseline import bare_job
from tests.bench.figures import Figure
from tests.bench.quiet import await_quiet
from tests.bench.sight import Sight, is_ready
from tests.bench.stage import HOSTS, Stage
from tests.e2e.api import Obj
from tests.e2e.site import Site

FEW = 200
MANY = 1000


def measure(stage: Stage) -> list[Figure]:
    """``FEW`` to one host against one bare Job; ``MANY`` to three hosts against as many bare writes."""
    with stage.site() as site:
        job = bare_job(site, times=3)
        standard = site.pool("standard", hosts=None)
        site.ready("StoragePool", standard)
        few = _bind(stage, site, _volumes(site, standard, "few", FEW, HOSTS[:1]))
        many = _bind(stage, site, _volumes(site, standard, "many", MANY, HOSTS))
    alone = _writes_alone(stage, many.writes)
    return [
        Figure("volumes", f"{FEW} to one host: Jobs", few.jobs, goal=4),
        Figure(
            "volumes",
            f"{FEW} to one host / a bare Job",
            few.wall / job,
            goal=4,
            detail=f"{few.wall:.2f} s / {job:.2f} s; the operator used {few.cpu:.2f} s of CPU",
        ),
        Figure("volumes", f"{MANY} to three hosts: Jobs", many.jobs, goal=12),
        Figure(
            "volumes",
            f"{MANY} to three hosts / as many writes alone",
            many.wall / alone,
            goal=1.5,
            detail=f"{many.wall:.2f} s / {alone:.2f} s; the operator used {many.cpu:.2f} s of CPU",
        ),
        Figure(
            "volumes",
            f"{MANY} to three hosts: writes to each Volume",
            many.changes / MANY,
            goal=3,
            detail="changes that a watch saw",
        ),
        Figure(
            "volumes",
            f"{MANY} to three hosts: all the operator's writes, per Volume",
            many.writes / MANY,
            detail=f"{many.writes} counted at its client: Jobs, Events, pools and Lease among them",
        ),
    ]


@dataclass(frozen=True)
class _Bound:
    """What it took until all were Ready."""

    wall: float
    jobs: int
    changes: int
    writes: int
    cpu: float


def _bind(stage: Stage, site: Site, volumes: Sequence[Obj]) -> _Bound:
    await_quiet()
    operator = stage.operator
    pool = volumes[0]["spec"]["placement"]["pool"]
    jobs, written, used = len(site.jobs.of_pools(pool)), operator.writes(), operator.cpu_seconds()
    with Sight(stage.api, "Volume", site.namespace, is_ready) as sight:
        began = time.monotonic()
        writers.each(volumes, _create)
        last = sight.last_of([v["metadata"]["name"] for v in volumes], timeout=180)
    return _Bound(
        last - began,
        len(site.jobs.of_pools(pool)) - jobs,
        sight.changes,
        operator.writes() - written,
        operator.cpu_seconds() - used,
    )


async def _create(client: KubeClient, volume: Obj) -> None:
    await client.create(r.VOLUME, volume)


def _writes_alone(stage: Stage, writes: int) -> float:
    """Seconds for the same creations and as many writes to the same kind, with nobody to answer them: half merge
    patches of the object, half applies of a status of the same size."""
    namespace = "bench-writes"
    api = stage.api
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    volumes = [_volume(f"v-{n}", namespace, "none", HOSTS[0]) for n in range(MANY)]
    each, more = divmod(writes, MANY)

    async def write(client: KubeClient, numbered: tuple[int, Obj]) -> None:
        number, volume = numbered
        name = volume["metadata"]["name"]
        await client.create(r.VOLUME, volume)
        for turn in range(each + (number < more)):
            if turn % 2:
                status = {"metadata": volume["metadata"], "status": _status(turn)}
                await client.apply(r.VOLUME, status, subresource="status")
            else:
                notes = {"metadata": {"annotations": {f"bench/{turn}": "x" * 200}}}
                await client.merge_patch(r.VOLUME, name, notes, namespace)

    try:
        await_quiet()
        began = time.monotonic()
        writers.each(list(enumerate(volumes)), write)
        return time.monotonic() - began
    finally:
        api.delete_all("Volume", namespace)
        api.delete("Namespace", namespace)


def _status(turn: int) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Creating",
        "message": f"the disk is being made, turn {turn}",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return {
        "observedGeneration": 1,
        "phase": "Creating",
        "conditions": [condition, condition | {"type": "Reconciling", "status": "True"}],
        "storageID": "v-aaaaaaaa",
        "location": "standard-1",
    }


def _volumes(site: Site, pool: str, stem: str, count: int, hosts: Sequence[str]) -> list[Obj]:
    return [_volume(f"{stem}-{n}", site.namespace, pool, hosts[n % len(hosts)]) for n in range(count)]


def _volume(name: str, namespace: str, pool: str, host: str) -> Obj:
    spec = {"type": "Data", "size": "1Mi", "placement": {"pool": pool, "host": host}}
    return {
        "apiVersion": "goldpool.io/v1alpha1",
        "kind": "Volume",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
