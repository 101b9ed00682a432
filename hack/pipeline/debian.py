"""All Debian packages in one apt run. Later steps run at the same time, and apt lets only one of them in."""

from __future__ import annotations

from hack.cluster import packages as cluster
from hack.cluster.commands import run
from hack.images import engines, steps

FOR_TESTS = ("binutils", "fish", "git", "make", "nginx", "openssl", "qemu-system-x86", "qemu-utils", "zsh")
FOR_NFS = ("libnfs-utils", "nfs-ganesha", "nfs-ganesha-vfs")
"""A server in user space, and the client that the worker uses: with all they need 1.4 MB."""
FOR_GUESTS = ("busybox-static", "dosfstools", "mtools", "syslinux", "syslinux-common")
FOR_BENCH = ("aria2", "curl")
FOR_IMAGES = ("buildah", "debian-archive-keyring", "mmdebstrap")
FOR_PYTHON = ("python3-venv",)


def wanted(*, docker: bool, venv_works: bool) -> tuple[str, ...]:
    """What a machine needs. A Python that brings ensurepip (not Debian's) needs no package for it."""
    images = () if docker else FOR_IMAGES
    python = () if venv_works else FOR_PYTHON
    return tuple(sorted({*FOR_TESTS, *FOR_BENCH, *FOR_NFS, *FOR_GUESTS, *images, *python, *cluster.PACKAGES}))


def install_missing() -> None:
    """One apt run for what is missing; the package lists are read anew only then."""
    installed = run(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n"])
    missing = cluster.missing(
        installed, wanted(docker=engines.docker_answers(), venv_works=ensurepip_is_there())
    )
    if not missing:
        return
    environ = {"DEBIAN_FRONTEND": "noninteractive"}
    with steps.step(f"apt: {' '.join(missing)}"):
        steps.run(["apt-get", "update", "-q"], environ=environ)
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *missing]
        try:
            steps.run(install, environ=environ)
        except steps.BuildError:
            # One download that broke off is the usual cause; what was fetched is kept.
            steps.run(install, environ=environ)


def ensurepip_is_there() -> bool:
    """Debian's python3 has a venv module that fails without python3-venv, which brings this one."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return False
    return True
