"""What a VM pod is told, and what it answers."""

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta

from goldpool.contracts.layout import ImageFormat, NameOnDisk, Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract, Positive

MACHINE_ENV: Final = "GOLDPOOL_MACHINE"
DISKS_ROOT: Final = "/disks"
"""Each volume's own directory is mounted at ``/disks/<storageID>``."""
PARENTS_ROOT: Final = "/parents"
"""Each parent's own directory is mounted read-only at ``/parents/<parent>``."""

CONSOLE_COMMAND: Final = ("python3", "-m", "goldpool.runtime.console")
"""Executed in the machine's pod: its stdin and stdout are the guest's serial port. ``--take`` ends whoever is there.
Exits with a ``ConsoleExit``, its reason on stderr."""


class ConsoleExit(IntEnum):
    """How a session at the console ended."""

    LEFT = 0
    """Nobody types any more."""
    GUEST_ENDED = 10
    """QEMU is gone."""
    TAKEN = 11
    """Somebody else is at the console."""
    NO_GUEST = 12
    """There is no QEMU yet."""


class ParentDisk(Contract):
    """The read-only lower layer. Opened with this format and this file; the path stored in the child is ignored."""

    parent: NameOnDisk
    format: ImageFormat
    revision: Sha256


class Disk(Contract):
    """One disk of the machine. Its directory's sidecar must say the same, or the machine does not start."""

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")]
    storage_id: NameOnDisk
    volume_uid: str
    boot: bool = False
    parent: ParentDisk | None = None


class Machine(Contract):
    """A virtual machine as its pod sees it. ``memory_bytes`` is the guest's; the pod has overhead on top."""

    version: int = CONTRACT_VERSION
    name: str
    uid: str
    cpus: Positive
    memory_bytes: Positive
    disks: tuple[Disk, ...]
    cdrom: ParentDisk | None = None
    """An installer ISO, read-only, tried after the disks."""
    stop_seconds: int = 60
    """How long an ACPI shutdown may take; below the pod's grace."""


class Exit(StrEnum):
    """Why a VM pod ended: the first word of its termination message, a JSON ``Ended``."""

    GUEST_SHUTDOWN = "GuestShutdown"
    """The guest powered itself off."""
    STOPPED = "Stopped"
    """We asked for it: ACPI shutdown in time."""
    KILLED = "StopTimedOut"
    """We asked for it, and the guest did not follow in time."""
    WRONG_DISK = "WrongDisk"
    """A directory's sidecar is not the one expected: nothing was opened."""
    DISK_MISSING = "DiskMissing"
    QEMU_FAILED = "QemuFailed"


GUEST_STATE: Final = "guest state"


class GuestState(Contract, forbid_unknown_fields=False):  # the log's own fields: time, level
    """One line of the pod's log, written when it changes: QMP's run state, and by disk ``nospace`` or ``failed``."""

    event: Literal["guest state"]
    status: str
    failing: dict[str, str]


class Ended(Contract):
    version: int = CONTRACT_VERSION
    reason: Exit
    message: Annotated[str, Meta(max_length=1024)] = ""
    accelerator: str = ""
