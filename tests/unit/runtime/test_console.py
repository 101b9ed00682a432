"""The serial console: joined to a process's stdin and stdout, one at a time, and never in the way of the pod's log."""

import fcntl
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldpool.contracts.machine import ConsoleExit
from tests.unit.runtime.builders import a_machine
from tests.unit.runtime.sectors import ECHO, HALT, POWER_OFF, say
from tests.unit.runtime.test_run import DEADLINE_SECONDS, PACKAGE, Pod, pod, qemu_of, running, until

__all__ = ["pod"]

Session = subprocess.Popen[bytes]
Attach = Callable[..., Session]


@pytest.fixture
def attach(pod: Pod) -> Iterator[Attach]:
    sessions: list[Session] = []

    def start(*arguments: str) -> Session:
        session = subprocess.Popen(
            [sys.executable, "-m", "goldpool.runtime.console", *arguments],
            env={"PYTHONPATH": str(PACKAGE), "GOLDPOOL_RUN": str(pod.root / "run")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        sessions.append(session)
        return session

    yield start
    for session in sessions:
        session.kill()
        session.communicate()


def typed(session: Session, text: bytes, answer: bytes) -> None:
    """Byte by byte: the guest has one byte of buffer."""
    assert session.stdin is not None
    for byte, expected in zip(text, answer, strict=True):
        session.stdin.write(bytes([byte]))
        assert read(session) == bytes([expected])


def read(session: Session) -> bytes:
    assert session.stdout is not None
    assert select.select([session.stdout], [], [], DEADLINE_SECONDS)[0], "no answer"
    return session.stdout.read(1)


def grows_by(log: Path, size: int) -> None:
    end = log.stat().st_size + size
    until("the log goes on", lambda: log.stat().st_size > end)


def ended(session: Session) -> tuple[int, str]:
    _, said = session.communicate(timeout=DEADLINE_SECONDS)
    return session.returncode, said.decode()


def test_what_is_typed_reaches_the_guest_and_its_answer_reaches_terminal_and_log(
    pod: Pod, attach: Attach
) -> None:
    running(pod, say("GUEST-UP\n"), ECHO)
    pod.says("GUEST-UP")
    first = attach()
    typed(first, b"HAL", b"IBM")
    pod.says("IBM")
    assert ended(first) == (ConsoleExit.LEFT, "")
    typed(attach(), b"VMS", b"WNT")  # the next one gets the port
    pod.says("GUEST-UP\nIBMWNT")


def test_a_second_person_is_turned_away_unless_they_insist(pod: Pod, attach: Attach) -> None:
    running(pod, say("GUEST-UP\n"), ECHO)
    pod.says("GUEST-UP")
    first = attach()
    typed(first, b"a", b"b")
    status, said = ended(attach())
    assert status == ConsoleExit.TAKEN
    assert "somebody else is at the console; --take" in said
    typed(first, b"a", b"b")
    second = attach("--take")
    typed(second, b"x", b"y")
    assert ended(first) == (ConsoleExit.TAKEN, "the console was taken by somebody else\n")


def test_the_session_ends_with_the_guest(pod: Pod, attach: Attach) -> None:
    running(pod, say("GUEST-UP\n"), ECHO)
    pod.says("GUEST-UP")
    session = attach()
    typed(session, b"a", b"b")
    os.kill(qemu_of(pod), signal.SIGKILL)
    assert session.wait(DEADLINE_SECONDS) == ConsoleExit.GUEST_ENDED


def test_without_a_guest_there_is_no_console(pod: Pod, attach: Attach) -> None:
    (pod.root / "run").mkdir()
    status, said = ended(attach())
    assert status == ConsoleExit.NO_GUEST
    assert said.startswith("the guest has no serial port yet")


def test_a_terminal_that_fell_asleep_does_not_stop_the_guest(pod: Pod, attach: Attach) -> None:
    # A dot, without end.
    chatter = bytes.fromhex("bafd03 ec a820 74fb b02e baf803 ee ebf0")
    running(pod, say("GUEST-UP\n"), chatter)
    pod.says("GUEST-UP")
    asleep = attach()
    assert asleep.stdout is not None
    fcntl.fcntl(asleep.stdout, fcntl.F_SETPIPE_SZ, 4096)
    assert read(asleep) == b"."
    log = pod.root / "stdout"
    for bytes_more in (384 << 10, 32 << 10):  # more than all buffers hold; and after it blinked once
        grows_by(log, bytes_more)
        assert os.read(asleep.stdout.fileno(), 4096)
    woken = bytearray()
    while b"bytes were not shown" not in woken:
        woken += os.read(asleep.stdout.fileno(), 1 << 16)


def test_a_guest_that_is_off_has_said_everything(pod: Pod) -> None:
    running(pod, say("GUEST-OFF\n"), POWER_OFF, HALT, machine=a_machine())
    pod.end()
    assert pod.console() == "GUEST-OFF\n"


def test_the_lock_is_nobodys_after_a_kill(pod: Pod, attach: Attach, tmp_path: Path) -> None:
    running(pod, say("GUEST-UP\n"), ECHO)
    pod.says("GUEST-UP")
    first = attach()
    typed(first, b"a", b"b")
    first.kill()
    first.wait()
    typed(attach(), b"a", b"b")
