"""One handle on what every part needs: the layout, the recorded processes, the cgroups, the programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import cgroups, config
from hack.cluster.commands import run
from hack.cluster.processes import Identity, Registry
from hack.cluster.progress import Progress


@dataclass(frozen=True)
class Machine:
    """`binaries` maps a set's name to the directory of its programs; empty for commands that start nothing."""

    layout: config.Layout
    progress: Progress
    hierarchies: cgroups.Hierarchies
    binaries: Mapping[str, Path] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return Registry(self.layout.records, self.layout.logs)

    def program(self, name: str) -> str:
        return str(self.binaries["kubernetes"] / name)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        command = [self.program("kubectl"), f"--kubeconfig={self.layout.kubeconfig}", *arguments]
        return run(command, stdin=stdin, timeout=timeout)

    def launch(self, name: str, argv: Sequence[str], cgroup: str) -> Identity:
        """Starts a recorded daemon in one of our cgroups unless it runs."""
        cgroups.create(self.hierarchies, cgroup)
        return self.registry.launch(name, argv, cgroup_procs=cgroups.procs_files(self.hierarchies, cgroup))


def write_if_changed(path: Path, content: str, *, mode: int = 0o644) -> bool:
    """True when the file was written; readers never see a part of it."""
    if path.exists() and path.read_text() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(content)
    unfinished.chmod(mode)
    unfinished.rename(path)
    return True
