"""The build context: Python packages from hashed wheels, and the goldpool package, laid out as in the image.

wheels/operator.tar  wheels/worker.tar  goldpool/
"""

import os
import shutil
import sys
import tarfile
from pathlib import Path

from hack.images import cache, steps

PACKAGE = cache.REPOSITORY / "operator" / "goldpool"
REQUIREMENTS = {name: cache.REPOSITORY / "requirements" / f"{name}.txt" for name in ("operator", "worker")}

# Debian 12's Python on x86-64, whatever the build machine is. Only wheels: no compiler and no setup.py runs.
_TARGET_PYTHON = (
    "--only-binary=:all:",
    "--implementation=cp",
    "--python-version=3.11",
    *(f"--abi={abi}" for abi in ("cp311", "abi3", "none")),
    *(f"--platform={platform}_x86_64" for platform in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")),
)
# Layers must not change because a checkout is newer.
_TIME = 315532800  # 1980-01-01, the oldest a zip file can name


def build_context(directory: Path) -> Path:
    """The context directory with today's package in it; the wheels are fetched only when the requirements change."""
    recipe = cache.digest_of_files([*REQUIREMENTS.values(), Path(__file__)])
    context = directory / f"context-{recipe[:12]}"
    if not context.exists():
        with cache.published(context) as temporary:
            for name, requirements in REQUIREMENTS.items():
                with steps.step(f"wheels of {name}"):
                    _install(requirements, temporary / name)
                    (temporary / "wheels").mkdir(exist_ok=True)
                    pack(temporary / name, temporary / "wheels" / f"{name}.tar")
                    cache.remove(temporary / name)
    cache.remove(context / "goldpool")
    copy_source(PACKAGE, context / "goldpool")
    return context


def copy_source(source: Path, target: Path) -> None:
    """A copy whose modes and times do not depend on the checkout's umask or age."""
    for file in cache.source_files(source):
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
        copied.chmod(0o644)
        os.utime(copied, (_TIME, _TIME))
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
        os.utime(folder, (_TIME, _TIME))


def pack(source: Path, archive: Path) -> None:
    """A tar of a tree, owned by root, without modes or times of the build machine.

    One file instead of thousands: builders compare a whole context with their cache at every build.
    """
    with tarfile.open(archive, "w") as tar:
        for path in sorted(source.rglob("*")):
            member = tar.gettarinfo(path, str(path.relative_to(source)))
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            member.mtime = _TIME
            member.mode = 0o755 if member.isdir() else 0o644
            if member.isfile():
                with path.open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)


def _install(requirements: Path, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    what = ["--require-hashes", "--no-deps", "--target", str(target), "--requirement", str(requirements)]
    steps.run([*pip, *_TARGET_PYTHON, *what])
    # Console scripts would name the build machine's interpreter.
    cache.remove(target / "bin")
