"""A worker node: a network and a mount namespace of its own with containerd, kubelet and kube-proxy.

A `holder` process, which only sleeps, owns the mount namespace; everything else of the node enters it, so containerd
can crash and return without losing a mount. When the holder is gone, the node counts as rebooted: what is left of it
is ended and it starts afresh, its disks, images and Kubernetes identity kept.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hack.cluster import cgroups, config, disks, images, manifests, mounts, network
from hack.cluster.commands import CommandFailedError, run, wait_until
from hack.cluster.controlplane import user_kubeconfig
from hack.cluster.machine import Machine, write_if_changed
from hack.cluster.processes import Identity

# The arguments are mounts of the machine that the new namespace must not keep alive.
_HOLD = 'mount --make-rshared / && { for p do umount -l "$p" || :; done; exec sleep infinity; }'


def daemon(node: config.Node, name: str) -> str:
    """The name under which a node's daemon is recorded: holder, containerd, kubelet or kube-proxy."""
    return f"{node.name}.{name}"


def prepare(machine: Machine, node: config.Node, devices: Mapping[Path, str]) -> None:
    """Namespaces, mounts and a containerd that answers. Needs no API server."""
    holder = machine.registry.living(daemon(node, "holder"))
    if holder is None:
        reset(machine, node)
    network.create_node_network(machine.layout, node)
    if holder is None:
        holder = _start_holder(machine, node)
    _mount_directories(machine, node, holder)
    for pool in config.POOLS:
        if not unmounted_on_purpose(machine, node, pool).exists():
            disks.mount_pool(holder.pid, pool, devices[machine.layout.disk(node, pool)])
    _start_containerd(machine, node, holder)


def reset(machine: Machine, node: config.Node) -> None:
    """Ends whatever runs of the node, with its pods, and clears what only its processes gave a meaning.

    Its mounts end with its last process, because they exist in its mount namespace only.
    """
    machine.registry.end([daemon(node, name) for name in ("kubelet", "kube-proxy", "containerd")], grace=0)
    cgroups.end_all(machine.hierarchies, node.cgroup)
    machine.registry.end([daemon(node, "holder")], grace=0)
    cgroups.remove(machine.hierarchies, node.cgroup)
    network.remove_node_network(node)
    for path in mounts.mounts_below([machine.layout.node(node), machine.layout.containerd_run(node)]):
        run(["umount", "--lazy", path])
    directories = machine.layout.node_directories(node)
    for path in ("/run/containerd", "/var/lib/cni"):
        shutil.rmtree(directories[path], ignore_errors=True)
    for pool in config.POOLS:
        unmounted_on_purpose(machine, node, pool).unlink(missing_ok=True)


def unmounted_on_purpose(machine: Machine, node: config.Node, pool: config.Pool) -> Path:
    """Exists while somebody wants the pool unmounted, so that `up` does not undo it under a fault test."""
    return machine.layout.node(node) / f"unmounted-{pool.name}"


def _start_holder(machine: Machine, node: config.Node) -> Identity:
    enter = ["nsenter", f"--net={network.netns_path(node)}", "unshare", "--mount", "--propagation", "private"]
    not_ours = mounts.held_by_others(Path("/proc/self/mountinfo").read_text())
    hold = ["sh", "-c", _HOLD, "holder", *not_ours]
    holder = machine.launch(daemon(node, "holder"), [*enter, *hold], node.daemons_cgroup)

    def sleeps() -> bool:
        if machine.registry.living(daemon(node, "holder")) is None:
            raise RuntimeError(f"{node.name} did not start: {machine.registry.tail(daemon(node, 'holder'))}")
        return Path(f"/proc/{holder.pid}/comm").read_text().strip() == "sleep"

    wait_until(sleeps, what=f"{node.name}: mount namespace", timeout=60, interval=0.01)
    return holder


def _mount_directories(machine: Machine, node: config.Node, holder: Identity) -> None:
    for path, own in machine.layout.node_directories(node).items():
        own.mkdir(parents=True, exist_ok=True)
        if path == "/srv":
            for name in (*(pool.name for pool in config.POOLS), config.UNMOUNTED_DIRECTORY):
                (own / name).mkdir(exist_ok=True)
        remember_directory(machine.layout, Path(path))
        if not mounts.is_mounted(holder.pid, path):
            enter = mounts.inside(holder.pid)
            # A bind of a shared tree is its peer: what is mounted under it would show at both places.
            run([*enter, "mount", "--bind", "--make-private", str(own), path])
            run([*enter, "mount", "--make-shared", path])


def remember_directory(layout: config.Layout, path: Path) -> None:
    """Makes a directory of the machine that is only a mount point for the nodes, and notes that it is ours."""
    if not path.exists():
        note = layout.data / "made" / str(path).replace("/", "|")
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
        path.mkdir(parents=True, exist_ok=True)


def forget_directories(layout: config.Layout) -> None:
    """Removes those of them that are still empty."""
    for note in (layout.data / "made").glob("|*"):
        with contextlib.suppress(OSError):
            Path(note.name.replace("|", "/")).rmdir()
        note.unlink()


