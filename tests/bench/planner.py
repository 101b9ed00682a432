"""One placement among 100 pools on 1,000 hosts, each after a change of the world as bindings make it."""

import time
from statistics import quantiles
from typing import Final

from goldpool.api.volume import Volume
from tests.bench import landscapes
from tests.bench.figures import Figure

PLANS: Final = 300


def measure() -> list[Figure]:
    """CPU time, so that a busy machine makes no planner look slow."""
    size = landscapes.Size()
    planner = landscapes.a_planner(size)
    found = []
    for question in landscapes.QUESTIONS:
        taken = []
        for seed in range(PLANS):
            began = time.process_time()
            planner.put_volume(("team-a", "changing"), _volume(seed))
            landscapes.ask(planner, question, seed)
            taken.append(1e3 * (time.process_time() - began))
        percent = quantiles(taken, n=100)
        detail = (
            f"p50 {percent[49]:.3f} ms; {size.pools} pools, {size.hosts} hosts, {size.share} % of the pairs"
        )
        found.append(Figure("planner", f"{question}: p99", percent[98], "ms", goal=1.0, detail=detail))
    return found


def _volume(turn: int) -> Volume:
    """Bound to another host each time."""
    placement = {"pool": "std-001", "host": landscapes.host_name(turn % 1000)}
    spec = {"type": "Data", "size": "20Gi", "storageID": f"v-{turn:08d}", "placement": placement}
    return Volume.read({"metadata": {"name": "changing", "namespace": "team-a"}, "spec": spec})
