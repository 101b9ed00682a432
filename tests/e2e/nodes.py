"""The development cluster's nodes from outside: what is on their disks, what the disks did, cutting and unmounting."""

import ipaddress
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class DiskCounters:
    """Of /sys/block/loopN/stat, since the device was made."""

    reads: int
    sectors_read: int
    writes: int
    sectors_written: int

    def since(self, before: "DiskCounters") -> "DiskCounters":
        return DiskCounters(
            self.reads - before.reads,
            self.sectors_read - before.sectors_read,
            self.writes - before.writes,
            self.sectors_written - before.sectors_written,
        )


class Nodes:
    """By the state file that ``hack.cluster`` keeps. Node processes may be started anew, so it is read each time."""

    def __init__(self, state_file: Path) -> None:
        self._state_file = state_file

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._state_file.read_text())
        return state

    def names(self) -> list[str]:
        return [node["name"] for node in self._state()["nodes"]]

    def of_address(self, address: str) -> str:
        """The node that this address, its own or one of its pods', belongs to; the address when it is nobody's."""
        found = ipaddress.ip_address(address)
        for node in self._state()["nodes"]:
            if address == node["ip"] or found in ipaddress.ip_network(node["podRange"]):
                return str(node["name"])
        return address

    def run(self, node: str, *argv: str) -> str:
        """A program of the machine in the node's mount namespace."""
        holder = next(n["holderPid"] for n in self._state()["nodes"] if n["name"] == node)
        command = ["nsenter", "-t", str(holder), "-m", "--", *argv]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)} on {node}: {done.stderr}")
        return done.stdout

    def files(self, node: str, directory: str) -> list[str]:
        """Every name below the directory, relative to it; nothing when it is not there."""
        found = self.run(
            node, "find", directory, "-mindepth", "1", "-printf", "%P\\n", "-ignore_readdir_race"
        )
        return sorted(found.splitlines())

    def names_in(self, node: str, directory: str) -> list[str]:
        """Of the directory's own entries; nothing when it is not there."""
        found = self.run(node, "sh", "-c", f"ls -A {directory} 2>/dev/null || true")
        return sorted(found.splitlines())

    def read(self, node: str, path: str) -> str:
        return self.run(node, "cat", path)

    def write(self, node: str, path: str, content: str) -> None:
        self.run(
            node, "sh", "-c", f"mkdir -p {Path(path).parent} && printf %s {shlex.quote(content)} > {path}"
        )

    def counters(self, node: str, pool: str) -> DiskCounters:
        """What the disk of this pool (by the cluster's own name for it) did so far, all writes flushed."""
        device = next(n["pools"][pool]["device"] for n in self._state()["nodes"] if n["name"] == node)
        os.sync()
        fields = Path(f"/sys/block/{Path(device).name}/stat").read_text().split()
        return DiskCounters(int(fields[0]), int(fields[2]), int(fields[4]), int(fields[6]))

    def forget_cached_pages(self) -> None:
        """The next read of any file is one of its disk."""
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")

    def link(self, node: str, to: str) -> None:
        _cluster("link", node, to)

    def kubelet(self, node: str, to: str) -> None:
        _cluster("kubelet", node, to)

    def restart_apiserver(self) -> None:
        """Killed, and started again; returns when it is ready."""
        _cluster("restart-apiserver")

    def repair(self) -> None:
        """Starts whatever of the cluster has ended; the test's output says what."""
        print("the cluster did not answer:", _cluster("up"))

    def pool(self, node: str, pool: str, to: str) -> None:
        _cluster("pool", node, pool, to)


def _cluster(*arguments: str) -> str:
    """What it printed. Raises AssertionError with that when it fails."""
    command = [sys.executable, "-m", "hack.cluster", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(arguments)}: {said}"
    return said
