"""Where built things lie between two calls, and by which name: the digest of what they were made from.

Nothing is ever built inside the source tree. What stands under its final name is complete: builders write beside it
and rename.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_NOT_SOURCE = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def cache_directory(room: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory of one room (images, guests): below GOLDPOOL_CACHE, else XDG_CACHE_HOME, else ~/.cache."""
    root = environ.get("GOLDPOOL_CACHE") or environ.get("XDG_CACHE_HOME")
    if not root:
        root = str(Path(environ.get("HOME") or Path.home()) / ".cache")
    return Path(root).absolute() / "goldpool" / room


def digest(parts: Mapping[str, bytes]) -> str:
    """One hex digest of named byte strings; neither order nor where a name ends and its bytes begin can confuse it."""
    whole = hashlib.sha256()
    for name in sorted(parts):
        for field in (name.encode(), parts[name]):
            whole.update(len(field).to_bytes(8, "big"))
            whole.update(field)
    return whole.hexdigest()


def source_files(root: Path) -> Iterator[Path]:
    """The files of a source tree (or the one file), without what tools leave in it."""
    if root.is_file():
        yield root
        return
    for path in sorted(root.iterdir()):
        if path.name in _NOT_SOURCE or path.name.startswith(".") or path.suffix == ".pyc":
            continue
        if path.is_dir():
            yield from source_files(path)
        elif path.is_file():
            yield path


def digest_of_files(roots: Iterable[Path], parts: Mapping[str, str] | None = None) -> str:
    """The digest of the contents and names (relative to the repository) of source trees, and of named values."""
    named = {f"value:{name}": value.encode() for name, value in (parts or {}).items()}
    for root in roots:
        for path in source_files(root):
            named[f"file:{path.relative_to(REPOSITORY)}"] = path.read_bytes()
    return digest(named)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """One builder at a time per directory; the kernel lets go of the lock when a builder dies."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def published(final: Path) -> Iterator[Path]:
    """A path to build at, renamed to `final` when the block succeeds and removed when it fails.

    A directory that stands at `final` is replaced, which two processes must not do at once: hold `exclusive`.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.new")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            remove(final)
        temporary.rename(final)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Whatever stands at `path` is gone; nothing standing there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def keep_newest(paths: Iterable[Path], count: int) -> None:
    """Remove all but the newest `count` of what earlier builds left."""
    for path in sorted(paths, key=lambda p: p.stat().st_mtime, reverse=True)[count:]:
        remove(path)
