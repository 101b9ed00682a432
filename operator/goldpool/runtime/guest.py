"""What QMP says of the guest, and what that means. Pure: no socket, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from goldpool.contracts.machine import Disk, Ended, Exit
from goldpool.runtime.command import device_id, throttled_node

MESSAGE_LIMIT: Final = 1024  # bytes of a termination message's text


class Status(StrEnum):
    """QMP's RunState as far as something follows from it, and ``starting`` before QMP answers."""

    STARTING = "starting"
    PRELAUNCH = "prelaunch"
    RUNNING = "running"
    PAUSED = "paused"
    IO_ERROR = "io-error"
    INTERNAL_ERROR = "internal-error"
    SHUTDOWN = "shutdown"


FINAL: Final = frozenset({Status.SHUTDOWN, Status.INTERNAL_ERROR})
"""QEMU waits only for our ``quit``. After an internal error of the accelerator the vCPU's state is not known any more."""


@dataclass(frozen=True)
class Guest:
    """The guest as last seen. ``failing`` maps a disk's name to its io-status: ``nospace`` or ``failed``."""

    status: str = Status.STARTING
    failing: tuple[tuple[str, str], ...] = ()

    @property
    def running(self) -> bool:
        return self.status == Status.RUNNING


@dataclass(frozen=True)
class Stop:
    """How far our own stopping came: ``asked`` by SIGTERM, ``forced`` when the guest was not waited for any more."""

    asked: bool = False
    forced: bool = False


def told(guest: Guest, event: Mapping[str, Any], disks: tuple[Disk, ...]) -> Guest:
    """The guest after a QMP event. Unknown events, and errors that did not pause it, change nothing; nothing follows
    a shutdown or an internal error (a STOP comes after the SHUTDOWN)."""
    if guest.status in FINAL:
        return guest
    data: Mapping[str, Any] = event.get("data", {})
    match event["event"]:
        case "RESUME":
            return Guest(Status.RUNNING)
        case "STOP":
            return replace(guest, status=Status.IO_ERROR if guest.failing else Status.PAUSED)
        case "SHUTDOWN" if data.get("guest"):  # not the one that our own quit causes
            return replace(guest, status=Status.SHUTDOWN)
        case "BLOCK_IO_ERROR" if data.get("action") == "stop":
            name = disk_of(str(data.get("node-name") or data.get("device", "")), disks)
            failure = (name, "nospace" if data.get("nospace") else "failed")
            return replace(guest, failing=tuple(dict([*guest.failing, failure]).items()))
        case _:
            return guest


def observed(guest: Guest, status: str) -> Guest:
    """The guest after ``query-status``, which rules over what events led us to believe."""
    return replace(guest, status=status, failing=() if status == Status.RUNNING else guest.failing)


def with_blocks(guest: Guest, blocks: Iterable[Mapping[str, Any]], disks: tuple[Disk, ...]) -> Guest:
    """The guest after ``query-block``: every disk whose io-status is not ok. Where QMP names none, what events said
    stands."""
    failing = tuple(
        (disk_of(str(block.get("qdev", "")).removeprefix("/machine/peripheral/"), disks), block["io-status"])
        for block in blocks
        if block.get("io-status", "ok") != "ok"
    )
    return replace(guest, failing=failing or guest.failing)


def disk_of(node_or_device: str, disks: tuple[Disk, ...]) -> str:
    """The disk's name for a node ``disk0.throttle`` or a device ``disk0/virtio-backend``; else what was given."""
    for index, disk in enumerate(disks):
        if node_or_device == throttled_node(index) or node_or_device.partition("/")[0] == device_id(index):
            return disk.name
    return node_or_device


def unready(guest: Guest, silent_seconds: float, silence_limit: float) -> str:
    """Why the guest is not running, as text for people and the readiness probe; empty when it is.

    ``silent_seconds``: since QMP last answered. Its last word counts only for ``silence_limit``.
    """
    if guest.status == Status.STARTING:
        return "Starting: QEMU is being started"
    if silent_seconds > silence_limit:
        return f"MonitorSilent: QMP has not answered for {silent_seconds:.0f} s"
    match guest.status:
        case Status.RUNNING:
            return ""
        case Status.PRELAUNCH:
            return "Starting: the guest has not been started yet"
        case Status.IO_ERROR:
            return "StoragePaused: " + ", ".join(f"{disk} {status}" for disk, status in guest.failing)
        case Status.SHUTDOWN:
            return "ShutDown: the guest is off"
        case other:
            return f"Paused: QEMU says {other}"


def resume_wait(attempt: int, first: float, longest: float) -> float:
    """Seconds from the pause, or from try ``attempt`` - 1, to try ``attempt`` (from 0): doubled each time."""
    return min(longest, first * 2.0 ** min(attempt, 32))


def ending(guest: Guest, stop: Stop, exit_code: int, last_words: str, accelerator: str) -> Ended:
    """Why the machine ended, once QEMU is gone. Negative exit codes are signals, as Python counts them."""
    if stop.forced:
        return ended(Exit.KILLED, "the guest did not follow the shutdown request in time", accelerator)
    if guest.status == Status.SHUTDOWN:
        reason = Exit.STOPPED if stop.asked else Exit.GUEST_SHUTDOWN
        return ended(reason, "the guest powered off", accelerator)
    how = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    state = "" if guest.status != Status.INTERNAL_ERROR else " after an internal error of the accelerator"
    return ended(Exit.QEMU_FAILED, f"QEMU ended with {how}{state}: {last_words}".rstrip(": "), accelerator)


def ended(reason: Exit, message: str, accelerator: str = "") -> Ended:
    """With the message cut to what the contract holds, its end kept: the last words of QEMU say why."""
    printable = "".join(c if c.isprintable() else " " for c in message)
    if len(printable.encode()) > MESSAGE_LIMIT:
        # A front part first, for it says what failed; "ignore" drops a character cut in two.
        front, rest = printable[:120], printable.encode()
        room = MESSAGE_LIMIT - len(front.encode()) - len(" ... ")
        printable = front + " ... " + rest[-room:].decode(errors="ignore")
    return Ended(reason=reason, message=printable, accelerator=accelerator)


def exit_status(reason: Exit) -> int:
    """The runtime's exit code: 0 where the guest or we ended it, 1 where something is wrong."""
    return 0 if reason in (Exit.GUEST_SHUTDOWN, Exit.STOPPED, Exit.KILLED) else 1
