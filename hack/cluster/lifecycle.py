"""Bringing the cluster up, from nothing or from what a crash left, and taking it down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hack.cluster import (
    binaries,
    cgroups,
    config,
    controlplane,
    disks,
    images,
    mounts,
    network,
    nodes,
    packages,
    state,
    toolchain,
)
from hack.cluster.commands import CommandFailedError, wait_until
from hack.cluster.machine import Machine
from hack.cluster.progress import Progress

_INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH_INSTANCES = 2048


def running_machine(layout: config.Layout, progress: Progress) -> Machine:
    """For commands on a cluster that was brought up: the programs are those it runs."""
    known = state.read(layout.state_file)
    programs = {name: Path(path) for name, path in known["binaries"].items()} if known else {}
    return Machine(layout, progress, cgroups.detect(), programs)


@contextmanager
def locked(layout: config.Layout, *, shared: bool) -> Iterator[None]:
    """Commands that start or end daemons run one at a time; those that only touch a running node share. The lock ends
    with its process: daemons inherit no descriptor (PEP 446)."""
    while True:
        layout.run.mkdir(parents=True, exist_ok=True)
        with layout.lock_file.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if _is_same_file(file.fileno(), layout.lock_file):
                yield
                return
            # `down` removed the file while we waited; the next one may already lock a new one.


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def up(layout: config.Layout, progress: Progress) -> None:
    """Brings the cluster up and returns when all nodes are Ready and pods can be made.

    Starts only what does not run, so it is quick on a running cluster and repairs a damaged one. After a crash or a
    reboot the cluster is the same one: objects, disks and images are kept, pods are started anew.
    """
    if installed := packages.install_missing():
        progress.done(f"installed {', '.join(installed)}")
    programs = _programs(layout, progress)
    machine = Machine(layout, progress, cgroups.detect(), programs)
    before = _pids(machine)
    _allow_watches()
    network.create_bridge()
    with ThreadPoolExecutor(8) as threads:
        control_plane = threads.submit(_start_control_plane, machine)
        devices = disks.provide_disks(layout)
        pause = images.provide_pause(programs["pause"])
        prepared = [threads.submit(_prepare_node, machine, node, devices, pause) for node in config.NODES]
        for each in prepared:
            each.result()
        if _pids(machine).keys() - before.keys():
            progress.done("prepared the nodes")
        write_state(machine, devices)
        control_plane.result()
    began = datetime.now(UTC)
    prior = _pids(machine).keys()
    for node in config.NODES:
        nodes.start_kubernetes(machine, node)
    write_state(machine, devices)
    since = began if _pids(machine).keys() - prior else None
    nodes.await_ready(machine, {node.name for node in config.NODES if network.link_is_up(node)}, since)
    _await_service_account(machine)
    progress.done("the cluster is up")


def _programs(layout: config.Layout, progress: Progress) -> dict[str, Path]:
    go = toolchain.find(layout.cache)
    sets = (binaries.KUBERNETES, binaries.HELM, binaries.PAUSE)
    return {each.name: binaries.provide(each, go, layout.cache, progress) for each in sets}


def _start_control_plane(machine: Machine) -> None:
    controlplane.provide_certificates(machine)
    controlplane.start(machine)


def _prepare_node(machine: Machine, node: config.Node, devices: Mapping[Path, str], pause: Path) -> None:
    nodes.prepare(machine, node, devices)
    images.load_on(machine.layout, node, pause, images.archive_index(pause))


def _allow_watches() -> None:
    """Three kubelets and their containerds exceed the usual 128 inotify instances of one user. Raised only; it is the
    one setting of the machine that `down` leaves changed."""
    if int(_INOTIFY_INSTANCES.read_text()) < _ENOUGH_INSTANCES:
        with contextlib.suppress(OSError):
            _INOTIFY_INSTANCES.write_text(str(_ENOUGH_INSTANCES))


def _await_service_account(machine: Machine) -> None:
    """Pods are refused until the controller manager has made their namespace's account."""

    def exists() -> bool:
        with contextlib.suppress(CommandFailedError):
            machine.kubectl("get", "serviceaccount", "default", "-o", "name")
            return True
        return False

    wait_until(exists, what="default service account", timeout=120, interval=0.1)


def _pids(machine: Machine) -> dict[str, int]:
    registry = machine.registry
    living = ((name, registry.living(name)) for name in registry.names())
    return {name: identity.pid for name, identity in living if identity is not None}


def write_state(machine: Machine, devices: Mapping[Path, str]) -> None:
    described = state.describe(
        machine.layout,
        binaries=machine.binaries,
        devices=devices,
        pids=_pids(machine),
        cgroups=machine.hierarchies.version,
    )
    state.write(machine.layout.state_file, described)


def down(layout: config.Layout, progress: Progress, *, purge: bool = False) -> None:
    """Ends the cluster and everything it made on the machine, its disks and objects included. What stays: each node's
    image store, so that the next `up` loads nothing, unless `purge`; and the cache of built programs."""
    machine = running_machine(layout, progress)
    ended = len(_pids(machine))
    stuck = machine.registry.end(controlplane.NAMES, grace=0)
    with ThreadPoolExecutor(len(config.NODES)) as threads:
        list(threads.map(lambda node: nodes.remove(machine, node), config.NODES))
    stuck += machine.registry.end(machine.registry.names(), grace=0)
    if stuck:
        raise RuntimeError(f"processes that would not end: {[identity.pid for identity in stuck]}")
    cgroups.end_all(machine.hierarchies, config.CGROUP)
    progress.done(f"ended {ended} daemons and their pods")
    network.remove_bridge()
    network.remove_netns_mount(layout)
    disks.detach_all(layout)
    if mounted := mounts.mounts_below([layout.data, layout.run]):
        raise RuntimeError(f"mounted on the machine, so nothing was removed: {', '.join(mounted)}")
    cgroups.remove(machine.hierarchies, config.CGROUP)
    nodes.forget_directories(layout)
    for path in (layout.disks, layout.control_plane, layout.logs, layout.data / "made"):
        shutil.rmtree(path, ignore_errors=True)
    layout.state_file.unlink(missing_ok=True)
    if purge:
        shutil.rmtree(layout.data, ignore_errors=True)
    shutil.rmtree(layout.run, ignore_errors=True)
    progress.done("removed the cluster" + (" and its images" if purge else ""))
