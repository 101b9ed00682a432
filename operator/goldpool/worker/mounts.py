"""Is the pool's path the root of a file system of its own, or just a directory of the host's disk?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo. ``root`` is the path inside its file system that is mounted here."""

    root: str
    mount_point: str
    fs_type: str
    source: str


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts in the kernel's order; lines that are none are left out. Source: proc_pid_mountinfo(5)."""
    return tuple(mount for line in text.splitlines() if (mount := _mount(line)) is not None)


def _mount(line: str) -> Mount | None:
    before, separator, after = line.partition(" - ")  # optional fields end there: their number varies
    fields, tail = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(tail) < 2:
        return None
    return Mount(
        root=_unescaped(fields[3]),
        mount_point=_unescaped(fields[4]),
        fs_type=tail[0],
        source=_unescaped(tail[1]),
    )


def _unescaped(field: str) -> str:
    """The kernel writes space, tab, newline and backslash as octal."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def no_mount_point(mounts: Sequence[Mount], path: str) -> str | None:
    """Why ``path`` is not the root of a mounted file system, or None if it is.

    The bind mount that a hostPath volume makes of a host's mount point has the root ``/``; of a plain
    directory it has that directory's path. On btrfs the root names the subvolume, so it says nothing.
    """
    here = [mount for mount in mounts if mount.mount_point == path]
    if not here:
        return f"nothing is mounted at {path}"
    top = here[-1]  # the last of several mounts on one path covers the others
    if top.root == "/" or top.fs_type == "btrfs":
        return None
    return (
        f"the pool's path is no mount point: it is the directory {top.root} of {top.source} ({top.fs_type}); "
        "mount a disk there, or set requireMount: false"
    )
