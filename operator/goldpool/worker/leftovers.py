"""Unpublished work that nobody will come back to.

What a try leaves in ``tmp/`` goes with the next try of the same name or with that name's deletion. Where the host was
away when its object was given up, neither comes: then age tells.
"""

import os
import stat
from typing import Final

from goldpool.worker import publish, workspace
from goldpool.worker.failures import OperationFailed
from goldpool.worker.log import log
from goldpool.worker.workspace import Kind

LEFTOVER_SECONDS: Final = 24 * 3600.0
"""Far beyond the longest pause between two tries of one fetch; whoever still works writes all the time."""


def sweep_leftovers(*, tmp: int, now: float, seconds: float = LEFTOVER_SECONDS) -> None:
    """Entries of ours to which nothing was written for ``seconds`` are gone, but those of a fetch at work.

    As far as that is possible: somebody else's leftovers fail no operation. Foreign names are not touched.
    """
    for entry in publish.entries(at=tmp):
        owner = workspace.owner_of(entry)
        if owner is None or now - _last_written(entry, tmp) <= seconds:
            continue
        name, kind = owner
        try:
            if kind is Kind.VOLUME:
                workspace.discard(entry, name, kind, tmp=tmp)
            else:
                from goldpool.worker.fetch.lock import only_fetch  # it brings all of a fetch with it

                # Taking the parent's lock shows that nobody fetches it, and removes the lock's file.
                with only_fetch(name, tmp=tmp, patience_seconds=0):
                    if kind is Kind.PARENT:
                        workspace.discard(entry, name, kind, tmp=tmp)
            log("leftover swept", entry=entry)
        except (OperationFailed, OSError) as error:
            log("leftover not swept", entry=entry, error=str(error))


def _last_written(entry: str, tmp: int) -> float:
    """Unix seconds; of the entry itself and of what lies in it. One that vanishes meanwhile was written to just now."""
    try:
        found = os.lstat(entry, dir_fd=tmp)
        times = [found.st_mtime]
        if stat.S_ISDIR(found.st_mode):
            with publish.directory(entry, at=tmp) as inside:
                times += [os.lstat(name, dir_fd=inside).st_mtime for name in publish.entries(at=inside)]
    except OSError:
        return float("inf")
    return max(times)
