"""Which commit an upgrade comes from, its tree, and its images under a tag of their own."""

import io
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.images import cache, steps

TAG: Final = "previous"
SHIPPED: Final = ("charts", "hack/images", "operator", "requirements")
"""What a user of a release has of the repository."""
_KEPT: Final = 2


class NoHistoryError(Exception):
    """There is no earlier version here: a shallow clone, or the first one."""


@dataclass(frozen=True)
class Previous:
    """Its chart and its images, all three with the tag ``previous``."""

    commit: str
    tree: Path
    archive: Path

    @property
    def chart(self) -> Path:
        return self.tree / "charts" / "goldpool"


def commit(root: Path, wished: str = "") -> str:
    """``wished``, or the last commit whose shipped files differ from the working tree's. Raises NoHistoryError."""
    if wished:
        return _git(root, "rev-parse", "--verify", f"{wished}^{{commit}}")
    if _git(root, "status", "--porcelain", "--", *SHIPPED):
        return _git(root, "rev-parse", "HEAD")
    latest = _git(root, "log", "-1", "--format=%H %P", "--", *SHIPPED).split()
    # In a shallow clone the oldest commit there is has no parents, and seems to bring every file.
    if len(latest) < 2:
        raise NoHistoryError(f"no commit before {_git(root, 'rev-parse', '--short', 'HEAD')} changed what is shipped; "
                             "a shallow clone lacks its history: git fetch --unshallow")  # fmt: skip
    return latest[1]


def provide(wished: str = "") -> Previous:
    """Built when the cache has none. Safe to run many times at once. Raises NoHistoryError, BuildError."""
    sha = commit(cache.REPOSITORY, wished)
    room = cache.cache_directory("upgrade")
    home = room / sha[:16]
    with cache.exclusive(room):
        if not home.exists():
            with cache.published(home) as unfinished, steps.step(f"version before this one: {sha[:12]}"):
                _export(sha, unfinished / "tree")
                _with_tag(_build(unfinished / "tree"), unfinished / "images.tar")
        home.touch()
        cache.keep_newest((path for path in room.iterdir() if path.is_dir()), _KEPT)
    return Previous(sha, home / "tree", home / "images.tar")


def _git(root: Path, *arguments: str) -> str:
    return steps.run(["git", "-C", root, *arguments]).decode().strip()


def _export(sha: str, tree: Path) -> None:
    content = steps.run(["git", "-C", cache.REPOSITORY, "archive", sha])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(tree, filter="data")


def _build(tree: Path) -> Path:
    """By its own rules. Layers are shared with the present images', in the one store."""
    environ = {"PYTHONPATH": str(tree)}
    said = steps.run([sys.executable, "-m", "hack.images", "build"], cwd=tree, environ=environ)
    return Path(said.decode().split()[-1])


def _with_tag(archive: Path, to: Path) -> None:
    """The same images under another tag. Blobs are copied as they are; only the index names images."""
    with tarfile.open(archive) as old, tarfile.open(to, "w") as new:
        for entry in old:
            if not entry.isfile():
                continue
            content = old.extractfile(entry)
            assert content is not None
            if entry.name.removeprefix("./") == "index.json":
                renamed = json.dumps(retagged(json.load(content))).encode()
                entry.size = len(renamed)
                new.addfile(entry, io.BytesIO(renamed))
            else:
                new.addfile(entry, content)


def retagged(index: Mapping[str, object]) -> dict[str, object]:
    """An OCI image index whose images' names end in ``previous``."""
    manifests = json.loads(json.dumps(index["manifests"]))
    for manifest in manifests:
        names = manifest.get("annotations") or {}
        for key, name in names.items():
            if key.endswith((".image.name", ".ref.name")) and "/" in name:
                names[key] = f"{name.rpartition(':')[0]}:{TAG}"
    return {**index, "manifests": manifests}


def wished() -> str:
    """FROM of the environment: `make upgrade-test FROM=COMMIT`."""
    return os.environ.get("FROM", "")
