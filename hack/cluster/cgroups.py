"""The cgroups that this program creates, in every hierarchy, and the processes in them.

Membership is the proof of origin: whatever runs in a cgroup that we created was started by us or by our
containerd, so pods' shims and containers are found, and ended, without guessing by name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hack.cluster import processes

V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


class Version(StrEnum):
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True)
class Hierarchies:
    """Where cgroups are made: one root per controller on v1, a single one on v2.

    `shadows` are trees in which we make none, but runc does beside its v1 cgroups: the v2 tree of a hybrid machine.
    """

    version: Version
    roots: tuple[Path, ...]
    shadows: tuple[Path, ...] = ()


def parse_mounts(mounts: str) -> Hierarchies:
    """From the text of /proc/mounts. A hybrid machine (v1 controllers beside an empty v2 tree) counts as v1:
    that is where its controllers are. Raises ValueError when there are no cgroups at all."""
    by_type: dict[str, list[Path]] = {"cgroup": [], "cgroup2": []}
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] in by_type and Path(fields[1]) not in by_type[fields[2]]:
            by_type[fields[2]].append(Path(fields[1]))
    if by_type["cgroup"]:
        return Hierarchies(Version.V1, tuple(by_type["cgroup"]), tuple(by_type["cgroup2"]))
    if by_type["cgroup2"]:
        return Hierarchies(Version.V2, (by_type["cgroup2"][0],))
    raise ValueError("no cgroup hierarchy is mounted")


def detect() -> Hierarchies:
    return parse_mounts(Path("/proc/mounts").read_text())


def create(hierarchies: Hierarchies, cgroup: str) -> None:
    """Makes the cgroup and its ancestors usable in every hierarchy; harmless when it exists."""
    for root in hierarchies.roots:
        directory = root
        for part in cgroup.split("/"):
            if hierarchies.version is Version.V2:
                _delegate(directory)  # a controller serves below a cgroup only when enabled in it
            directory = directory / part
            directory.mkdir(exist_ok=True)
            if hierarchies.version is Version.V1:
                _inherit_cpuset(directory)


def _inherit_cpuset(directory: Path) -> None:
    """A new v1 cpuset is empty and admits no process until it is given processors and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = directory / name
        if own.exists() and not own.read_text().strip():
            own.write_text((directory.parent / name).read_text())


def to_enable(available: str, enabled: str) -> list[str]:
    """What to write to cgroup.subtree_control, from it and cgroup.controllers, one controller at a time: a single one
    that the kernel refuses would make it refuse all."""
    return [f"+{c}" for c in V2_CONTROLLERS if c in available.split() and c not in enabled.split()]


def _delegate(directory: Path) -> None:
    control = directory / "cgroup.subtree_control"
    for change in to_enable((directory / "cgroup.controllers").read_text(), control.read_text()):
        with contextlib.suppress(OSError):
            control.write_text(change)


def procs_files(hierarchies: Hierarchies, cgroup: str) -> list[Path]:
    """Writing 0 to each of them moves the writer into the cgroup."""
    return [root / cgroup / "cgroup.procs" for root in hierarchies.roots]


def processes_in(hierarchies: Hierarchies, cgroup: str) -> set[processes.Identity]:
    """Everything that runs in the cgroup or below it, in any hierarchy."""
    found: set[processes.Identity] = set()
    for root in (*hierarchies.roots, *hierarchies.shadows):
        for directory in _tree(root / cgroup):
            with contextlib.suppress(OSError):
                for pid in (directory / "cgroup.procs").read_text().split():
                    if (identity := processes.identify(int(pid))) is not None:
                        found.add(identity)
    return found


def _tree(top: Path) -> list[Path]:
    """The cgroup and all below it; none when there is no such cgroup. Containers' cgroups vanish while they are listed,
    which os.walk forgives and rglob does not."""
    return [Path(directory) for directory, _, _ in os.walk(top)]


def end_all(hierarchies: Hierarchies, cgroup: str, *, timeout: float = 20) -> None:
    """Kills what runs in the cgroup until nothing does. Raises TimeoutError with the ids that stayed.

    An id is confirmed to be in the cgroup after its identity was pinned, so a reused one is never hit.
    """
    deadline = time.monotonic() + timeout
    while living := processes_in(hierarchies, cgroup):
        for identity in living:
            if is_member(cgroup, identity.pid):
                processes.send(identity, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {cgroup} did not end: {sorted(p.pid for p in living)}")
        time.sleep(0.02)


def is_member(cgroup: str, pid: int) -> bool:
    try:
        memberships = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
    return names_cgroup(memberships, cgroup)


def names_cgroup(memberships: str, cgroup: str) -> bool:
    """Whether a text of /proc/PID/cgroup places the process in the cgroup or below it."""
    paths = (line.split(":", 2)[2] for line in memberships.splitlines() if line.count(":") >= 2)
    return any(path == f"/{cgroup}" or path.startswith(f"/{cgroup}/") for path in paths)


def remove(hierarchies: Hierarchies, cgroup: str) -> None:
    """Removes the cgroup and all below it, from the leaves. It must hold no process."""
    for root in (*hierarchies.roots, *hierarchies.shadows):
        top = root / cgroup
        for directory in sorted(_tree(top), reverse=True):
            _remove_one(directory)


def _remove_one(directory: Path) -> None:
    """The kernel reports EBUSY for a moment after the last process has ended."""
    for _ in range(100):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"{directory} is still busy")
