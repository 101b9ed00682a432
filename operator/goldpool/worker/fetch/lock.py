"""One fetch of a parent at a time on a host (and, where the file system carries locks, on all of them)."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from goldpool.contracts.report import FailureReason
from goldpool.worker import publish, workspace
from goldpool.worker.failures import OperationFailed


@contextlib.contextmanager
def only_fetch(name: str, *, tmp: int, patience_seconds: float) -> Iterator[None]:
    """Nobody else fetches this parent inside the block; ``IOError`` (it passes) when somebody still does.

    The kernel releases the lock of a killed process. The file is gone afterwards.
    """
    entry = workspace.lock_entry(name)
    until = time.monotonic() + patience_seconds
    while (fd := _locked(entry, tmp)) is None:
        if time.monotonic() >= until:
            raise OperationFailed(
                FailureReason.IO_ERROR, f"another fetch of parent {name} is at work on this pool"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        publish.remove(entry, at=tmp)
        os.close(fd)


def _locked(entry: str, tmp: int) -> int | None:
    fd = os.open(entry, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=tmp)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder removed its file between our open and our lock: then this lock guards nothing.
        if os.fstat(fd).st_nlink > 0 and os.path.samestat(os.fstat(fd), os.lstat(entry, dir_fd=tmp)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
