"""Giving a pool's path back: our identity goes, once nothing lives there any more."""

import contextlib
import os
from typing import Final

from goldpool.contracts.facts import LocationState
from goldpool.contracts.layout import IDENTITY_FILE, TEMPLATES, TMP, TRASH, VOLUMES, LocationIdentity
from goldpool.contracts.model import Misread
from goldpool.contracts.report import FailureReason
from goldpool.worker import publish, workspace
from goldpool.worker.failures import OperationFailed
from goldpool.worker.identity import find
from goldpool.worker.log import log
from goldpool.worker.trash import empty_trash

_GOLDPOOL: Final = IDENTITY_FILE.parent.name
RELEASED: Final = "released.json"
"""The identity's name afterwards. It tells a released path from one that is not mounted, so that asking twice is
success, and it lets the next Initialize take over the empty directories (only root may remove them)."""


def release(root: int, expected: LocationIdentity) -> None:
    """The path belongs to nobody; ``VolumeConflict`` while it holds a parent or a volume, and nothing is changed.

    What waits in the trash goes with the pool. Entries that are not ours stay.
    """
    finding = find(root, expected)
    if finding.state is not LocationState.OK:
        if released_by(root) == expected and finding.state is LocationState.NOT_MOUNTED:
            return
        raise finding.failure()
    _empty(root)
    with contextlib.suppress(FileNotFoundError), publish.directory(TMP, at=root) as tmp:
        workspace.sweep_all(tmp=tmp)
    with contextlib.suppress(FileNotFoundError), publish.directory(TRASH, at=root) as trash:
        empty_trash(trash=trash)
    with publish.directory(_GOLDPOOL, at=root) as goldpool:
        os.replace(IDENTITY_FILE.name, RELEASED, src_dir_fd=goldpool, dst_dir_fd=goldpool)
        os.fsync(goldpool)
    log("location released", location=expected.location, pool=expected.pool, node=expected.node)


def _empty(root: int) -> None:
    for name, what in ((TEMPLATES, "parents"), (VOLUMES, "volumes")):
        if count := len(entries(root, name)):
            raise OperationFailed(
                FailureReason.VOLUME_CONFLICT, f"the location still holds {count} {what}: its identity stays"
            )


def entries(root: int, name: str) -> list[str]:
    """What a directory of the location holds; a missing one holds nothing."""
    try:
        with publish.directory(name, at=root) as fd:
            return publish.entries(at=fd)
    except FileNotFoundError:
        return []


def released_by(root: int) -> LocationIdentity | None:
    """Who gave this path back, if anybody did and nobody took it since."""
    try:
        with publish.directory(_GOLDPOOL, at=root) as goldpool:
            return LocationIdentity.from_json(publish.read_file(RELEASED, at=goldpool))
    except (FileNotFoundError, Misread):
        return None
