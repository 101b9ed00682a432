"""What is mounted: on the machine, and in the mount namespace of a process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def inside(holder: int) -> list[str]:
    """Prefix of a command that is to run in the mount namespace of a process."""
    return ["nsenter", "-t", str(holder), "-m", "--"]


def is_mounted(holder: int, path: str) -> bool:
    return path in mount_points(Path(f"/proc/{holder}/mountinfo").read_text())


def mount_points(mountinfo: str) -> list[str]:
    """In the order in which they were mounted. The kernel writes blanks in paths as octal escapes."""
    fields = (line.split() for line in mountinfo.splitlines())
    return [each[4].replace("\\040", " ") for each in fields if len(each) > 4]


def held_by_others(mountinfo: str) -> list[str]:
    """Mounts that belong to what somebody does just now (a container or its build, a network namespace, a FUSE
    server), the latest first. A mount namespace that copied them would keep them busy after their owner let go."""
    points = mount_points(mountinfo)
    types = (line.split(" - ", 1)[1].split()[0] for line in mountinfo.splitlines() if " - " in line)
    passing = [
        point
        for point, kind in zip(points, types, strict=True)
        if point != "/" and (kind in ("overlay", "nsfs", "fuse") or kind.startswith("fuse."))
    ]
    return passing[::-1]


def mounts_below(directories: Iterable[Path]) -> list[str]:
    """Mount points of the machine itself at or under the directories, innermost first."""
    below = [str(directory) for directory in directories]
    points = mount_points(Path("/proc/self/mountinfo").read_text())
    return [p for p in reversed(points) if any(p == top or p.startswith(f"{top}/") for top in below)]
