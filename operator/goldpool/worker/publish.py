"""Making things appear on a pool whole, or not at all.

Everything works relative to an open directory and never follows a symbolic link in the last component, so
that a link on an unlucky pool leads nowhere. The order is always: write under ``tmp/``, fsync the files,
fsync the new directory, rename without replacing, fsync the directory that got the name.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from typing import Final

_RENAME_NOREPLACE: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def directory(name: str | os.PathLike[str], *, at: int | None = None) -> Iterator[int]:
    """The open directory; ``NotADirectoryError`` for a symbolic link or a file in its place."""
    fd = os.open(name, _DIRECTORY, dir_fd=at)
    try:
        yield fd
    finally:
        os.close(fd)


def exists(name: str, *, at: int) -> bool:
    """Also true for a dangling link: a name that is taken."""
    try:
        os.lstat(name, dir_fd=at)
    except FileNotFoundError:
        return False
    return True


def entries(*, at: int) -> list[str]:
    """The names in a directory, in no order."""
    fd: int = at
    return os.listdir(fd)


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """All of ``data`` at ``offset``: a short write (a pool that just became full) goes on until it fails."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:] if written else data, offset + written)


@contextlib.contextmanager
def new_file(name: str, *, at: int, mode: int) -> Iterator[int]:
    """A file that did not exist, durable when the block ends without an exception."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=at)
    try:
        yield fd
        os.fchmod(fd, mode)  # not by open(): the umask would have its say
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(name: str, data: bytes, *, at: int, mode: int) -> None:
    """Durable content under a new name; the name itself is durable after ``os.fsync(at)``."""
    with new_file(name, at=at, mode=mode) as fd:
        write_all(fd, data, 0)


def read_file(name: str, *, at: int, limit: int = 64 << 10) -> bytes:
    """At most ``limit`` bytes: our sidecars are small, and what is larger is not ours."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=at)
    try:
        chunks = []
        while limit > 0 and (chunk := os.read(fd, limit)):
            chunks.append(chunk)
            limit -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def rename(source: str, target: str, *, source_at: int, target_at: int) -> None:
    """The entry has its new name, or ``FileExistsError`` and nothing happened: never a rename over something.

    Not durable before both directories are fsynced. Source: renameat2(2).
    """
    # Plain rename(2) replaces an empty directory by a directory, so the flag is needed even for directories.
    result = -1
    code = errno.ENOSYS
    if hasattr(_libc, "renameat2"):
        result = _libc.renameat2(
            source_at, os.fsencode(source), target_at, os.fsencode(target), _RENAME_NOREPLACE
        )
        code = ctypes.get_errno()
    if result == 0:
        return
    if code in {errno.EINVAL, errno.ENOSYS}:
        _rename_without_flag(source, target, source_at, target_at)
        return
    raise OSError(errno.EEXIST if code == errno.ENOTEMPTY else code, os.strerror(code), target)


def _rename_without_flag(source: str, target: str, source_at: int, target_at: int) -> None:
    """NFS and some FUSE file systems know no flag. What can still be replaced in a race is an empty directory."""
    if exists(target, at=target_at):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    try:
        os.rename(source, target, src_dir_fd=source_at, dst_dir_fd=target_at)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        raise


def remove(name: str, *, at: int) -> None:
    """The entry is gone, whatever it was; a missing one is success; links inside are removed, not followed."""
    try:
        entry = os.lstat(name, dir_fd=at)
        if stat.S_ISDIR(entry.st_mode):
            shutil.rmtree(name, dir_fd=at)  # fd-based on Linux, hence safe against links put in its way
        else:
            os.unlink(name, dir_fd=at)
    except FileNotFoundError:
        return
