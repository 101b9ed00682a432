"""What a terminal's input means, what of a pod's log the guest said, and how a session ends."""

import os
import pty
import termios
from pathlib import Path

import click
import pytest

from goldpool.cli import terminal
from goldpool.cli.commands.console import by_guest, farewell
from goldpool.cli.terminal import Typed, read
from goldpool.contracts.machine import ConsoleExit
from goldpool.kube.execution import exit_code
from goldpool.kube.port import Unavailable


@pytest.mark.parametrize(
    ("chunk", "is_terminal", "typed"),
    [
        (b"ls\r", True, Typed(b"ls\r")),
        (b"\x03", True, Typed(b"\x03")),  # Ctrl-C is the guest's
        (b"\x1d", True, Typed(b"", left=True)),
        (b"ls\x1drest", True, Typed(b"ls", left=True)),
        (b"a\x1db", False, Typed(b"a\x1db")),  # a file may hold any byte
    ],
)
def test_only_a_person_leaves_by_a_key(chunk: bytes, is_terminal: bool, typed: Typed) -> None:
    assert read(chunk, terminal=is_terminal) == typed


def test_a_terminal_is_as_it_was_whatever_happened() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    taken = []

    def fail() -> None:
        with terminal.raw(theirs):
            taken.append(termios.tcgetattr(theirs)[3])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not taken[0] & (termios.ECHO | termios.ISIG | termios.ICANON)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


async def test_what_is_piped_in_comes_to_an_end() -> None:
    out, into = os.pipe()
    os.write(into, b"one\x1d")
    os.close(into)
    assert [typed async for typed in terminal.keys(out)] == [Typed(b"one\x1d")]
    os.close(out)


async def test_a_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"uptime\r")
    fd = os.open(tmp_path / "keys", os.O_RDONLY)
    assert [typed async for typed in terminal.keys(fd)] == [Typed(b"uptime\r")]
    os.close(fd)


@pytest.mark.parametrize(
    ("line", "guests"),
    [
        ("login: ", True),
        ('{"time": "2026-01-01T00:00:00Z", "level": "info", "event": "QEMU started"}', False),
        ('{"json": "of the guest"}', True),
        ("{ not json", True),
        ("[1, 2]", True),
    ],
)
def test_a_guest_did_not_say_what_the_pod_logs(line: str, guests: bool) -> None:
    assert by_guest(line) is guests


def test_a_session_ends_with_a_sentence() -> None:
    assert farewell(ConsoleExit.LEFT, "", "team/web") == ""
    assert farewell(ConsoleExit.GUEST_ENDED, "", "team/web") == "team/web is off."
    with pytest.raises(click.ClickException, match="team/web: somebody else"):
        farewell(ConsoleExit.TAKEN, "somebody else", "team/web")
    with pytest.raises(click.ClickException, match="exit code 137"):
        farewell(137, "", "team/web")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b'{"status": "Success"}', 0),
        (b'{"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "11"}]}}', 11),
    ],
)  # fmt: skip
def test_the_exit_code_is_in_the_last_message(status: bytes, code: int) -> None:
    assert exit_code(status) == code


def test_a_program_that_was_never_run_has_none() -> None:
    with pytest.raises(Unavailable, match="no such container"):
        exit_code(b'{"status": "Failure", "message": "no such container"}')
