"""Only what was started is ended: identity, records, and what a reused id must not suffer."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import processes
from hack.cluster.processes import Identity, Registry

STAT = "4711 ({name}) S 1 4711 4711 0 -1 4194560 119 0 0 0 0 0 0 0 20 0 1 0 98765 5472256 208"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "records", tmp_path / "logs")
    yield registry
    registry.end(registry.names(), grace=0)


@pytest.mark.parametrize("name", ["sleep", "a b", "tmux: (server)", ") S 1 2"])
def test_stat_is_read_whatever_the_process_calls_itself(name: str) -> None:
    assert processes.parse_stat(STAT.format(name=name)) == (4711, 98765, "S")


@pytest.mark.parametrize("text", ["", "4711 (sleep) S 1", STAT.format(name="x") + "\n", "no stat\nboot\n"])
def test_a_torn_record_names_nobody(text: str) -> None:
    assert processes.parse_record(text) is None


def test_a_record_holds_what_a_reused_id_cannot_have() -> None:
    assert processes.parse_record(STAT.format(name="x") + "\nthis-boot\n") == Identity(
        4711, 98765, "this-boot"
    )


def test_a_launched_daemon_is_recorded_with_its_own_identity(registry: Registry) -> None:
    launched = registry.launch("d", ["sleep", "60"], cgroup_procs=[])
    assert registry.recorded("d") == registry.living("d") == launched == processes.identify(launched.pid)
    assert registry.names() == ["d"]


def test_a_running_daemon_is_not_started_twice(registry: Registry) -> None:
    first = registry.launch("d", ["sleep", "60"], cgroup_procs=[])
    assert registry.launch("d", ["sleep", "60"], cgroup_procs=[]) == first


def test_a_daemon_moves_into_its_cgroups_before_it_runs(registry: Registry, tmp_path: Path) -> None:
    procs = [tmp_path / "one", tmp_path / "two"]
    said = tmp_path / "said"
    registry.launch("d", ["sh", "-c", f"cat {procs[0]} {procs[1]} > {said}; sleep 60"], cgroup_procs=procs)
    _until(lambda: said.exists() and said.read_text() == "0\n0\n")


def test_a_daemon_that_cannot_enter_its_cgroup_does_not_run(registry: Registry, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    registry.launch("d", ["touch", str(ran)], cgroup_procs=[tmp_path / "missing" / "cgroup.procs"])
    _until(lambda: registry.living("d") is None)
    assert not ran.exists()
    assert "missing" in registry.tail("d")


def test_ending_is_by_term_first_and_forgets_the_record(registry: Registry, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo term > {said}; exit' TERM; echo up > {said}; while :; do sleep 0.01; done"
    registry.launch("d", ["sh", "-c", script], cgroup_procs=[])
    _until(lambda: said.exists() and said.read_text() == "up\n")
    assert registry.end(["d"], grace=5) == []
    assert said.read_text() == "term\n"
    assert registry.names() == []


def test_a_daemon_that_ignores_term_is_killed(registry: Registry, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; touch {ready}; while :; do sleep 0.01; done"
    launched = registry.launch("d", ["sh", "-c", script], cgroup_procs=[])
    _until(ready.exists)
    assert registry.end(["d"], grace=0.1) == []
    assert not processes.is_alive(launched)


@pytest.mark.parametrize("other", [{"start_time": 1}, {"boot_id": "another"}])
def test_another_process_under_the_same_id_is_left_alone(other: dict[str, str | int]) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        own = processes.identify(bystander.pid)
        assert own is not None
        recorded = replace(own, **other)  # type: ignore[arg-type]
        assert not processes.is_alive(recorded)
        assert not processes.send(recorded, signal.SIGKILL)
        assert processes.end([recorded], grace=0) == []
        assert bystander.poll() is None
        assert processes.send(own, signal.SIGKILL)


def test_a_zombie_counts_as_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        identity = processes.identify(child.pid)
        assert identity is not None
        os.kill(child.pid, signal.SIGKILL)
        assert processes.wait_end(identity, 5)
        _until(lambda: not processes.is_alive(identity))


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
