"""What tests and people read: the state file, mounts, devices, readiness, the table."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hack.cluster import config, disks, mounts, nodes, state, status
from hack.cluster.__main__ import main, parser
from hack.cluster.config import Layout

LAYOUT = Layout(Path("/d"), Path("/r"), Path("/c"))
NODE = config.NODES[0]


def described() -> dict[str, object]:
    return state.describe(
        LAYOUT,
        binaries={"kubernetes": Path("/c/k"), "helm": Path("/c/h"), "pause": Path("/c/p")},
        devices={LAYOUT.disk(NODE, config.pool_named("fast")): "/dev/loop7"},
        pids={"node-1.containerd": 42},
        cgroups="v1",
    )


def test_the_state_survives_its_file(tmp_path: Path) -> None:
    state.write(tmp_path / "s" / "state.json", described())
    assert state.read(tmp_path / "s" / "state.json") == described()
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [None, "", '{"version": 0}'])
def test_no_state_is_no_cluster(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "state.json").write_text(content)
    assert state.read(tmp_path / "state.json") is None


def test_tests_find_a_pools_device_and_a_nodes_processes() -> None:
    node = json.loads(json.dumps(described()))["nodes"][0]
    assert node["pools"]["fast"]["device"] == "/dev/loop7"
    assert node["pools"]["golden"]["device"] is None
    assert (node["containerdPid"], node["kubeletPid"], node["veth"]) == (42, None, "gp-node-1")


def test_exports_are_shell() -> None:
    script = state.shell_exports(described(), Path("/d/state.json"))
    names = "$KUBECONFIG $PATH $GOLDPOOL_HOST_IP $GOLDPOOL_CLUSTER_STATE"
    said = subprocess.run(
        ["/bin/sh", "-c", f'{script}echo "{names}"'],
        env={"PATH": "/x y"},
        capture_output=True,
        text=True,
        check=True,
    )
    kubeconfig = "/d/control-plane/super-admin.conf"
    assert said.stdout == f"{kubeconfig} /c/k:/c/h:/x y {config.HOST_IP} /d/state.json\n"


def test_env_without_a_cluster_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOLDPOOL_CLUSTER_DIR", str(tmp_path))
    assert main(["env"]) == 1
    assert "run `python3 -m hack.cluster up`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["link", "node-9", "up"], ["pool", "node-1", "slow", "mount"], ["kubelet", "node-1", "kill"]]
)
def test_commands_refuse_what_is_not_there(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(words)


def test_only_devices_of_our_files_are_ours() -> None:
    said = json.dumps(
        {
            "loopdevices": [
                {"name": "/dev/loop0", "back-file": "/d/disks/node-1-golden.img"},
                {"name": "/dev/loop1", "back-file": "/d/disks/node-2-golden.img (deleted)"},
                {"name": "/dev/loop2", "back-file": "/d/disks-of-others/x.img"},
                {"name": "/dev/loop3", "back-file": "/var/snap/x.img"},
            ]
        }
    )
    assert disks.parse_attached(said, LAYOUT.disks) == {
        Path("/d/disks/node-1-golden.img"): "/dev/loop0",
        Path("/d/disks/node-2-golden.img"): "/dev/loop1",
    }
    assert disks.parse_attached("", LAYOUT.disks) == {}


def test_disks_are_made_by_number_of_pools_and_nodes() -> None:
    own = [pool for pool in config.POOLS if not pool.shared]
    assert len(disks.all_disks(LAYOUT)) == len(own) * len(config.NODES) + len(config.POOLS) - len(own)


def test_mount_points_are_unescaped() -> None:
    mountinfo = "22 1 8:1 / / rw - ext4 /dev/a rw\n23 22 7:0 / /srv/a\\040b rw - xfs /dev/loop0 rw\n"
    assert mounts.mount_points(mountinfo) == ["/", "/srv/a b"]


def test_a_node_keeps_no_mount_of_others_alive() -> None:
    kinds = {
        "/": "overlay",
        "/proc": "proc",
        "/b/merged": "overlay",
        "/run/netns/x": "nsfs",
        "/f": "fuse.sshfs",
    }
    mountinfo = "\n".join(f"1 1 0:1 / {point} rw shared:1 - {kind} none rw" for point, kind in kinds.items())
    assert mounts.held_by_others(mountinfo) == ["/f", "/run/netns/x", "/b/merged"]


def test_mounts_below_leave_out_neighbours() -> None:
    assert "/proc" in mounts.mounts_below([Path("/proc")])
    assert mounts.mounts_below([Path("/pro")]) == []


def a_node(name: str, ready: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def a_lease(name: str, renewed: str | None) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"renewTime": renewed} if renewed else {}}


@pytest.mark.parametrize(
    ("ready", "renewed", "counts"),
    [
        ("True", "2026-01-01T12:00:01.000000Z", True),
        ("True", "2026-01-01T11:59:59.000000Z", False),  # the condition is a leftover from before a crash
        ("Unknown", "2026-01-01T12:00:01.000000Z", False),
        ("True", None, False),
    ],
)
def test_a_node_is_ready_when_its_kubelet_lives(ready: str, renewed: str | None, counts: bool) -> None:
    listed = json.dumps({"items": [a_node("node-1", ready)]})
    leases = json.dumps({"items": [a_lease("node-1", renewed)]})
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert nodes.ready_nodes(listed, leases, since) == ({"node-1"} if counts else set())


def test_a_table_is_aligned() -> None:
    assert status.table([("A", "BB"), ("long", "x")]) == "A     BB\nlong  x"


def test_memory_is_read_from_the_kernels_text() -> None:
    assert status.resident_mebibytes("Name:\tx\nVmRSS:\t  271360 kB\n") == 265
    assert status.resident_mebibytes("Name:\tkthread\n") == 0


def test_directories_are_removed_only_when_made_here_and_empty(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "d", tmp_path / "r", tmp_path / "c")
    ours, full, theirs = (tmp_path / name for name in ("ours", "full", "theirs"))
    theirs.mkdir()
    for path in (ours, full, theirs):
        nodes.remember_directory(layout, path)
    (full / "file").touch()
    nodes.forget_directories(layout)
    assert [path.exists() for path in (ours, full, theirs)] == [False, True, True]
    assert list((layout.data / "made").iterdir()) == []
