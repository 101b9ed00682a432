"""The Debian base system that all images stand on, where no registry serves one."""

import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hack.images import cache, steps

SUITE = "bookworm"
_SECURITY_SUITE = f"{SUITE}-security"

# What an image never reads. dpkg keeps these rules, so they hold for packages that the Dockerfile adds, too.
# Licences stay: they are part of what is passed on.
_LEFT_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
)


def sources(environ: Mapping[str, str] = os.environ, targets: str | None = None) -> tuple[str, ...]:
    """The apt sources inside the images: GOLDPOOL_DEBIAN_MIRROR and GOLDPOOL_DEBIAN_SECURITY_MIRROR, else what this
    machine's own apt is set up with (``targets``: what ``apt-get indextargets`` says). Raises BuildError."""
    mirror = environ.get("GOLDPOOL_DEBIAN_MIRROR") or _own_mirror(SUITE, targets)
    security = environ.get("GOLDPOOL_DEBIAN_SECURITY_MIRROR") or _own_mirror(_SECURITY_SUITE, targets)
    if mirror is None or security is None:
        raise steps.BuildError(
            f"apt is not set up for {SUITE} and {_SECURITY_SUITE} here: "
            "set GOLDPOOL_DEBIAN_MIRROR and GOLDPOOL_DEBIAN_SECURITY_MIRROR"
        )
    return (
        f"deb {mirror} {SUITE} main",
        f"deb {mirror} {SUITE}-updates main",
        f"deb {security} {_SECURITY_SUITE} main",
    )


def _own_mirror(suite: str, targets: str | None) -> str | None:
    """The URI of the first repository that serves the suite."""
    told = _index_targets() if targets is None else targets
    for line in told.splitlines():
        release, _, uri = line.partition(" ")
        if release == suite and uri:
            return uri.rstrip("/")
    return None


@functools.cache
def _index_targets() -> str:
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Identifier: Packages"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def base_name(environ: Mapping[str, str] = os.environ) -> str:
    """A name that changes when the base would be made in another way."""
    recipe = "\n".join((SUITE, *sources(environ), *_LEFT_OUT))
    return cache.digest({"recipe": recipe.encode()})[:12]


def base_archive(directory: Path) -> Path:
    """A tar of a minimal Debian with its security updates; made once.

    mmdebstrap instead of debootstrap: it takes the updates and security suites in one go, honours path-exclude, writes
    a tar without root's device nodes, and takes half the time (31 s against 64 s).
    """
    archive = directory / f"debian-{base_name()}.tar"
    if archive.exists():
        return archive
    steps.ensure_tools(
        {
            "mmdebstrap": "mmdebstrap",
            "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
        }
    )
    with steps.step(f"debian {SUITE} base"), cache.published(archive) as temporary:
        options = [f"--dpkgopt={rule}" for rule in _LEFT_OUT]
        mode = ["--mode=root"] if os.geteuid() == 0 else []
        steps.run(
            ["mmdebstrap", "--variant=minbase", "--format=tar", *mode, *options, SUITE, temporary, *sources()]
        )
    return archive
