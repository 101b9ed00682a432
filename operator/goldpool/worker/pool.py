"""A location as a place to work in: opened only if it is who it must be, initialised once, rebound on request."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goldpool.contracts.facts import LocationState
from goldpool.contracts.layout import (
    DIRECTORIES,
    IDENTITY_FILE,
    STORAGE_UID,
    TEMPLATES,
    TMP,
    TRASH,
    VOLUMES,
    LocationIdentity,
)
from goldpool.contracts.model import Misread
from goldpool.contracts.report import FailureReason
from goldpool.worker import publish
from goldpool.worker.failures import OperationFailed
from goldpool.worker.identity import find
from goldpool.worker.log import log
from goldpool.worker.mounts import no_mount_point, parse_mountinfo
from goldpool.worker.release import RELEASED, entries, released_by

_GOLDPOOL: Final = IDENTITY_FILE.parent.name
_IDENTITY: Final = IDENTITY_FILE.name
_DIRECTORY_MODE: Final = 0o750
_IDENTITY_MODE: Final = 0o644


@dataclass(frozen=True)
class Location:
    """An open location whose identity was verified. The directories are file descriptors, so that what was
    verified is what is written to, even if something else is mounted over the path meanwhile.
    """

    path: Path
    identity: LocationIdentity
    root: int
    templates: int
    volumes: int
    tmp: int
    trash: int

    def free_bytes(self) -> int:
        """What an unprivileged writer may still use."""
        space = os.fstatvfs(self.root)
        return space.f_bavail * space.f_frsize


@contextlib.contextmanager
def opened(path: Path, expected: LocationIdentity) -> Iterator[Location]:
    """The location, or ``OperationFailed`` (NotMounted, ForeignPool, Replaced) before anything was written."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(opened_root(path))
        finding = find(root, expected)
        if finding.state is not LocationState.OK:
            raise finding.failure()
        templates, volumes, tmp, trash = (
            stack.enter_context(publish.directory(name, at=root)) for name in (TEMPLATES, VOLUMES, TMP, TRASH)
        )
        yield Location(path, expected, root, templates, volumes, tmp, trash)


