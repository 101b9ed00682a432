"""kind's configuration (v1alpha4), as a pure function of the facts in hack.cluster.config.

Source of the schema: sigs.k8s.io/kind, pkg/apis/config/v1alpha4/types.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster import config, manifests

NAME = "goldpool-dev"
NODE_IMAGE = "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
"""Of kind 0.30's release notes; the same minor version as the development cluster's own."""
_KUBEADM = "kubeadm.k8s.io/v1beta3"
"""What kind writes for Kubernetes 1.23 to 1.35; a patch of another version would be left out in silence."""
_CONTROLLER_FLAGS = (
    "concurrent-job-syncs", "kube-api-burst", "kube-api-qps", "node-monitor-grace-period", "node-monitor-period",
)  # fmt: skip
_SCHEDULER_FLAGS = ("kube-api-burst", "kube-api-qps")
_KUBELET_FIELDS = (
    "eventRecordQPS", "kubeAPIBurst", "kubeAPIQPS", "nodeLeaseDurationSeconds", "nodeStatusUpdateFrequency",
    "serializeImagePulls",
)  # fmt: skip


def home(environ: Mapping[str, str]) -> Path:
    """The pools' directories, the configuration and the kubeconfig; in the user's cache, as Docker needs no root."""
    return config.Layout.of(environ).cache / "kind"


def kubeconfig(environ: Mapping[str, str]) -> Path:
    """Of its own, so that nobody's ~/.kube/config is touched."""
    return home(environ) / "kubeconfig"


def cluster(directory: Path, image: str = NODE_IMAGE) -> str:
    """The file for `kind create cluster --config`: JSON, as every JSON document is YAML. `directory` holds the pools."""
    document = {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "name": NAME,
        "networking": {
            "apiServerAddress": "127.0.0.1",
            "kubeProxyMode": "iptables",
            "podSubnet": config.POD_RANGE,
            "serviceSubnet": config.SERVICE_RANGE,
        },
        "kubeadmConfigPatches": [json.dumps(_control_plane()), json.dumps(_kubelet())],
        "nodes": [
            {"role": "control-plane", "image": image},
            *(_worker(node, directory, image) for node in config.NODES),
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _worker(node: config.Node, directory: Path, image: str) -> dict[str, Any]:
    mounts = [
        {"hostPath": str(path), "containerPath": pool.path}
        for pool, path in pool_directories(node, directory).items()
    ]
    return {"role": "worker", "image": image, "labels": node.labels, "extraMounts": mounts}


def pool_directories(node: config.Node, directory: Path) -> dict[config.Pool, Path]:
    """Where each pool of a node is on the machine. Docker would make missing ones, and a shared one for all nodes is
    one directory."""
    return {
        pool: directory / "pools" / ("all" if pool.shared else node.name) / pool.name for pool in config.POOLS
    }


def _control_plane() -> dict[str, Any]:
    nowhere = Path("/")  # the flags that name files are kind's own
    return {
        "apiVersion": _KUBEADM,
        "kind": "ClusterConfiguration",
        "controllerManager": {
            "extraArgs": _chosen(manifests.controller_manager_arguments(nowhere, nowhere), _CONTROLLER_FLAGS)
        },
        "scheduler": {"extraArgs": _chosen(manifests.scheduler_arguments(nowhere), _SCHEDULER_FLAGS)},
    }


def _kubelet() -> dict[str, Any]:
    ours = json.loads(manifests.kubelet(config.NODES[0], Path("/"), Path("/")))
    chosen = {name: ours[name] for name in _KUBELET_FIELDS}
    return {"apiVersion": ours["apiVersion"], "kind": ours["kind"], **chosen}


def _chosen(arguments: list[str], names: tuple[str, ...]) -> dict[str, str]:
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    return {name: flags[name] for name in names}
