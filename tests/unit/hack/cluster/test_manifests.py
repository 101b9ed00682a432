"""What the components are told, where a wrong word would be a broken cluster."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import config, manifests, network

NODE = config.NODES[1]
PKI = Path("/d/pki")


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(part) for part in text.split("\n---\n")]


def kubelet() -> dict[str, Any]:
    [told] = documents(manifests.kubelet(NODE, PKI, Path("/d/resolv.conf")))
    return told


def test_each_kubelet_has_a_cgroup_root_of_its_own_under_ours() -> None:
    roots = {documents(manifests.kubelet(node, PKI, Path("/r")))[0]["cgroupRoot"] for node in config.NODES}
    assert len(roots) == len(config.NODES)
    assert all(root.startswith(f"/{config.CGROUP}/") for root in roots)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cgroupDriver", "cgroupfs"),  # no systemd, on v1 and on v2
        ("failCgroupV1", False),  # v1 is served, v2 does not ask
        ("failSwapOn", False),
        ("nodeStatusUpdateFrequency", "4s"),
        ("nodeLeaseDurationSeconds", 10),
        ("readOnlyPort", 0),
    ],
)
def test_a_kubelet_is_told(setting: str, value: object) -> None:
    assert kubelet()[setting] == value


def test_a_kubelet_admits_nobody_unknown() -> None:
    assert kubelet()["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet()["authorization"] == {"mode": "Webhook"}


def test_nodes_register_with_their_pool_labels() -> None:
    [labels] = [a for a in manifests.kubelet_arguments(NODE, Path("/n")) if a.startswith("--node-labels=")]
    expected = "goldpool.io/golden=true,goldpool.io/standard=true,topology.kubernetes.io/zone=zone-2"
    assert labels == f"--node-labels={expected}"


def test_node_loss_is_noticed_after_three_missed_heartbeats() -> None:
    arguments = manifests.controller_manager_arguments(PKI, Path("/k"))
    assert "--node-monitor-grace-period=12s" in arguments
    assert "--node-monitor-period=2s" in arguments


def test_nothing_listens_beyond_the_bridge() -> None:
    components = [
        manifests.apiserver_arguments(PKI),
        manifests.controller_manager_arguments(PKI, Path("/k")),
        manifests.scheduler_arguments(Path("/k")),
    ]
    assert all(f"--bind-address={config.HOST_IP}" in arguments for arguments in components)
    listening = [a for a in manifests.etcd_arguments(PKI, Path("/e")) if a.startswith("--listen-")]
    assert [a.split("//")[1].split(":")[0] for a in listening] == [config.HOST_IP] * 2


def test_containerd_reads_its_configuration() -> None:
    told = tomllib.loads(manifests.containerd(Path("/n/net.d")))
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == config.PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"]["conf_dir"] == "/n/net.d"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is False


def test_pods_get_addresses_of_their_nodes_range() -> None:
    [told] = documents(manifests.cni(NODE))
    assert told["plugins"][0]["ipam"]["ranges"] == [[{"subnet": NODE.pod_range}]]
    assert [plugin["type"] for plugin in told["plugins"]] == ["bridge", "portmap"]


@pytest.mark.parametrize("bridge_filter", [True, False])
def test_service_traffic_is_masqueraded_where_iptables_sees_no_bridge(bridge_filter: bool) -> None:
    [told] = documents(manifests.kube_proxy(NODE, Path("/k"), bridge_filter=bridge_filter))
    assert told["iptables"]["masqueradeAll"] is not bridge_filter


def test_kubeadm_signs_for_the_bridges_address() -> None:
    init, cluster = documents(manifests.kubeadm(PKI))
    assert init["localAPIEndpoint"]["advertiseAddress"] == config.HOST_IP
    assert {"127.0.0.1", config.HOST_IP} <= set(cluster["apiServer"]["certSANs"])
    assert cluster["certificatesDir"] == str(PKI)


def test_the_machine_blocks_the_range_when_the_bridge_is_gone() -> None:
    assert f"route replace blackhole {config.RANGE} metric 4000000" in network.bridge_batch().splitlines()


def test_a_node_reaches_other_nodes_pods_and_nothing_outside() -> None:
    lines = network.node_batch(NODE).splitlines()
    for other in config.NODES:
        assert (f"route replace {other.pod_range} via {other.ip}" in lines) is (other != NODE)
    assert "route replace unreachable default metric 4000000" in lines
