"""What the components are told: their configuration files, as pure functions of the facts in config.

Files are JSON where the reader takes YAML: every JSON document is one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hack.cluster import config

CLUSTER_NAME = "goldpool-dev"
NODE_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def as_yaml(*documents: object) -> str:
    return "\n---\n".join(json.dumps(document, indent=2) for document in documents) + "\n"


def kubeadm(pki: Path) -> str:
    """Only kubeadm's certificates and kubeconfigs are used; it runs nothing. It refuses a loopback address."""
    return as_yaml(
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": config.HOST_IP, "bindPort": config.API_SERVER_PORT},
            "nodeRegistration": {"name": "control-plane"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "clusterName": CLUSTER_NAME,
            "kubernetesVersion": f"v{config.KUBERNETES_VERSION}",
            "certificatesDir": str(pki),
            "networking": {"serviceSubnet": config.SERVICE_RANGE, "podSubnet": config.POD_RANGE},
            "apiServer": {"certSANs": ["127.0.0.1", "localhost", config.HOST_IP]},
        },
    )


def etcd_arguments(pki: Path, data: Path) -> list[str]:
    """Without fsync: the cluster is thrown away rather than repaired."""
    client, peer = f"https://{config.HOST_IP}:2379", f"https://{config.HOST_IP}:2380"
    own = pki / "etcd"
    return [
        f"--data-dir={data}",
        "--name=default",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={own}/ca.crt",
        f"--cert-file={own}/server.crt",
        f"--key-file={own}/server.key",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={own}/ca.crt",
        f"--peer-cert-file={own}/peer.crt",
        f"--peer-key-file={own}/peer.key",
        "--quota-backend-bytes=4294967296",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def apiserver_arguments(pki: Path) -> list[str]:
    """Bound to the bridge's address alone: nothing is served to the outside."""
    return [
        f"--advertise-address={config.HOST_IP}",
        f"--bind-address={config.HOST_IP}",
        f"--secure-port={config.API_SERVER_PORT}",
        f"--service-cluster-ip-range={config.SERVICE_RANGE}",
        f"--etcd-servers=https://{config.HOST_IP}:2379",
        f"--etcd-cafile={pki}/etcd/ca.crt",
        f"--etcd-certfile={pki}/apiserver-etcd-client.crt",
        f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
        f"--proxy-client-key-file={pki}/front-proxy-client.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
    ]


def controller_manager_arguments(pki: Path, kubeconfig: Path) -> list[str]:
    """Node loss shows after 12 s instead of 40, and many Jobs do not wait for a client-side rate limit."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={config.HOST_IP}",
        f"--client-ca-file={pki}/ca.crt",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=300",
        "--concurrent-job-syncs=20",
        "--node-monitor-grace-period=12s",
        "--node-monitor-period=2s",
    ]


def scheduler_arguments(kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={config.HOST_IP}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=300",
    ]


def cluster_admins() -> str:
    """Gives admin.conf and the API server's kubelet client their rights; without it `logs` and `exec` are
    forbidden."""
    return as_yaml(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kubeadm:cluster-admins"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "kubeadm:cluster-admins"}
            ],
        }
    )


def containerd(cni_configuration: Path) -> str:
    """Paths as the node sees them: they are the usual ones, on directories of its own.

    restrict_oom_score_adj is for machines that withhold CAP_SYS_RESOURCE: there no pod would start without it.
    """
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "{NODE_CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{config.PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{config.CNI_PLUGINS}"
    conf_dir = "{cni_configuration}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def cni(node: config.Node) -> str:
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_range}]]},
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return as_yaml({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins})


def kubelet(node: config.Node, pki: Path, resolver: Path) -> str:
    """cgroupRoot is the node's own: kubelets that shared one would clean up each other's pods.

    It exists on cgroup v1 and v2 alike; the driver is cgroupfs because no init system need run.
    """
    return as_yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.ip,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.pods_cgroup}",
            "clusterDNS": [config.HOST_IP],
            "containerRuntimeEndpoint": f"unix://{NODE_CONTAINERD_SOCKET}",
            "eventRecordQPS": 100,
            "evictionHard": {
                "memory.available": "64Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "kubeAPIBurst": 200,
            "kubeAPIQPS": 100,
            "nodeLeaseDurationSeconds": 10,
            "nodeStatusUpdateFrequency": "4s",
            "oomScoreAdj": 0,
            "readOnlyPort": 0,
            "resolvConf": str(resolver),
            "serializeImagePulls": False,
        }
    )


def kubelet_arguments(node: config.Node, own: Path) -> list[str]:
    labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    return [
        f"--config={own}/kubelet.yaml",
        f"--kubeconfig={own}/kubelet.conf",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        "--root-dir=/var/lib/kubelet",
        "--cert-dir=/var/lib/kubelet/pki",
        f"--node-labels={labels}",
    ]


def kube_proxy(node: config.Node, kubeconfig: Path, *, bridge_filter: bool) -> str:
    """Without the bridge filter all Service traffic is masqueraded, so that answers between pods of one node come back
    through the node and are translated. maxPerCore 0: the machine's connection table is not ours to size."""
    return as_yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": config.POD_RANGE,
            "conntrack": {"maxPerCore": 0, "min": 0},
            "hostnameOverride": node.name,
            "iptables": {"masqueradeAll": not bridge_filter, "minSyncPeriod": "0s", "syncPeriod": "30s"},
            "mode": "iptables",
            "oomScoreAdj": 0,
        }
    )


def resolver() -> str:
    """There is no DNS; asking the bridge's address is refused at once, where an unreachable one would hang."""
    return f"nameserver {config.HOST_IP}\noptions timeout:1 attempts:1\n"
