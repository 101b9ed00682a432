"""CPU of the operator for news that mean nothing to it, and for a pass that finds nothing to do."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from goldpool.kube import resources as r
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Resource
from tests.bench import writers
from tests.bench.figures import Figure
from tests.bench.stage import Stage
from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.site import Site

OBJECTS: Final = 200
ROUNDS: Final = 10
"""Every object is touched so often."""


def measure(stage: Stage) -> list[Figure]:
    """Labels are changed on Pods that are nobody's machine (the informer's price) and on Volumes that wait for a
    machine (kopf's price, and a pass for each)."""
    with stage.site() as site:
        pods = [_pod(f"noop-{n}") for n in range(OBJECTS)]
        volumes = [_volume(f"noop-{n}", site.namespace) for n in range(OBJECTS)]
        try:
            writers.each(pods, _create(r.POD))
            writers.each(volumes, _create(r.VOLUME))
            _quiet(stage)
            idle, _ = _cost(stage, lambda: time.sleep(5))
            event, _ = _cost(stage, lambda: _touch(r.POD, pods))
            both, passes = _cost(stage, lambda: _touch(r.VOLUME, volumes))
        finally:
            _remove_pods(site)
    events = OBJECTS * ROUNDS
    return [
        Figure(
            "passes",
            "CPU per event without a pass",
            1e6 * event / events,
            "us",
            detail=f"{events} Pods' events",
        ),
        Figure(
            "passes",
            "CPU per event with its pass",
            1e6 * both / max(passes, 1),
            "us",
            detail=f"{events} Volumes' events through kopf, {passes} passes",
        ),
        Figure("passes", "CPU of an idle operator", 1e3 * idle / 5, "ms/s"),
    ]


def _cost(stage: Stage, work: Callable[[], None]) -> tuple[float, int]:
    """CPU seconds and passes until the operator is quiet again."""
    operator = stage.operator
    used, passes = operator.cpu_seconds(), operator.passes_of()
    work()
    _quiet(stage)
    return operator.cpu_seconds() - used, operator.passes_of() - passes


def _quiet(stage: Stage) -> None:
    """Returns when no pass was made for a second."""
    before, now = -1, stage.operator.passes_of()
    while before != now:
        time.sleep(1)
        before, now = now, stage.operator.passes_of()


def _touch(resource: Resource, objects: Sequence[Obj]) -> None:
    async def touch(client: KubeClient, turn: tuple[int, Obj]) -> None:
        number, obj = turn
        metadata = obj["metadata"]
        change = {"metadata": {"annotations": {"bench/turn": str(number)}}}
        await client.merge_patch(resource, metadata["name"], change, metadata["namespace"])

    for turn in range(ROUNDS):
        writers.each([(turn, obj) for obj in objects], touch)


def _create(resource: Resource) -> Callable[[KubeClient, Obj], Awaitable[object]]:
    async def create(client: KubeClient, obj: Obj) -> None:
        await client.create(resource, obj)

    return create


def _remove_pods(site: Site) -> None:
    site.api.delete_all("Pod", DATA_NAMESPACE, "bench=noop")


def _pod(name: str) -> Obj:
    """Labelled as ours, so that the operator hears of it; no scheduler takes it."""
    spec: dict[str, Any] = {
        "schedulerName": "nobody",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [{"name": "none", "image": "none"}],
    }
    labels = {"app.kubernetes.io/managed-by": "goldpool", "bench": "noop"}
    metadata = {"name": name, "namespace": DATA_NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _volume(name: str, namespace: str) -> Obj:
    return {
        "apiVersion": "goldpool.io/v1alpha1",
        "kind": "Volume",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "Data", "size": "64Mi"},
    }
