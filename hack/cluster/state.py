"""The state file: what tests and people need to know about a running cluster, as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.cluster import config

VERSION = 1


def describe(
    layout: config.Layout,
    *,
    binaries: Mapping[str, Path],
    devices: Mapping[Path, str],
    pids: Mapping[str, int],
    cgroups: str,
) -> dict[str, Any]:
    """`binaries` are the directories of programs by set, `devices` the loop device by disk file, `pids` the running
    daemons by recorded name, `cgroups` "v1" or "v2"."""
    return {
        "version": VERSION,
        "kubernetes": config.KUBERNETES_VERSION,
        "hostIP": config.HOST_IP,
        "bridge": config.BRIDGE,
        "apiServer": config.API_SERVER_URL,
        "kubeconfig": str(layout.kubeconfig),
        "binaries": {name: str(path) for name, path in binaries.items()},
        "logs": str(layout.logs),
        "cgroups": cgroups,
        "pids": dict(pids),
        "nodes": [
            {
                "name": node.name,
                "ip": node.ip,
                "podRange": node.pod_range,
                "zone": node.zone,
                "netns": node.netns,
                "veth": node.veth,
                "cgroup": node.cgroup,
                "holderPid": pids.get(f"{node.name}.holder"),
                "containerdPid": pids.get(f"{node.name}.containerd"),
                "kubeletPid": pids.get(f"{node.name}.kubelet"),
                "containerdSocket": str(layout.containerd_socket(node)),
                "unmounted": f"/srv/{config.UNMOUNTED_DIRECTORY}",
                "pools": {
                    pool.name: {
                        "path": pool.path,
                        "fileSystem": str(pool.file_system),
                        "shared": pool.shared,
                        "device": devices.get(layout.disk(node, pool)),
                        "file": str(layout.disk(node, pool)),
                    }
                    for pool in config.POOLS
                },
            }
            for node in config.NODES
        ],
    }


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(state, indent=2) + "\n")
    unfinished.rename(path)


def read(path: Path) -> dict[str, Any] | None:
    """None when there is no cluster, or one of another version of this program."""
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state if state.get("version") == VERSION else None


def shell_exports(state: Mapping[str, Any], state_file: Path) -> str:
    """Lines for `eval "$(... env)"`."""
    programs = ":".join(state["binaries"][name] for name in ("kubernetes", "helm"))
    return "\n".join(
        [
            f"export KUBECONFIG='{state['kubeconfig']}'",
            f"export PATH='{programs}':\"$PATH\"",
            f"export GOLDPOOL_HOST_IP='{state['hostIP']}'",
            f"export GOLDPOOL_CLUSTER_STATE='{state_file}'",
            "",
        ]
    )
