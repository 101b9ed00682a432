"""The virtual environment in .venv: pinned packages by hash, and the goldpool package in place."""

from __future__ import annotations

import sys
from pathlib import Path

from hack.images import cache, steps
from hack.pipeline import debian

DIRECTORY = cache.REPOSITORY / ".venv"
_REQUIREMENTS = cache.REPOSITORY / "requirements" / "dev.txt"
_STAMP = DIRECTORY / ".goldpool"


def recipe() -> str:
    """Changes with the pinned packages, the package's entry points, this file and the interpreter."""
    sources = [_REQUIREMENTS, cache.REPOSITORY / "pyproject.toml", cache.REPOSITORY / "hack/pipeline/venv.py"]
    return cache.digest_of_files(sources, {"python": sys.version, "prefix": sys.prefix})


def provide() -> None:
    """.venv holds what requirements/dev.txt pins; quick when it already does.

    The stamp is written last, so an installation that broke off is done again.
    """
    with cache.exclusive(cache.cache_directory("venv")):
        if _STAMP.exists() and _STAMP.read_text(encoding="ascii") == recipe():
            return
        if not debian.ensurepip_is_there():
            debian.install_missing()
        python = DIRECTORY / "bin" / "python"
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        with steps.step("virtual environment"):
            if not python.exists():
                steps.run([sys.executable, "-m", "venv", DIRECTORY])
            steps.run([*pip, "--require-hashes", "--requirement", _REQUIREMENTS])
            steps.run([*pip, "--no-deps", "--no-build-isolation", "--editable", cache.REPOSITORY])
        _STAMP.write_text(recipe(), encoding="ascii")
