"""The two tools that can run the Dockerfile: a docker engine where one answers, else buildah without any daemon."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from hack.images import debian, oci, steps

DOCKERFILE = Path(__file__).with_name("Dockerfile")

# The VM's image first: its stages contain the worker's.
TARGETS = ("goldpool-vm", "goldpool-worker", "goldpool-operator")
REGISTRY = "goldpool.local"
TAG = "dev"


def reference(target: str) -> str:
    """The name a pod spec gives, exactly: never in a registry, so pods say imagePullPolicy Never or IfNotPresent."""
    return f"{REGISTRY}/{target}:{TAG}"


class Engine(Protocol):
    """Builds all targets from a context into one archive."""

    def build(self, context: Path, archive: Path) -> None:
        """Writes `archive`, readable by `ctr images import`, with every target under its reference."""


class Buildah:
    """buildah with chroot isolation and a store of its own: needs root, but neither a daemon nor namespaces."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._layout = directory / "oci"
        steps.ensure_tools({"buildah": "buildah"})
        self._buildah = self._command("overlay")
        if not self._works():
            # An overlay cannot stand on an overlay (a CI runner that is a container itself): copy whole layers.
            self._buildah = self._command("vfs")

    def build(self, context: Path, archive: Path) -> None:
        base = self._base()
        for target in TARGETS:
            with steps.step(f"image {target}"):
                self._bud(
                    DOCKERFILE, context, reference(target), "--target", target, "--build-arg", f"BASE={base}"
                )
        with steps.step("archive"):
            for target in TARGETS:
                name = reference(target)
                # buildah compresses every layer anew at every push, most of a rebuild: 15 % more bytes, less waiting.
                self._run("push", "--quiet", "--compression-level=1", name, f"oci:{self._layout}:{name}")
            oci.prune(self._layout)
            oci.pack(self._layout, archive)

    def _base(self) -> str:
        name = f"localhost/goldpool-debian:{debian.base_name()}"
        if not self._succeeds("inspect", "--type", "image", name):
            archive = debian.base_archive(self._directory)
            with steps.step("base image"), TemporaryDirectory(dir=self._directory) as folder:
                # In the same directory as the archive, so that it can be linked.
                context = Path(folder)
                (context / "base.tar").hardlink_to(archive)
                (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n", encoding="utf-8")
                self._bud(context / "Dockerfile", context, name)
        return name

    def _bud(self, dockerfile: Path, context: Path, name: str, *options: str) -> None:
        fixed = ("--quiet", "--layers", "--isolation=chroot", "--pull=false")
        self._run("bud", *fixed, *options, "--tag", name, "--file", str(dockerfile), str(context))

    def _command(self, driver: str) -> tuple[str, ...]:
        store = self._directory / f"store-{driver}"
        return ("buildah", "--storage-driver", driver, "--root", f"{store}/root", "--runroot", f"{store}/run")

    def _works(self) -> bool:
        return self._succeeds("images", "--quiet")

    def _succeeds(self, *words: str) -> bool:
        return subprocess.run([*self._buildah, *words], capture_output=True, check=False).returncode == 0

    def _run(self, *words: str) -> bytes:
        return steps.run([*self._buildah, *words])


class Docker:
    """A docker engine; its base image comes from the registry, as the Dockerfile says."""

    # Without this, newer engines add attestation manifests for a platform "unknown", which containerd 1.6 imports too.
    _ENVIRON = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "DOCKER_BUILDKIT": "1"}  # noqa: RUF012

    def build(self, context: Path, archive: Path) -> None:
        for target in TARGETS:
            with steps.step(f"image {target}"):
                words = ["docker", "build", "--quiet", "--platform", "linux/amd64", "--target", target]
                words += ["--tag", reference(target), "--file", str(DOCKERFILE), str(context)]
                steps.run(words, environ=self._ENVIRON)
        with steps.step("archive"):
            steps.run(["docker", "save", "--output", archive, *(reference(target) for target in TARGETS)])


def docker_answers() -> bool:
    """Whether there is an engine behind the docker command, not only the command."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def choose(directory: Path) -> Engine:
    """Docker where an engine answers, else buildah."""
    return Docker() if docker_answers() else Buildah(directory)
