"""Debian packages that the cluster needs on the machine."""

from __future__ import annotations

import os

from hack.cluster.commands import CommandFailedError, run

PACKAGES = (
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "e2fsprogs",
    "iproute2",
    "iptables",
    "kmod",
    "mount",
    "runc",
    "util-linux",
    "xfsprogs",
)


def missing(dpkg_said: str, wanted: tuple[str, ...] = PACKAGES) -> list[str]:
    """The wanted packages that `dpkg-query -W -f='${Package} ${db:Status-Status}\\n'` does not call installed."""
    lines = (line.split() for line in dpkg_said.splitlines())
    installed = {fields[0] for fields in lines if fields[1:] == ["installed"]}
    return [package for package in wanted if package not in installed]


def install_missing() -> list[str]:
    """Installs what is missing and returns it; reads the package lists anew only in that case.

    The containerd package would like to start a service of its own. Where there is an init system it does, and
    does no harm: the nodes' containerds have sockets and directories of their own.
    """
    wanted = missing(run(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n"]))
    if wanted:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted]
        run(["apt-get", "update", "-q"], env=env, timeout=600)
        try:
            run(install, env=env, timeout=1200)
        except CommandFailedError:
            # One download that broke off is the usual cause; what was fetched is kept.
            run(install, env=env, timeout=1200)
    return wanted
