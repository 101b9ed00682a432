"""The operator that the chart installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

from tests.e2e.api import SYSTEM_NAMESPACE, Api

NAME: Final = "goldpool"
PODS: Final = "app.kubernetes.io/name=goldpool,app.kubernetes.io/component=operator"


@contextmanager
def scaled_to_zero(api: Api) -> Iterator[None]:
    """No operator runs in the cluster meanwhile; afterwards as many as before, and at least one."""
    deployment = api.get("Deployment", NAME, SYSTEM_NAMESPACE)
    assert deployment is not None, (
        "the chart is not installed: helm upgrade --install goldpool charts/goldpool"
    )
    before = max(1, deployment["spec"]["replicas"])
    scale(api, 0)
    try:
        yield
    finally:
        scale(api, before)


def scale(api: Api, replicas: int, timeout: float = 300) -> None:
    """Returns once there are as many ready pods."""
    api.patch("Deployment", NAME, {"spec": {"replicas": replicas}}, SYSTEM_NAMESPACE)
    end = monotonic() + timeout
    while True:
        deployment = api.get("Deployment", NAME, SYSTEM_NAMESPACE) or {}
        ready = (deployment.get("status") or {}).get("readyReplicas", 0)
        if ready == replicas and (replicas or not api.every("Pod", SYSTEM_NAMESPACE, PODS)):
            return
        assert monotonic() < end, f"the Deployment has not {replicas} ready pods"
        sleep(0.3)
