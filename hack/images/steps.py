"""Running tools so that a person sees what happens and how long it took; results go to stdout, progress to stderr."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_BEGIN = time.monotonic()
_OUTPUT_SHOWN = 4000


class BuildError(Exception):
    """A tool failed or is missing; the message says which and what it printed last."""


def say(text: str) -> None:
    """One progress line with the seconds since the start."""
    sys.stderr.write(f"[{time.monotonic() - _BEGIN:6.1f} s] {text}\n")
    sys.stderr.flush()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announces a step and, when it is done, its own time."""
    begin = time.monotonic()
    say(f"{name} ...")
    yield
    say(f"{name}: done in {time.monotonic() - begin:.1f} s")


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    environ: Mapping[str, str] | None = None,
    timeout: float = 1800,
) -> bytes:
    """The tool's stdout. Raises BuildError with the end of its output if it fails, is missing or takes too long."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            input=stdin if stdin is not None else b"",
            env=None if environ is None else {**os.environ, **environ},
            capture_output=True,
            check=False,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise BuildError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(words[:3])} took more than {timeout:.0f} s") from error
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")[-_OUTPUT_SHOWN:]
        raise BuildError(f"{' '.join(words)}\nended with {done.returncode}:\n{output}")
    return done.stdout


def ensure_tools(tools: Mapping[str, str]) -> None:
    """Each tool (a command's name or a path) is there; what is missing comes from its Debian package by apt."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    missing = sorted(
        {package for tool, package in tools.items() if shutil.which(tool, path=search, mode=os.F_OK) is None}
    )
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise BuildError(f"this needs the Debian packages {', '.join(missing)}, and there is no apt-get")
    apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "-n", "apt-get"]
    with step(f"apt: {' '.join(missing)}"):
        environ = {"DEBIAN_FRONTEND": "noninteractive"}
        run([*apt, "update", "-q"], environ=environ)
        run([*apt, "install", "-qy", "--no-install-recommends", *missing], environ=environ)
