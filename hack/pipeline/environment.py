"""What a program needs in its environment to find the development cluster and its tools."""

from __future__ import annotations

import os

from hack.cluster import config, state
from hack.cluster.commands import succeeds
from hack.kind.config import kubeconfig


def of_cluster(layout: config.Layout) -> dict[str, str]:
    """Variables to add: those that `python3 -m hack.cluster env` prints. Raises RuntimeError without a cluster.

    Of a cluster by kind only the kubeconfig: the programs are the machine's own.
    """
    if os.environ.get("CLUSTER") == "kind":
        return {"KUBECONFIG": str(kubeconfig(os.environ))}
    known = state.read(layout.state_file)
    if known is None:
        raise RuntimeError("there is no cluster; run `make cluster-up`")
    programs = [known["binaries"][name] for name in ("kubernetes", "helm")]
    return {
        "KUBECONFIG": known["kubeconfig"],
        "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
        "GOLDPOOL_HOST_IP": known["hostIP"],
        "GOLDPOOL_CLUSTER_STATE": str(layout.state_file),
    }


def cluster_answers(layout: config.Layout) -> bool:
    """Whether there is a cluster whose API server is ready now; its state file outlives a crash."""
    known = state.read(layout.state_file)
    if known is None:
        return False
    kubectl = f"{known['binaries']['kubernetes']}/kubectl"
    return succeeds([kubectl, "--kubeconfig", known["kubeconfig"], "get", "--raw", "/readyz"], timeout=15)
