"""Whether a machine is still the one it was: its pod, the container, and the very process of QEMU."""

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.site import Site


@dataclass(frozen=True)
class Identity:
    """None of it survives a restart of any kind."""

    pod: str
    container: str
    restarts: int
    process: int
    started: str
    """Of QEMU, in clock ticks since the machine's boot: a process ID alone could be used again."""


def identity(site: Site, machine: str) -> Identity:
    pod = site.pod_of(machine)
    assert pod is not None, f"{machine} has no pod"
    [container] = pod["status"]["containerStatuses"]
    [process] = _qemus(pod["metadata"]["uid"])
    # The program's name, the second field, may hold spaces; starttime is the 22nd: proc_pid_stat(5).
    started = (process / "stat").read_text().rpartition(")")[2].split()[19]
    return Identity(
        pod=pod["metadata"]["uid"],
        container=container["containerID"],
        restarts=container["restartCount"],
        process=int(process.name),
        started=started,
    )


def _qemus(pod_uid: str) -> list[Path]:
    """Nodes have no process namespaces of their own: their pods' processes are the machine's."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "cmdline").read_bytes().partition(b"\0")[0]
            groups = (process / "cgroup").read_text()
        except OSError:  # it ended meanwhile
            continue
        if Path(program.decode()).name.startswith("qemu-system") and pod_uid in groups:
            found.append(process)
    return found
