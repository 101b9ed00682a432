"""The nodes' storage pools: sparse files on loop devices, mounted in the nodes' mount namespaces only.

A loop device stays attached while its pool is unmounted, so its counters in /sys/block survive. A device is ours when
its backing file lies in our directory; no other is ever detached.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hack.cluster import config
from hack.cluster.commands import CommandFailedError, run, succeeds, wait_until
from hack.cluster.mounts import inside, is_mounted


def all_disks(layout: config.Layout) -> dict[Path, config.Pool]:
    return {layout.disk(node, pool): pool for node in config.NODES for pool in config.POOLS}


def format_command(pool: config.Pool, file: Path) -> list[str]:
    """A new sparse file reads as zeros, so tables count as initialised without being written: neither now, nor by the
    kernel in the background, which would show in the disk's counters that tests read."""
    if pool.file_system is config.FileSystem.EXT4:
        options = "nodiscard,assume_storage_prezeroed=1"
        return ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, "-L", pool.name, str(file)]
    return ["mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=1", "-L", pool.name, str(file)]


def create_disk(file: Path, pool: config.Pool) -> None:
    """A formatted sparse file; it appears under its name only when complete."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    os.truncate(unfinished, pool.size)
    run(format_command(pool, unfinished))
    unfinished.rename(file)


def parse_attached(losetup_said: str, under: Path) -> dict[Path, str]:
    """Device by backing file, for files under a directory, from `losetup --json`."""
    if not losetup_said.strip():
        return {}
    found: dict[Path, str] = {}
    for device in json.loads(losetup_said)["loopdevices"]:
        # A deleted file is listed as "/path (deleted)".
        file = Path(str(device["back-file"]).removesuffix(" (deleted)"))
        if file.is_relative_to(under):
            found[file] = str(device["name"])
    return found


def attached(layout: config.Layout) -> dict[Path, str]:
    said = run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"])
    return parse_attached(said, layout.disks)


def attach(file: Path) -> str:
    """A loop device for the file. Direct I/O where the file system below can: its counters then show what a test
    wrote, and the page cache holds each byte once."""
    command = ["losetup", "--find", "--show"]
    try:
        return run([*command, "--direct-io=on", str(file)]).strip()
    except CommandFailedError:
        return run([*command, str(file)]).strip()


def provide_disks(layout: config.Layout) -> dict[Path, str]:
    """Creates, formats and attaches what is missing; the device of each disk."""
    devices = attached(layout)
    for file, pool in all_disks(layout).items():
        create_disk(file, pool)
        if file not in devices:
            devices[file] = attach(file)
    return devices


def mount_pool(holder: int, pool: config.Pool, device: str) -> None:
    """Mounts the pool in the mount namespace of process `holder`, unless it is mounted there."""
    if is_mounted(holder, pool.path):
        return
    run([*inside(holder), "mount", "-t", pool.file_system, device, pool.path])


def unmount_pool(holder: int, pool: config.Pool) -> None:
    """Pods that have the pool keep it, as on any node; new ones find the empty directory below."""
    if is_mounted(holder, pool.path):
        run([*inside(holder), "umount", pool.path])


def detach_all(layout: config.Layout, *, timeout: float = 15) -> None:
    """Detaches our loop devices and returns when they are free. Raises TimedOutError when something outside the
    cluster holds one: the kernel then frees it when that ends."""

    def none_left() -> bool:
        remaining = attached(layout)
        for device in remaining.values():
            succeeds(["losetup", "--detach", device])
        return not remaining

    wait_until(none_left, what="loop devices detached", timeout=timeout)
