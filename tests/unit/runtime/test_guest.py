from typing import Any

import pytest

from goldpool.contracts.machine import Exit
from goldpool.runtime.guest import (
    Guest,
    Status,
    Stop,
    ended,
    ending,
    exit_status,
    observed,
    resume_wait,
    told,
    unready,
    with_blocks,
)
from goldpool.runtime.program import leave_message
from tests.unit.runtime.builders import a_disk

DISKS = (a_disk(name="root", storage_id="v-1"), a_disk(name="data", storage_id="v-2"))
RUNNING = Guest(Status.RUNNING)
FULL = Guest(Status.IO_ERROR, (("data", "nospace"),))


def io_error(node: str = "disk1.throttle", action: str = "stop", nospace: bool = True) -> dict[str, Any]:
    data = {"device": "", "node-name": node, "operation": "write", "action": action, "nospace": nospace}
    return {"event": "BLOCK_IO_ERROR", "data": data}


@pytest.mark.parametrize(
    ("before", "event", "after"),
    [
        (Guest(Status.PRELAUNCH), {"event": "RESUME"}, RUNNING),
        (RUNNING, {"event": "STOP"}, Guest(Status.PAUSED)),
        (RUNNING, io_error(), Guest(Status.RUNNING, (("data", "nospace"),))),  # STOP follows
        (Guest(Status.RUNNING, FULL.failing), {"event": "STOP"}, FULL),
        (FULL, io_error(), FULL),  # requests in flight fail too
        (FULL, io_error("disk0.throttle", nospace=False),
         Guest(Status.IO_ERROR, (("data", "nospace"), ("root", "failed")))),
        (RUNNING, io_error(action="report"), RUNNING),
        (FULL, {"event": "RESUME"}, RUNNING),
        (RUNNING, {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-shutdown"}}, Guest(Status.SHUTDOWN)),
        (Guest(Status.SHUTDOWN), {"event": "STOP"}, Guest(Status.SHUTDOWN)),  # as QEMU sends it
        (RUNNING, {"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-qmp-quit"}}, RUNNING),
        (RUNNING, {"event": "RESET", "data": {"guest": True}}, RUNNING),  # a reboot is running
        (RUNNING, {"event": "NIC_RX_FILTER_CHANGED"}, RUNNING),
    ],
)  # fmt: skip
def test_events_move_the_guest(before: Guest, event: dict[str, Any], after: Guest) -> None:
    assert told(before, event, DISKS) == after


@pytest.mark.parametrize(
    ("before", "status", "after"),
    [
        (Guest(), "prelaunch", Guest(Status.PRELAUNCH)),
        (FULL, "running", RUNNING),  # the answer rules
        (FULL, "io-error", FULL),
        (RUNNING, "internal-error", Guest(Status.INTERNAL_ERROR)),
        (RUNNING, "suspended", Guest("suspended")),
    ],
)
def test_query_status_rules(before: Guest, status: str, after: Guest) -> None:
    assert observed(before, status) == after


@pytest.mark.parametrize(
    ("blocks", "failing"),
    [
        ([{"qdev": "/machine/peripheral/disk0/virtio-backend", "io-status": "failed"},
          {"qdev": "/machine/peripheral/disk1/virtio-backend", "io-status": "ok"}], (("root", "failed"),)),
        ([{"qdev": "/machine/peripheral/disk1/virtio-backend", "io-status": "ok"}], FULL.failing),
        ([{"device": "floppy0"}], FULL.failing),
    ],
)  # fmt: skip
def test_query_block_names_the_failing_disks(blocks: list[dict[str, Any]], failing: object) -> None:
    assert with_blocks(FULL, blocks, DISKS).failing == failing


@pytest.mark.parametrize(
    ("guest", "silent", "text"),
    [
        (Guest(), 0, "Starting: QEMU is being started"),
        (Guest(), 99, "Starting: QEMU is being started"),  # nothing was ever heard
        (Guest(Status.PRELAUNCH), 0, "Starting: the guest has not been started yet"),
        (RUNNING, 0, ""),
        (RUNNING, 20, ""),
        (RUNNING, 21, "MonitorSilent: QMP has not answered for 21 s"),
        (FULL, 0, "StoragePaused: data nospace"),
        (Guest(Status.PAUSED), 0, "Paused: QEMU says paused"),
        (Guest(Status.SHUTDOWN), 0, "ShutDown: the guest is off"),
        (Guest(Status.INTERNAL_ERROR), 0, "Paused: QEMU says internal-error"),
    ],
)
def test_ready_means_that_qmp_says_running(guest: Guest, silent: float, text: str) -> None:
    assert unready(guest, silent, 20) == text


@pytest.mark.parametrize(("attempt", "wait"), [(0, 1), (1, 2), (5, 32), (6, 60), (10**6, 60)])
def test_the_wait_to_go_on_doubles_up_to_a_limit(attempt: int, wait: float) -> None:
    assert resume_wait(attempt, 1, 60) == wait


OFF = Guest(Status.SHUTDOWN)


@pytest.mark.parametrize(
    ("guest", "stop", "exit_code", "reason", "status"),
    [
        (OFF, Stop(), 0, Exit.GUEST_SHUTDOWN, 0),
        (OFF, Stop(asked=True), 0, Exit.STOPPED, 0),
        (RUNNING, Stop(asked=True, forced=True), 0, Exit.KILLED, 0),
        (RUNNING, Stop(asked=True, forced=True), -9, Exit.KILLED, 0),
        (RUNNING, Stop(), -11, Exit.QEMU_FAILED, 1),
        (RUNNING, Stop(), 0, Exit.QEMU_FAILED, 1),  # somebody else ended it
        (RUNNING, Stop(asked=True), -6, Exit.QEMU_FAILED, 1),  # it died before its time was over
        (Guest(Status.INTERNAL_ERROR), Stop(), 0, Exit.QEMU_FAILED, 1),
    ],
)
def test_why_the_machine_ended(guest: Guest, stop: Stop, exit_code: int, reason: Exit, status: int) -> None:
    end = ending(guest, stop, exit_code, "", "tcg")
    assert (end.reason, end.accelerator, exit_status(end.reason)) == (reason, "tcg", status)


def test_qemus_last_words_are_in_the_message() -> None:
    end = ending(RUNNING, Stop(), 1, "qemu: no such file", "kvm")
    assert end.message == "QEMU ended with exit code 1: qemu: no such file"


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, '"' * 5000, "\x1b\0\n" * 2000, "\U0001f600" * 5000])
def test_a_termination_message_fits_the_kubelets_limit_and_keeps_its_end(text: str, tmp_path: Any) -> None:
    end = ended(Exit.QEMU_FAILED, f"QEMU ended: {text} the last word", "tcg")
    leave_message(tmp_path / "log", end)
    written = (tmp_path / "log").read_bytes()
    assert len(written) <= 4096
    assert end.message.startswith("QEMU ended")
    assert end.message.endswith("the last word")
