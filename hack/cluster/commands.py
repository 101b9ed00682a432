"""Programs of the machine, run to their end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class CommandFailedError(Exception):
    """A program ended with another code than 0; the message holds what it said."""

    def __init__(self, argv: Sequence[str], code: int, said: str) -> None:
        self.code = code
        self.said = said.strip()
        super().__init__(f"{' '.join(argv)}: exit code {code}: {self.said[-2000:]}")


class TimedOutError(Exception):
    """Something that was waited for did not happen."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 120,
) -> str:
    """The program's standard output. Raises CommandFailedError, also when it exceeds `timeout` seconds."""
    try:
        done = subprocess.run(
            argv, input=stdin, env=env, cwd=cwd, timeout=timeout, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailedError(argv, -1, f"no end after {timeout:.0f} s") from error
    if done.returncode != 0:
        raise CommandFailedError(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout


def succeeds(argv: Sequence[str], *, timeout: float = 120) -> bool:
    try:
        run(argv, timeout=timeout)
    except CommandFailedError:
        return False
    return True


def wait_until(condition: Callable[[], bool], *, what: str, timeout: float, interval: float = 0.05) -> None:
    """Returns once `condition` holds. Raises TimedOutError with `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimedOutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(interval)