@contextlib.contextmanager
def opened_root(path: Path) -> Iterator[int]:
    """The location's root, of whomever it is; ``NotMounted`` when there is none."""
    with contextlib.ExitStack() as stack:
        try:
            root = stack.enter_context(publish.directory(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise OperationFailed(FailureReason.NOT_MOUNTED, f"{path} is no directory") from error
        yield root


def synced(path: Path, names: Iterable[str]) -> None:
    """The names published in these directories of a location survive a power cut."""
    with publish.directory(path) as root:
        for name in sorted(names):
            with publish.directory(name, at=root) as fd:
                os.fsync(fd)


def initialize(
    path: Path,
    identity: LocationIdentity,
    *,
    require_mount: bool,
    mountinfo: Path,
    owner: int | None = None,
) -> None:
    """The location is ours: directories of mode 0750 for ``owner``, and the identity file, written last.

    Done again it repairs the directories; of the same location on a Node that was registered anew it records the Node's
    UID. Another identity is never replaced (ForeignPool, Replaced); neither is a pool that lost its identity taken over
    (ForeignPool). Files that are not ours are left alone.
    """
    if owner is None:
        # Only root may give files away; whoever else runs this (a test) can only own them himself.
        owner = STORAGE_UID if os.geteuid() == 0 else os.geteuid()
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(opened_root(path))
        if require_mount:
            _mounted(path, mountinfo)
        finding = find(root, identity)
        if finding.identity is not None and _differs_by_node_uid(finding.identity, identity):
            # The location's object was given up with its Node, and both are back under their names.
            rebind(path, identity)
            finding = find(root, identity)
        if finding.state not in {LocationState.OK, LocationState.NOT_MOUNTED}:
            raise finding.failure()
        done = finding.state is LocationState.OK
        if not done and not _begun(root, identity):
            _without_remains(root)
        _reachable(root, path, owner)
        goldpool = stack.enter_context(_owned_directory(_GOLDPOOL, root, owner))
        if not done:
            _begin(goldpool, identity, owner)
        for name in DIRECTORIES:
            with _owned_directory(name, root, owner):
                pass
        os.fsync(root)
        if not done:
            _finish(root, goldpool, identity)
            log("location initialised", location=identity.location, pool=identity.pool, node=identity.node)


def _mounted(path: Path, mountinfo: Path) -> None:
    mounts = parse_mountinfo(mountinfo.read_text(encoding="utf-8", errors="surrogateescape"))
    if (objection := no_mount_point(mounts, str(path))) is not None:
        raise OperationFailed(FailureReason.NOT_MOUNTED, objection)


def _intent(identity: LocationIdentity) -> str:
    return f"{_IDENTITY}.{identity.location}"


def _begun(root: int, identity: LocationIdentity) -> bool:
    """Did an earlier Initialize of this very location stop half way? Then its directories are ours."""
    try:
        with publish.directory(_GOLDPOOL, at=root) as goldpool:
            content = publish.read_file(_intent(identity), at=goldpool)
        return LocationIdentity.from_json(content) == identity
    except (FileNotFoundError, Misread):
        return False


def _without_remains(root: int) -> None:
    remains = [name for name in (TEMPLATES, VOLUMES) if publish.exists(name, at=root)]
    if released_by(root) is not None:
        remains = [name for name in remains if entries(root, name)]
    if remains:
        raise OperationFailed(
            FailureReason.FOREIGN_POOL,
            f"{' and '.join(remains)} exist here without {IDENTITY_FILE}: this may be a pool that lost its identity; "
            "nothing was written; restore the identity, or move them away",
        )


def _reachable(root: int, path: Path, owner: int) -> None:
    """A disk whose root only its maker may enter is told now, by name, and not by each later Job."""
    entry = os.fstat(root)
    if os.geteuid() == 0 and entry.st_uid != owner and not entry.st_mode & 0o001:
        raise OperationFailed(
            FailureReason.IO_ERROR,
            f"mode {entry.st_mode & 0o7777:04o} of {path} keeps user {owner} out: chmod o+x the pool's path",
        )


@contextlib.contextmanager
def _owned_directory(name: str, at: int, owner: int) -> Iterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=at)
    with publish.directory(name, at=at) as fd:
        _give(fd, owner)
        os.fchmod(fd, _DIRECTORY_MODE)
        os.fsync(fd)
        yield fd


def _give(fd: int, owner: int) -> None:
    entry = os.fstat(fd)
    group = owner if os.geteuid() == 0 else entry.st_gid
    if (entry.st_uid, entry.st_gid) != (owner, group):
        os.fchown(fd, owner, group)


def _begin(goldpool: int, identity: LocationIdentity, owner: int) -> None:
    """The identity under a preliminary name, durable before the first directory is made (see ``_begun``)."""
    publish.remove(_intent(identity), at=goldpool)
    with publish.new_file(_intent(identity), at=goldpool, mode=_IDENTITY_MODE) as fd:
        publish.write_all(fd, _json(identity), 0)
        _give(fd, owner)
    os.fsync(goldpool)


def _finish(root: int, goldpool: int, identity: LocationIdentity) -> None:
    # link(2) and not rename(2): of two that initialise at once, the second must see the first.
    try:
        os.link(_intent(identity), _IDENTITY, src_dir_fd=goldpool, dst_dir_fd=goldpool)
    except FileExistsError:
        finding = find(root, identity)
        if finding.state is not LocationState.OK:
            raise finding.failure() from None
    os.fsync(goldpool)
    publish.remove(RELEASED, at=goldpool)
    publish.remove(_intent(identity), at=goldpool)


def rebind(path: Path, identity: LocationIdentity) -> None:
    """The location bears the new UID of its Node. Only the UID may differ; anything else stays refused."""
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(opened_root(path))
        finding = find(root, identity)
        if finding.state is LocationState.OK:
            return
        if finding.identity is None or not _differs_by_node_uid(finding.identity, identity):
            raise finding.failure()
        goldpool = stack.enter_context(publish.directory(_GOLDPOOL, at=root))
        preliminary = f"{_IDENTITY}.rebind"
        publish.remove(preliminary, at=goldpool)
        publish.write_file(preliminary, _json(identity), at=goldpool, mode=_IDENTITY_MODE)
        # The one rename over something: the file is ours, and its successor says more of the same.
        os.replace(preliminary, _IDENTITY, src_dir_fd=goldpool, dst_dir_fd=goldpool)
        os.fsync(goldpool)
        log("location rebound", location=identity.location, node=identity.node, node_uid=identity.node_uid)


def _differs_by_node_uid(found: LocationIdentity, wanted: LocationIdentity) -> bool:
    return found.replace(node_uid=wanted.node_uid) == wanted


def _json(identity: LocationIdentity) -> bytes:
    return identity.to_json(indent=2).encode() + b"\n"
