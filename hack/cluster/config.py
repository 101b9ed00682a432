"""What the cluster is made of: versions, addresses, nodes, pools and where everything lives.

Facts only; nothing here touches the machine. All addresses lie in 198.18.0.0/15, the range that RFC 2544
reserves for benchmarks, so they meet no real network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KUBERNETES_VERSION = "1.34.4"
ETCD_VERSION = "3.6.4"
HELM_VERSION = "3.19.4"

RANGE = "198.18.0.0/15"
BRIDGE = "goldpool0"
HOST_IP = "198.18.0.1"
HOST_PREFIX = 24
POD_RANGE = "198.18.16.0/20"
SERVICE_RANGE = "198.19.0.0/16"
API_SERVER_PORT = 6443
API_SERVER_URL = f"https://{HOST_IP}:{API_SERVER_PORT}"

CGROUP = "goldpool-dev"
PAUSE_IMAGE = "goldpool.local/pause:1"
CNI_PLUGINS = Path("/usr/lib/cni")
GIB = 1024**3


class FileSystem(StrEnum):
    EXT4 = "ext4"
    XFS = "xfs"


@dataclass(frozen=True)
class Pool:
    """A file system on a loop device of its own, mounted on a node. A shared pool has the same bytes
    on every node."""

    name: str
    file_system: FileSystem
    shared: bool = False
    size: int = 8 * GIB

    @property
    def path(self) -> str:
        return f"/srv/{self.name}"


@dataclass(frozen=True)
class DiskSet:
    """Disks that one process of the end-to-end tests has to itself."""

    golden: Pool
    standard: Pool


TEST_SETS = tuple(
    DiskSet(Pool(f"test-golden{mark}", FileSystem.EXT4), Pool(f"test-standard{mark}", FileSystem.EXT4))
    for mark in ("", "-2", "-3")
)
POOLS = (
    Pool("golden", FileSystem.EXT4),
    Pool("standard", FileSystem.EXT4),
    Pool("fast", FileSystem.XFS),
    Pool("shared", FileSystem.XFS, shared=True),
    *(pool for each in TEST_SETS for pool in (each.golden, each.standard)),
)

UNMOUNTED_DIRECTORY = "unmounted"
"""A directory under /srv of every node that is never a mount point, as a pool whose disk is missing."""


@dataclass(frozen=True)
class Node:
    """A worker node. Its number (1..15) fixes its addresses and its names on the machine."""

    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def ip(self) -> str:
        return f"198.18.0.{10 + self.number}"

    @property
    def pod_range(self) -> str:
        return f"198.18.{16 + self.number}.0/24"

    @property
    def zone(self) -> str:
        return f"zone-{self.number}"

    @property
    def netns(self) -> str:
        return f"goldpool-{self.name}"

    @property
    def veth(self) -> str:
        """The machine's end of the node's link; the node's own end is eth0."""
        return f"gp-{self.name}"

    @property
    def cgroup(self) -> str:
        return f"{CGROUP}/{self.name}"

    @property
    def daemons_cgroup(self) -> str:
        return f"{self.cgroup}/daemons"

    @property
    def pods_cgroup(self) -> str:
        return f"{self.cgroup}/pods"

    @property
    def labels(self) -> dict[str, str]:
        return {
            "goldpool.io/golden": "true",
            "goldpool.io/standard": "true",
            "topology.kubernetes.io/zone": self.zone,
        }


NODES = tuple(Node(number) for number in (1, 2, 3))
CONTROL_PLANE_CGROUP = f"{CGROUP}/control-plane"


def node_named(name: str) -> Node:
    """Raises KeyError when there is no such node."""
    return {node.name: node for node in NODES}[name]


def pool_named(name: str) -> Pool:
    """Raises KeyError when there is no such pool."""
    return {pool.name: pool for pool in POOLS}[name]


@dataclass(frozen=True)
class Layout:
    """Where things live: `data` survives a reboot, `run` holds sockets and process records (unix paths
    must be short), `cache` holds built binaries and is shared by all clusters of this user."""

    data: Path
    run: Path
    cache: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Layout:
        home = Path(environ.get("HOME") or "/root")
        cache = environ.get("GOLDPOOL_CACHE") or environ.get("XDG_CACHE_HOME") or home / ".cache"
        return cls(
            data=Path(environ.get("GOLDPOOL_CLUSTER_DIR") or "/var/lib/goldpool-dev"),
            run=Path("/run/goldpool-dev"),
            cache=Path(cache) / "goldpool",
        )

    @property
    def state_file(self) -> Path:
        return self.data / "state.json"

    @property
    def lock_file(self) -> Path:
        return self.run / "lock"

    @property
    def kubeconfig(self) -> Path:
        return self.data / "control-plane" / "super-admin.conf"

    @property
    def control_plane(self) -> Path:
        return self.data / "control-plane"

    @property
    def pki(self) -> Path:
        return self.control_plane / "pki"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def records(self) -> Path:
        return self.run / "processes"

    @property
    def disks(self) -> Path:
        return self.data / "disks"

    def node(self, node: Node) -> Path:
        return self.data / "nodes" / node.name

    def containerd_run(self, node: Node) -> Path:
        return self.run / node.name

    def containerd_socket(self, node: Node) -> Path:
        """As seen from the machine; the node itself sees it as /run/containerd/containerd.sock."""
        return self.containerd_run(node) / "containerd.sock"

    def disk(self, node: Node, pool: Pool) -> Path:
        owner = "all" if pool.shared else node.name
        return self.disks / f"{owner}-{pool.name}.img"

    def node_directories(self, node: Node) -> dict[str, Path]:
        """Directories that a node has to itself, by the path under which it sees them.

        The rest of the file tree is the machine's own. Without these, the nodes would meet in fixed paths:
        the kubelet's device plugin socket, CNI's cache, container logs, shim sockets.
        """
        own = self.node(node)
        return {
            "/srv": own / "srv",
            "/var/lib/kubelet": own / "kubelet",
            "/var/lib/containerd": own / "containerd",
            "/var/lib/cni": own / "cni",
            "/var/log": own / "log",
            "/run/containerd": self.containerd_run(node),
        }
