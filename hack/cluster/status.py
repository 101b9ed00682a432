"""The cluster's state as a table for people."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import config, disks, mounts, network, nodes
from hack.cluster.commands import CommandFailedError
from hack.cluster.machine import Machine
from hack.cluster.processes import Identity


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def resident_mebibytes(status: str) -> int:
    """VmRSS of a text of /proc/PID/status, in MiB; 0 when it has none."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def render(machine: Machine) -> str:
    ready: set[str] = set()
    reachable = False
    if machine.binaries:
        with contextlib.suppress(CommandFailedError):
            ready = nodes.ask_ready(machine)
            reachable = True
    api = f"API server   {config.API_SERVER_URL}  {'answers' if reachable else 'does not answer'}"
    return "\n\n".join([api, _processes(machine), _nodes(machine, ready), _pools(machine)])


def _processes(machine: Machine) -> str:
    rows = [("PROCESS", "PID", "STATE", "MEMORY")]
    registry = machine.registry
    for name in registry.names():
        identity = registry.living(name)
        rows.append(
            (name, str(identity.pid), "running", f"{_memory(identity)} MiB")
            if identity is not None
            else (name, "-", "ended", "-")
        )
    return table(rows)


def _memory(identity: Identity) -> int:
    try:
        return resident_mebibytes(Path(f"/proc/{identity.pid}/status").read_text())
    except OSError:
        return 0


def _nodes(machine: Machine, ready: set[str]) -> str:
    rows = [("NODE", "READY", "LINK", "KUBELET", "ADDRESS", "PODS")]
    for node in config.NODES:
        kubelet = machine.registry.living(nodes.daemon(node, "kubelet"))
        rows.append(
            (
                node.name,
                "yes" if node.name in ready else "no",
                "up" if network.link_is_up(node) else "down",
                "running" if kubelet is not None else "stopped",
                node.ip,
                node.pod_range,
            )
        )
    return table(rows)


def _pools(machine: Machine) -> str:
    rows = [("NODE", "POOL", "MOUNTED", "DEVICE", "FILE SYSTEM", "ON DISK")]
    devices = disks.attached(machine.layout)
    for node in config.NODES:
        holder = machine.registry.living(nodes.daemon(node, "holder"))
        for pool in config.POOLS:
            file = machine.layout.disk(node, pool)
            mounted = holder is not None and mounts.is_mounted(holder.pid, pool.path)
            size = f"{file.stat().st_blocks * 512 // 1024**2} MiB" if file.exists() else "-"
            row = (node.name, pool.path, "yes" if mounted else "no", devices.get(file, "-"))
            rows.append((*row, f"{pool.file_system}{', shared' if pool.shared else ''}", size))
    return table(rows)
