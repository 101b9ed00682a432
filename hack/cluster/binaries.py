"""The programs of the cluster, built from Go modules once and cached by the content of what they are made of.

A set of programs appears in the cache whole or not at all: it is built beside its place and renamed. Modules come
through whatever proxy and flags the environment sets; go.sum fixes their content.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster import config
from hack.cluster.commands import run
from hack.cluster.progress import Progress
from hack.cluster.toolchain import Go

HERE = Path(__file__).parent
MAJOR, MINOR, _ = config.KUBERNETES_VERSION.split(".")


@dataclass(frozen=True)
class BinarySet:
    """Programs that come from one go.mod and are built by one compiler run, so that they share its work.

    `stamps` are link-time strings: kubeadm refuses components that report v0.0.0. `renames` gives a program another
    name than its package has.
    """

    name: str
    source: Path
    packages: str
    programs: tuple[str, ...]
    stamps: Mapping[str, str] = field(default_factory=dict)
    renames: Mapping[str, str] = field(default_factory=dict)

    def build_arguments(self) -> list[str]:
        # -mod=readonly wins over a -mod in GOFLAGS, which would build something else than go.sum describes.
        stamps = [f"-X {name}={value}" for name, value in sorted(self.stamps.items())]
        ldflags = " ".join(["-s", "-w", *stamps])
        return ["-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={ldflags}", self.packages]


_KUBERNETES_STAMPS = {
    f"k8s.io/component-base/version.{name}": value
    for name, value in {
        "gitVersion": f"v{config.KUBERNETES_VERSION}",
        "gitMajor": MAJOR,
        "gitMinor": MINOR,
        "gitTreeState": "clean",
    }.items()
}
# Helm's idea of the cluster's version where it cannot ask (helm template, helm lint).
_HELM_STAMPS = {
    "helm.sh/helm/v3/internal/version.version": f"v{config.HELM_VERSION}",
    **{
        f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}": value
        for package in ("chartutil", "lint/rules")
        for part, value in (("Major", MAJOR), ("Minor", MINOR))
    },
}

KUBERNETES = BinarySet(
    name="kubernetes",
    source=HERE / "gomod" / "kubernetes",
    packages="tool",
    programs=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubeadm",
        "kubectl",
        "kubelet",
    ),
    stamps=_KUBERNETES_STAMPS,
    renames={"server": "etcd"},
)
HELM = BinarySet(
    name="helm", source=HERE / "gomod" / "helm", packages="tool", programs=("helm",), stamps=_HELM_STAMPS
)
PAUSE = BinarySet(name="pause", source=HERE / "pause", packages=".", programs=("pause",))


def fingerprint(binaries: BinarySet, go: tuple[int, int]) -> str:
    """Changes with the sources, the flags, and Go's version up to its minor number."""
    digest = hashlib.sha256()
    for path in sorted(binaries.source.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    digest.update(repr((binaries.build_arguments(), sorted(binaries.renames.items()), go)).encode())
    return digest.hexdigest()[:16]


def provide(binaries: BinarySet, go: Go, cache: Path, progress: Progress) -> Path:
    """The directory that holds the programs; builds them when the cache has none. Safe to run many times at
    once: one builds, the others wait."""
    home = cache / "bin" / f"{binaries.name}-{fingerprint(binaries, go.version)}"
    if home.is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.parent / f"{binaries.name}.lock"):
        if not home.is_dir():
            began = progress.elapsed
            _build(binaries, go, home)
            progress.done(f"{binaries.name} built in {progress.elapsed - began:.0f} s")
    return home


def _build(binaries: BinarySet, go: Go, home: Path) -> None:
    unfinished = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a build that was killed: we hold the lock
    unfinished.mkdir()
    run(
        [str(go.program), "build", "-o", f"{unfinished}/", *binaries.build_arguments()],
        cwd=binaries.source,
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
        timeout=3600,
    )
    for built, name in binaries.renames.items():
        (unfinished / built).rename(unfinished / name)
    absent = [name for name in binaries.programs if not (unfinished / name).is_file()]
    if absent:
        raise RuntimeError(f"the build of {binaries.name} left out {', '.join(absent)}")
    unfinished.rename(home)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
