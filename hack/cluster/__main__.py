"""python3 -m hack.cluster: the development cluster's commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster import config, controlplane, disks, images, lifecycle, network, nodes, state, status
from hack.cluster.commands import CommandFailedError, TimedOutError
from hack.cluster.machine import Machine
from hack.cluster.progress import Progress


def parser() -> argparse.ArgumentParser:
    names = [node.name for node in config.NODES]
    top = argparse.ArgumentParser(prog="python3 -m hack.cluster", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start what does not run; build and install what is missing")
    down = commands.add_parser("down", help="end the cluster and all it made; image stores stay")
    down.add_argument("--purge", action="store_true", help="remove the image stores too")
    commands.add_parser("status", help="show processes, nodes and pools")
    commands.add_parser("env", help="print shell exports: KUBECONFIG, PATH, GOLDPOOL_...")
    load = commands.add_parser("load", help="import an OCI archive on every node that lacks its images")
    load.add_argument("archive", type=Path)
    link = commands.add_parser("link", help="cut or restore a node's network link")
    link.add_argument("node", choices=names)
    link.add_argument("to", choices=["up", "down"])
    kubelet = commands.add_parser("kubelet", help="stop or start a node's kubelet; its pods run on")
    kubelet.add_argument("node", choices=names)
    kubelet.add_argument("to", choices=["stop", "start"])
    commands.add_parser("restart-apiserver", help="kill the API server and start it again; etcd runs on")
    pool = commands.add_parser("pool", help="mount or unmount a pool on a node")
    pool.add_argument("node", choices=names)
    pool.add_argument("pool", choices=[pool.name for pool in config.POOLS])
    pool.add_argument("to", choices=["mount", "umount"])
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    layout = config.Layout.of(os.environ)
    progress = Progress()
    try:
        if chosen.command == "env":
            print(_exports(layout), end="")
        elif chosen.command == "status":
            print(status.render(lifecycle.running_machine(layout, progress)))
        elif os.geteuid() != 0:
            raise RuntimeError("namespaces, mounts and cgroups need root")
        else:
            with lifecycle.locked(layout, shared=chosen.command in ("load", "link", "pool")):
                _change(chosen, layout, progress)
    except (CommandFailedError, TimedOutError, RuntimeError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _exports(layout: config.Layout) -> str:
    known = state.read(layout.state_file)
    if known is None:
        raise RuntimeError("there is no cluster; run `python3 -m hack.cluster up`")
    return state.shell_exports(known, layout.state_file)


def _change(chosen: argparse.Namespace, layout: config.Layout, progress: Progress) -> None:
    match chosen.command:
        case "up":
            lifecycle.up(layout, progress)
        case "down":
            lifecycle.down(layout, progress, purge=chosen.purge)
        case "load":
            for name, needed in images.load(layout, chosen.archive).items():
                progress.done(f"{name}: {'imported' if needed else 'had'} {chosen.archive.name}")
        case "link":
            network.set_link(config.node_named(chosen.node), up=chosen.to == "up")
            progress.done(f"{chosen.node}: link {chosen.to}")
        case "kubelet":
            _kubelet(lifecycle.running_machine(layout, progress), config.node_named(chosen.node), chosen.to)
        case "restart-apiserver":
            _restart_apiserver(lifecycle.running_machine(layout, progress))
        case "pool":
            machine = lifecycle.running_machine(layout, progress)
            _pool(machine, config.node_named(chosen.node), config.pool_named(chosen.pool), chosen.to)


def _kubelet(machine: Machine, node: config.Node, to: str) -> None:
    if to == "stop":
        machine.registry.end([nodes.daemon(node, "kubelet")], grace=5)
        machine.progress.done(f"{node.name}: kubelet stopped")
    else:
        nodes.start_kubernetes(machine, node)
        machine.progress.done(f"{node.name}: kubelet started")
    lifecycle.write_state(machine, disks.attached(machine.layout))


def _restart_apiserver(machine: Machine) -> None:
    """As after a crash: no connection is closed properly, no watch is told anything."""
    machine.registry.end(["kube-apiserver"], grace=0)
    controlplane.start(machine)
    lifecycle.write_state(machine, disks.attached(machine.layout))


def _pool(machine: Machine, node: config.Node, pool: config.Pool, to: str) -> None:
    holder = machine.registry.living(nodes.daemon(node, "holder"))
    if holder is None:
        raise RuntimeError(f"{node.name} is not there; run `up`")
    on_purpose = nodes.unmounted_on_purpose(machine, node, pool)
    if to == "umount":
        on_purpose.touch()
        disks.unmount_pool(holder.pid, pool)
    else:
        device = disks.attached(machine.layout)[machine.layout.disk(node, pool)]
        disks.mount_pool(holder.pid, pool, device)
        on_purpose.unlink(missing_ok=True)
    machine.progress.done(f"{node.name}: {pool.path} {'mounted' if to == 'mount' else 'unmounted'}")


if __name__ == "__main__":
    sys.exit(main())
