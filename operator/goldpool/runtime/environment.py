"""What the pod gives the runtime: paths, port and limits, each with a default that holds in every pod."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from goldpool.contracts.health import HEALTH_PORT
from goldpool.contracts.machine import DISKS_ROOT, PARENTS_ROOT
from goldpool.runtime.listener import HEALTH_PORT_VARIABLE


@dataclass(frozen=True)
class Limits:
    """Times in seconds, room in bytes. Each is set by ``GOLDPOOL_<NAME>``, so that a test never waits for a default."""

    missing_seconds: float = 10
    """How long a missing disk is looked for again: NFS answers ENOENT or ESTALE for a while after a rename."""
    probe_seconds: float = 3
    """A real KVM boots the probe in a fraction of a second."""
    powerdown_every_seconds: float = 5
    quit_seconds: float = 5
    """From QMP ``quit`` to SIGKILL."""
    poll_seconds: float = 5
    silent_seconds: float = 20
    """QMP unanswered for this long: the guest is no longer called running."""
    resume_first_seconds: float = 1
    resume_longest_seconds: float = 60
    calm_seconds: float = 60
    """A guest that ran this long without an I/O error starts again with the shortest wait."""
    room_bytes: float = 16 << 20
    """Free space that is worth another try; less would pause the guest again at once."""


@dataclass(frozen=True)
class Environment:
    """Where things are in the pod. Only ``run`` and ``termination_log`` are written by the runtime itself."""

    run: Path = Path("/run/goldpool")
    disks: Path = Path(DISKS_ROOT)
    parents: Path = Path(PARENTS_ROOT)
    termination_log: Path = Path("/dev/termination-log")
    kvm: Path = Path("/dev/kvm")
    qemu: str = "qemu-system-x86_64"
    health_port: int = HEALTH_PORT
    limits: Limits = Limits()

    @property
    def monitor(self) -> Path:
        """QMP's socket; one client at a time, and that is the runtime."""
        return self.run / "qmp.sock"

    @property
    def serial(self) -> Path:
        """The guest's serial port; one client at a time, and that is ``console``."""
        return self.run / "serial.sock"


def from_variables(variables: Mapping[str, str]) -> Environment:
    """Raises ValueError for a number that is none."""
    default = Environment()
    limits = {
        f.name: float(variables[key])
        for f in fields(Limits)
        if (key := f"GOLDPOOL_{f.name.upper()}") in variables
    }
    return Environment(
        run=Path(variables.get("GOLDPOOL_RUN", default.run)),
        disks=Path(variables.get("GOLDPOOL_DISKS", default.disks)),
        parents=Path(variables.get("GOLDPOOL_PARENTS", default.parents)),
        termination_log=Path(variables.get("GOLDPOOL_TERMINATION_LOG", default.termination_log)),
        kvm=Path(variables.get("GOLDPOOL_KVM", default.kvm)),
        qemu=variables.get("GOLDPOOL_QEMU", default.qemu),
        health_port=int(variables.get(HEALTH_PORT_VARIABLE, default.health_port)),
        limits=Limits(**limits),
    )
