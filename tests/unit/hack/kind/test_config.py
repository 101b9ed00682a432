"""kind's configuration against its schema, and against what the development cluster has. kind itself is not run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import config as facts
from hack.cluster import manifests
from hack.images.cache import REPOSITORY
from hack.kind import config
from hack.pipeline import environment

HERE = Path("/pools-of-a-test")

# sigs.k8s.io/kind v0.33.0, pkg/apis/config/v1alpha4/types.go: every field, and what it holds.
MOUNT = {"containerPath": str, "hostPath": str, "readOnly": bool, "selinuxRelabel": bool, "propagation": str}
PATCH = {"group": str, "version": str, "kind": str, "patch": str}
PORT = {"containerPort": int, "hostPort": int, "listenAddress": str, "protocol": str}
PATCHES = {"kubeadmConfigPatches": [str], "kubeadmConfigPatchesJSON6902": [PATCH]}
NODE = {
    "role": str, "image": str, "labels": dict, "extraMounts": [MOUNT], "extraPortMappings": [PORT], "gpus": str,
    **PATCHES,
}  # fmt: skip
NETWORKING = {
    "ipFamily": str, "apiServerPort": int, "apiServerAddress": str, "podSubnet": str, "serviceSubnet": str,
    "disableDefaultCNI": bool, "kubeProxyMode": str, "dnsSearch": [str],
}  # fmt: skip
CLUSTER = {
    "apiVersion": str, "kind": str, "name": str, "nodes": [NODE], "networking": NETWORKING, "featureGates": dict,
    "runtimeConfig": dict, "containerdConfigPatches": [str], "containerdConfigPatchesJSON6902": [str], **PATCHES,
}  # fmt: skip


def problems(value: Any, schema: Any, path: str = "") -> list[str]:
    """Fields that kind's strict decoder would not take."""
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [p for n, item in enumerate(value) for p in problems(item, schema[0], f"{path}[{n}]")]
    if isinstance(schema, dict):
        unknown = [f"{path}.{name}: unknown" for name in value if name not in schema]
        known = [(name, item) for name, item in value.items() if name in schema]
        return unknown + [p for name, item in known for p in problems(item, schema[name], f"{path}.{name}")]
    return [] if isinstance(value, schema) else [f"{path}: no {schema.__name__}"]


@pytest.fixture
def made() -> dict[str, Any]:
    """Read as kind reads it: as YAML."""
    document: dict[str, Any] = yaml.safe_load(config.cluster(HERE))
    return document


def test_it_is_of_the_schema(made: dict[str, Any]) -> None:
    assert (made["apiVersion"], made["kind"]) == ("kind.x-k8s.io/v1alpha4", "Cluster")
    assert problems(made, CLUSTER) == []
    made["nodes"][1]["mounts"] = []
    made["networking"]["podSubnet"] = 1
    assert sorted(problems(made, CLUSTER)) == [".networking.podSubnet: no str", ".nodes[1].mounts: unknown"]


def test_there_is_a_worker_for_each_node_with_its_labels_and_pools(made: dict[str, Any]) -> None:
    assert [node["role"] for node in made["nodes"]] == ["control-plane", *["worker"] * len(facts.NODES)]
    workers = made["nodes"][1:]
    assert [worker["labels"] for worker in workers] == [node.labels for node in facts.NODES]
    for worker in workers:
        assert [m["containerPath"] for m in worker["extraMounts"]] == [pool.path for pool in facts.POOLS]
    sources = [{m["containerPath"]: m["hostPath"] for m in worker["extraMounts"]} for worker in workers]
    for pool in facts.POOLS:
        assert len({source[pool.path] for source in sources}) == (1 if pool.shared else len(workers)), (
            pool.name
        )


def test_versions_and_addresses_are_the_development_clusters(made: dict[str, Any]) -> None:
    minor = facts.KUBERNETES_VERSION.rpartition(".")[0]
    for node in made["nodes"]:
        assert f":v{minor}." in node["image"]
        assert "@sha256:" in node["image"], "a tag may move"
    assert made["networking"]["podSubnet"] == facts.POD_RANGE
    assert made["networking"]["serviceSubnet"] == facts.SERVICE_RANGE
    assert (
        yaml.safe_load(config.cluster(HERE, "kindest/node:other"))["nodes"][0]["image"]
        == "kindest/node:other"
    )


def test_settings_are_the_development_clusters(made: dict[str, Any]) -> None:
    control_plane, kubelet = (json.loads(patch) for patch in made["kubeadmConfigPatches"])
    # kind writes v1beta3 for this Kubernetes, in which extraArgs are a map of strings.
    assert (control_plane["apiVersion"], control_plane["kind"]) == (
        "kubeadm.k8s.io/v1beta3",
        "ClusterConfiguration",
    )
    for name, ours in (
        ("controllerManager", manifests.controller_manager_arguments(HERE, HERE)),
        ("scheduler", manifests.scheduler_arguments(HERE)),
    ):
        arguments = control_plane[name]["extraArgs"]
        assert arguments
        assert {f"--{flag}={value}" for flag, value in arguments.items()} <= set(ours)
    ours = json.loads(manifests.kubelet(facts.NODES[0], HERE, HERE))
    assert kubelet.items() <= ours.items()
    assert not {"cgroupRoot", "cgroupDriver", "containerRuntimeEndpoint", "address"} & kubelet.keys(), (
        "kind's own"
    )


def test_its_pools_are_the_examples_but_for_the_mount_point() -> None:
    def read(path: Path) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(path.read_text()) if document]

    ours = read(REPOSITORY / "examples" / "01-pools.yaml")
    for pool in ours:
        pool["spec"]["backend"]["hostPath"]["requireMount"] = False
    assert read(REPOSITORY / "hack" / "kind" / "pools.yaml") == ours


def test_it_says_which_programs_are_missing(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", "hack.kind", "up"], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: CLUSTER=kind needs docker, kind, kubectl, helm on the PATH\n"


def test_the_chart_goes_to_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "kind")
    layout = facts.Layout.of(os.environ)
    assert environment.of_cluster(layout) == {"KUBECONFIG": str(layout.cache / "kind" / "kubeconfig")}


@pytest.mark.parametrize("cluster", ["", "kind"])
def test_make_asks_the_one_or_the_other(cluster: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "CLUSTER"}}
    command = [
        "make",
        "--no-print-directory",
        "-n",
        "cluster-up",
        *([f"CLUSTER={cluster}"] if cluster else []),
    ]
    said = subprocess.run(
        command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["python3", "-m", "hack.kind" if cluster else "hack.cluster", "up"]
