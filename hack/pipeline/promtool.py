"""promtool, which checks metrics and tests alerts: out of Debian's package `prometheus`, without installing that.

The package would start a Prometheus on this machine. apt verifies what it downloads, as for an installation.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.images import cache, steps

PACKAGE = "prometheus"
_INSIDE = "./usr/bin/promtool"


def program() -> Path | None:
    """The one on the PATH, else the one that `provide` left; None when there is none."""
    found = shutil.which("promtool")
    if found:
        return Path(found)
    kept = cache.cache_directory("promtool") / "promtool"
    return kept if kept.exists() else None


def provide() -> Path:
    """Downloads and unpacks it once. Raises BuildError."""
    found = program()
    if found is not None:
        return found
    directory = cache.cache_directory("promtool")
    with cache.exclusive(directory), TemporaryDirectory(dir=directory) as name:
        place = Path(name)
        with steps.step("promtool"), cache.published(directory / "promtool") as new:
            try:
                _download(place)
            except steps.BuildError:
                # The package lists may be older than the mirror.
                steps.run(["apt-get", "update", "-q"])
                _download(place)
            [package] = place.glob("*.deb")
            _unpack(package, place)
            (place / _INSIDE).rename(new)
    return directory / "promtool"


def _download(place: Path) -> None:
    # apt's own user cannot write there; without this it says so at length.
    steps.run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", PACKAGE], cwd=place)


def _unpack(package: Path, place: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", place, _INSIDE], stdin=archive.stdout, check=True)
