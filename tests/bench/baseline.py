"""How long Kubernetes takes by itself, measured in the same run."""

import time
from statistics import median

from tests.bench import bare
from tests.bench.quiet import await_quiet
from tests.bench.sight import Sight, has_terminated, runs
from tests.e2e.api import Obj
from tests.e2e.site import Site

_WORKER = "goldpool.local/goldpool-worker:dev"


def bare_job(site: Site, times: int) -> float:
    """Seconds from the creation of a Job of ``true`` until its container is seen terminated; the median."""
    return median(one_bare_job(site, f"bare-{n}") for n in range(times))


def one_bare_job(site: Site, name: str) -> float:
    def ended(pod: Obj) -> bool:
        return (pod["metadata"].get("labels") or {}).get("bench") == name and has_terminated(pod)

    await_quiet()
    with Sight(site.api, "Pod", site.namespace, ended) as sight:
        began = time.monotonic()
        site.api.create(bare.a_job(name, site.namespace, _WORKER))
        last = sight.first(timeout=60)
    site.api.delete("Job", name, site.namespace)
    site.eventually(lambda: not site.api.every("Pod", site.namespace), "the bare Job's pod is gone")
    return last - began


def bare_pods(site: Site, names: list[str], like: Obj, command: list[str]) -> float:
    """Seconds from the first creation of so many pods until the last is seen Running. They are gone afterwards."""
    pods = [bare.a_pod(name, site.namespace, like, command) for name in names]
    await_quiet()
    with Sight(site.api, "Pod", site.namespace, runs) as sight:
        began = time.monotonic()
        for pod in pods:
            site.api.create(pod)
        last = sight.last_of(names, timeout=180)
    for name in names:
        site.api.delete("Pod", name, site.namespace)
    site.eventually(lambda: not site.api.every("Pod", site.namespace), "the bare pods are gone")
    return last - began
