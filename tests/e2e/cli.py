"""kubectl-goldpool as people run it: a process, with a terminal where one matters."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("kubectl-goldpool"))
DEADLINE_SECONDS = 300
_INTERRUPTIBLE = ("env", "--default-signal=INT")
"""Tests that run in the background of a shell hand down that Ctrl-C is ignored."""


def goldpool(
    *words: str, status: int = 0, stdin: str = "", kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs to its end, and ends with that status."""
    environment = os.environ | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
    done = subprocess.run(
        [COMMAND, *words],
        input=stdin, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS * 2, env=environment,
    )  # fmt: skip
    assert done.returncode == status, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def begun(*words: str) -> subprocess.Popen[str]:
    """Started, and left running."""
    return subprocess.Popen(
        [*_INTERRUPTIBLE, COMMAND, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


class Terminal:
    """A terminal with one command in it. To be closed."""

    def __init__(self, *words: str) -> None:
        self._screen = b""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvp(_INTERRUPTIBLE[0], [*_INTERRUPTIBLE, COMMAND, *words])

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def shows(self, text: str) -> None:
        """Since the last time that something was shown."""
        end = time.monotonic() + DEADLINE_SECONDS
        while text.encode() not in self._screen:
            assert time.monotonic() < end, f"no {text!r} on the terminal: {self._screen!r}"
            if select.select([self._fd], [], [], 1)[0]:
                try:
                    self._screen += os.read(self._fd, 4096)
                except OSError as error:  # the command has ended
                    assert text.encode() in self._screen, self._screen
                    raise AssertionError from error
        self._screen = self._screen.partition(text.encode())[2]

    def ended(self) -> int:
        """Its exit status, once it has one."""
        end = time.monotonic() + DEADLINE_SECONDS
        while not (found := os.waitpid(self._pid, os.WNOHANG))[0]:
            assert time.monotonic() < end, f"the command goes on: {self._screen!r}"
            if select.select([self._fd], [], [], 0.2)[0]:
                try:
                    self._screen += os.read(self._fd, 4096)
                except OSError:
                    time.sleep(0.05)
        self._pid = 0
        return os.waitstatus_to_exitcode(found[1])

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)