def _start_containerd(machine: Machine, node: config.Node, holder: Identity) -> None:
    own = machine.layout.node(node)
    write_if_changed(own / "containerd.toml", manifests.containerd(own / "net.d"))
    write_if_changed(own / "net.d" / "10-pods.conflist", manifests.cni(node))
    _launch_inside(
        machine, node, "containerd", holder, ["/usr/bin/containerd", "-c", f"{own}/containerd.toml"]
    )
    ask = [*images.ctr(machine.layout, node), "version"]

    def answers() -> bool:
        if machine.registry.living(daemon(node, "containerd")) is None:
            raise RuntimeError(f"containerd ended: {machine.registry.tail(daemon(node, 'containerd'))}")
        with contextlib.suppress(CommandFailedError):
            run(ask, timeout=10)
            return True
        return False

    wait_until(answers, what=f"{node.name}: containerd", timeout=120)


def _launch_inside(
    machine: Machine, node: config.Node, name: str, holder: Identity, argv: list[str]
) -> Identity:
    enter = ["nsenter", "-t", str(holder.pid), "-m", "-n", "--"]
    return machine.launch(daemon(node, name), [*enter, *argv], node.daemons_cgroup)


def start_kubernetes(machine: Machine, node: config.Node) -> None:
    """Kubelet and kube-proxy. Needs the certificates, and the node prepared."""
    own = machine.layout.node(node)
    holder = machine.registry.living(daemon(node, "holder"))
    if holder is None:
        raise RuntimeError(f"{node.name} is not there; run `up`")
    write_if_changed(own / "resolv.conf", manifests.resolver())
    write_if_changed(own / "kubelet.yaml", manifests.kubelet(node, machine.layout.pki, own / "resolv.conf"))
    bridge_filter = network.bridge_filter_present()
    write_if_changed(
        own / "kube-proxy.yaml",
        manifests.kube_proxy(node, own / "kube-proxy.conf", bridge_filter=bridge_filter),
    )
    _provide_kubeconfig(machine, own / "kubelet.conf", f"system:node:{node.name}", "system:nodes")
    _provide_kubeconfig(machine, own / "kube-proxy.conf", "system:kube-proxy")
    cgroups.create(machine.hierarchies, node.pods_cgroup)
    kubelet = [machine.program("kubelet"), *manifests.kubelet_arguments(node, own)]
    proxy = [machine.program("kube-proxy"), f"--config={own}/kube-proxy.yaml"]
    _launch_inside(machine, node, "kubelet", holder, kubelet)
    _launch_inside(machine, node, "kube-proxy", holder, proxy)


def _provide_kubeconfig(machine: Machine, path: Path, user: str, *organisations: str) -> None:
    """One that another cluster's authority signed is replaced: `down` makes a new authority."""
    authority = machine.layout.pki / "ca.crt"
    if not path.exists() or path.stat().st_mtime < authority.stat().st_mtime:
        write_if_changed(path, user_kubeconfig(machine, user, *organisations), mode=0o600)


def ready_nodes(nodes: str, leases: str, since: datetime) -> set[str]:
    """Nodes whose condition is Ready and whose kubelet renewed its lease after `since`, from two lists as JSON. The
    condition alone may be a leftover from before a crash."""
    alive = {
        lease["metadata"]["name"]
        for lease in json.loads(leases)["items"]
        if (renewed := lease["spec"].get("renewTime")) and datetime.fromisoformat(renewed) > since
    }
    return {
        node["metadata"]["name"]
        for node in json.loads(nodes)["items"]
        if node["metadata"]["name"] in alive
        and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
    }


def ask_ready(machine: Machine, since: datetime | None = None) -> set[str]:
    """By default: alive within the lease's duration."""
    nodes = machine.kubectl("get", "nodes", "-o", "json")
    leases = machine.kubectl("get", "leases", "-n", "kube-node-lease", "-o", "json")
    return ready_nodes(nodes, leases, since or datetime.now(UTC) - timedelta(seconds=10))


def await_ready(machine: Machine, names: set[str], since: datetime | None, timeout: float = 300) -> None:
    def ready() -> bool:
        for name in names:
            kubelet = f"{name}.kubelet"
            if machine.registry.living(kubelet) is None:
                raise RuntimeError(f"{kubelet} ended; the end of its log:\n{machine.registry.tail(kubelet)}")
        with contextlib.suppress(CommandFailedError):
            return names <= ask_ready(machine, since)
        return False

    wait_until(ready, what=f"{', '.join(sorted(names))} Ready", timeout=timeout, interval=0.2)


def remove(machine: Machine, node: config.Node) -> None:
    """Ends the node and all its pods, and forgets it. Its image store stays, without containers."""
    machine.registry.end([daemon(node, name) for name in ("kubelet", "kube-proxy")], grace=0)
    cgroups.end_all(machine.hierarchies, node.pods_cgroup)
    if machine.registry.living(daemon(node, "containerd")) is not None:
        with contextlib.suppress(CommandFailedError):
            _forget_containers(machine, node)
        machine.registry.end([daemon(node, "containerd")], grace=5)
    reset(machine, node)
    directories = machine.layout.node_directories(node)
    for path, own in directories.items():
        if path != "/var/lib/containerd":
            shutil.rmtree(own, ignore_errors=True)
    for kubeconfig in machine.layout.node(node).glob("*.conf"):
        kubeconfig.unlink()


def _forget_containers(machine: Machine, node: config.Node) -> None:
    """The next cluster's kubelet would otherwise find, and clean up, the pods of this one."""
    ctr = images.ctr(machine.layout, node)
    tasks = run([*ctr, "tasks", "ls", "-q"], timeout=10).split()
    for task in tasks:
        with contextlib.suppress(CommandFailedError):
            run([*ctr, "tasks", "delete", "--force", task], timeout=10)
    if containers := run([*ctr, "containers", "ls", "-q"], timeout=10).split():
        run([*ctr, "containers", "rm", *containers], timeout=60)
