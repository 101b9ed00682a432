"""The bridge, and each node's own network namespace with one link to it.

Nothing leaves the machine: a blackhole route covers the whole range whenever the bridge does not, and a node has
no default route.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from hack.cluster import config
from hack.cluster.commands import CommandFailedError, run, succeeds, wait_until
from hack.cluster.mounts import mount_points

NETNS_DIRECTORY = Path("/run/netns")
_NETNS_NOTE = "netns-mount"
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def bridge_filter_present() -> bool:
    """Whether iptables can see traffic between ports of a bridge. Without it, an answer that crosses only the pods'
    bridge bypasses kube-proxy's translation."""
    return _BRIDGE_FILTER.exists()


def bridge_batch() -> str:
    """Input of `ip -batch -` that sets the bridge's addresses and routes; repeatable."""
    return "\n".join(
        [
            f"address replace {config.HOST_IP}/{config.HOST_PREFIX} dev {config.BRIDGE}",
            f"link set {config.BRIDGE} up",
            f"route replace blackhole {config.RANGE} metric 4000000",
            *(f"route replace {node.pod_range} via {node.ip}" for node in config.NODES),
            # The API server calls webhooks and aggregated APIs by Service address; a node translates for it.
            f"route replace {config.SERVICE_RANGE} via {config.NODES[0].ip}",
            "",
        ]
    )


def node_batch(node: config.Node) -> str:
    """Input of `ip -batch -` inside the node's namespace; repeatable.

    Services get a route because an address must be routable before kube-proxy's rules see it; all else but
    the cluster is refused at once instead of timing out.
    """
    others = [other for other in config.NODES if other != node]
    return "\n".join(
        [
            "link set lo up",
            f"address replace {node.ip}/{config.HOST_PREFIX} dev eth0",
            "link set eth0 up",
            *(f"route replace {other.pod_range} via {other.ip}" for other in others),
            f"route replace {config.SERVICE_RANGE} via {config.HOST_IP}",
            "route replace unreachable default metric 4000000",
            "",
        ]
    )


def create_bridge() -> None:
    if not _link_exists(config.BRIDGE):
        run(["ip", "link", "add", config.BRIDGE, "type", "bridge", "forward_delay", "0"])
    run(["ip", "-batch", "-"], stdin=bridge_batch())


def create_node_network(layout: config.Layout, node: config.Node) -> None:
    """Makes what is missing. A cut link of an existing node stays cut."""
    if not _netns_usable(node):
        _remove_netns(node)
        _remember_netns_mount(layout)
        run(["ip", "netns", "add", node.netns])
    if not _link_exists(node.veth):
        end = ["peer", "name", "eth0", "netns", node.netns]
        run(["ip", "link", "add", node.veth, "type", "veth", *end])
        run(["ip", "link", "set", node.veth, "up"])
    run(["ip", "link", "set", node.veth, "master", config.BRIDGE])
    run(["ip", "-n", node.netns, "-batch", "-"], stdin=node_batch(node))
    settings = ["net/ipv4/ip_forward=1", "net/ipv6/conf/all/disable_ipv6=1"]
    if bridge_filter_present():
        settings.append("net/bridge/bridge-nf-call-iptables=1")
    script = "; ".join(f"echo {s.split('=')[1]} > /proc/sys/{s.split('=')[0]}" for s in settings)
    run(["nsenter", f"--net={netns_path(node)}", "sh", "-ec", script])


def netns_path(node: config.Node) -> Path:
    return NETNS_DIRECTORY / node.netns


def set_link(node: config.Node, *, up: bool) -> None:
    """Cuts the node off, or connects it again. Its processes notice nothing but the silence."""
    run(["ip", "link", "set", node.veth, "up" if up else "down"])


def link_is_up(node: config.Node) -> bool:
    with contextlib.suppress(CommandFailedError):
        flags = run(["ip", "-o", "link", "show", "dev", node.veth]).split(">", 1)[0]
        return "UP" in flags.split("<", 1)[-1].split(",")
    return False


def remove_node_network(node: config.Node) -> None:
    """Deletes link and namespace, and returns when the link's name is free again."""
    if _link_exists(node.veth):
        run(["ip", "link", "delete", node.veth])
    _remove_netns(node)
    wait_until(lambda: not _link_exists(node.veth), what=f"{node.veth} gone", timeout=10)


def remove_bridge() -> None:
    if _link_exists(config.BRIDGE):
        run(["ip", "link", "delete", config.BRIDGE])
    succeeds(["ip", "route", "delete", "blackhole", config.RANGE, "metric", "4000000"])


def _remember_netns_mount(layout: config.Layout) -> None:
    """`ip netns add` mounts its directory on itself when nobody has; noted, so that `down` undoes it."""
    if str(NETNS_DIRECTORY) not in mount_points(Path("/proc/self/mountinfo").read_text()):
        (layout.data / "made").mkdir(parents=True, exist_ok=True)
        (layout.data / "made" / _NETNS_NOTE).touch()


def remove_netns_mount(layout: config.Layout) -> None:
    """Only when it is ours and nobody else's namespace is there."""
    note = layout.data / "made" / _NETNS_NOTE
    if note.exists() and not any(NETNS_DIRECTORY.glob("*")):
        while str(NETNS_DIRECTORY) in mount_points(Path("/proc/self/mountinfo").read_text()):
            run(["umount", str(NETNS_DIRECTORY)])
        if NETNS_DIRECTORY.exists():
            NETNS_DIRECTORY.rmdir()
    note.unlink(missing_ok=True)


def _link_exists(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _netns_usable(node: config.Node) -> bool:
    """False also for the plain file that remains of a namespace after a reboot when /run is on disk."""
    return netns_path(node).exists() and succeeds(["nsenter", f"--net={netns_path(node)}", "true"])


def _remove_netns(node: config.Node) -> None:
    if netns_path(node).exists():
        run(["ip", "netns", "delete", node.netns])
