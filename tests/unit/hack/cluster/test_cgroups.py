"""Where cgroups are made on v1, v2 and hybrid machines, and whose processes are in ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.cluster import cgroups
from hack.cluster.cgroups import Hierarchies, Version

V1 = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
"""
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"
SHADOW = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
V1_ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/systemd"))


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (V1, Hierarchies(Version.V1, V1_ROOTS)),
        (V1 + SHADOW, Hierarchies(Version.V1, V1_ROOTS, (Path("/sys/fs/cgroup/unified"),))),
        (V1 + V1, Hierarchies(Version.V1, V1_ROOTS)),  # mounted twice over is still one
        (V2, Hierarchies(Version.V2, (Path("/sys/fs/cgroup"),))),
    ],
)
def test_the_version_is_that_of_the_mounted_controllers(mounts: str, expected: Hierarchies) -> None:
    assert cgroups.parse_mounts(mounts) == expected


def test_a_machine_without_cgroups_is_refused() -> None:
    with pytest.raises(ValueError, match="no cgroup"):
        cgroups.parse_mounts("proc /proc proc rw 0 0\n")


@pytest.mark.parametrize(
    ("memberships", "ours"),
    [
        ("4:memory:/goldpool-dev/node-1/pods/kubepods\n", True),
        ("0::/goldpool-dev\n", True),
        ("4:memory:/\n3:cpu:/goldpool-dev/node-1\n", True),
        ("1:name=systemd:/goldpool-dev/a:b\n", True),
        ("4:memory:/goldpool-development/x\n", False),
        ("4:memory:/other/goldpool-dev\n", False),
        ("", False),
    ],
)
def test_only_members_of_our_cgroup_are_ours(memberships: str, ours: bool) -> None:
    assert cgroups.names_cgroup(memberships, "goldpool-dev") is ours


def test_a_new_v1_cpuset_gets_its_parents_processors(tmp_path: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / name).write_text("0-3\n")
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_text("\n")
    cgroups.create(Hierarchies(Version.V1, (tmp_path,)), "a")
    assert (tmp_path / "a" / "cpuset.cpus").read_text() == "0-3\n"


@pytest.mark.parametrize(
    ("available", "enabled", "expected"),
    [
        ("cpuset cpu io memory pids\n", "", ["+cpuset", "+cpu", "+io", "+memory", "+pids"]),
        ("cpu memory rdma misc\n", "cpu\n", ["+memory"]),
        ("\n", "\n", []),
    ],
)
def test_a_v2_parent_enables_what_it_has_and_lacks_below(
    available: str, enabled: str, expected: list[str]
) -> None:
    assert cgroups.to_enable(available, enabled) == expected


@pytest.mark.parametrize("shadows", [0, 1])
def test_removal_goes_from_the_leaves_and_reaches_shadows(tmp_path: Path, shadows: int) -> None:
    roots = [tmp_path / "cpu", tmp_path / "unified"]
    for root in roots:
        (root / "goldpool-dev" / "node-1" / "pods" / "x").mkdir(parents=True)
        (root / "others").mkdir()
    cgroups.remove(Hierarchies(Version.V1, (roots[0],), tuple(roots[1 : 1 + shadows])), "goldpool-dev")
    assert not (roots[0] / "goldpool-dev").exists()
    assert (roots[1] / "goldpool-dev").exists() is (shadows == 0)
    assert all((root / "others").exists() for root in roots)
