"""The unpublished bodies of one parent: at most one for each URL, and few."""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from goldpool.contracts.layout import parent_file
from goldpool.contracts.operations import Fetch
from goldpool.contracts.report import PERMANENT, FailureReason
from goldpool.worker import workspace
from goldpool.worker.failures import OperationFailed, Terminated, os_failure
from goldpool.worker.fetch.partial import Partial, source_id
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.resume import Version
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.verify import Digests
from goldpool.worker.pool import Location
from goldpool.worker.staleness import is_shared
from goldpool.worker.workspace import Kind

KEPT: Final = 3
"""Mirrors that take turns at failing do not take each other's work away; nor do a hundred of them fill the pool."""


class Partials:
    """A context manager, for who holds the parent's lock. Left by an error that passes, what a later Job can go on with
    stays; left otherwise, nothing does."""

    def __init__(self, location: Location, operation: Fetch) -> None:
        self._location = location
        self._parent = operation.parent
        self._name = parent_file(operation.format)
        self._kept: dict[str, Partial] = {}
        """By ``source``."""

    def __enter__(self) -> Self:
        tmp = self._location.tmp
        for entry in workspace.entries_of(self._parent, Kind.PARENT, tmp=tmp):
            found = Partial.found(entry, at=tmp, name=self._name)
            if found is None:
                workspace.discard(entry, self._parent, Kind.PARENT, tmp=tmp)
                continue
            if (other := self._kept.get(found.source)) is not None:
                less, found = sorted((other, found), key=lambda each: each.received)
                self.discard(less)
            self._kept[found.source] = found
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for partial in list(self._kept.values()):
            if error is not None and partial.worth_keeping and _passes(error):
                partial.close()
            else:
                self.discard(partial)

    def of(self, url: str) -> Partial | None:
        return self._kept.get(source_id(url))

    def begin(self, url: str, version: Version, room: Room) -> Partial:
        """An empty one; what there was of this URL is gone."""
        if (old := self.of(url)) is not None:
            self.discard(old)
        while len(self._kept) >= KEPT:
            self.discard(min(self._kept.values(), key=lambda each: each.received))
        self._make_room(room, version.total)
        partial = self._new(source_id(url), version)
        self._kept[partial.source] = partial
        return partial

    def restored(
        self, url: str, digests: Digests, room: Room, told: Callable[[int, int | None], None]
    ) -> Partial | None:
        """What there is of this URL, with ``digests`` of it, in a file that nobody else writes to."""
        if (partial := self.of(url)) is None:
            return None
        total = partial.version.total
        try:
            self._make_room(room, total, partial)
        except MirrorFailed:
            self.discard(
                partial
            )  # too large, or not of the size it should have: what the mirror has now may be
            return None
        if partial.digests is not None and partial.digests.covers(digests):
            return partial
        if not is_shared(self._location.identity):
            partial.restore(digests, lambda _: told(partial.received, total))
            return partial  # the kernel's lock keeps other processes of this host away
        # The lock of a host that was cut off may be given to the next one while it goes on writing: then it must be
        # into a file that is nobody's, and what was hashed is what is published.
        try:
            room.expect(partial.received)
        except OperationFailed:
            self.discard(partial)
            return None
        copy = self._new(partial.source, partial.version)
        try:
            partial.restore(digests, lambda _: told(partial.received, total), into=copy)
        except BaseException:
            self._remove(copy)
            raise
        self.discard(partial)
        self._kept[copy.source] = copy
        return copy

    def _make_room(self, room: Room, total: int | None, partial: Partial | None = None) -> None:
        """Other mirrors' bytes give way where there is no room for both."""
        held = partial.received if partial else 0
        try:
            room.expect(total, held)
        except OperationFailed:
            others = [each for each in self._kept.values() if each is not partial]
            if not others:
                raise
            for each in others:
                self.discard(each)
            room.expect(total, held)

    def discard(self, partial: Partial) -> None:
        """Nothing is left of it."""
        self._kept.pop(partial.source, None)
        self._remove(partial)

    def publishable(self, partial: Partial) -> str:
        """Its entry, with nothing in it but the body, immutable and durable. The other ones are gone."""
        for other in list(self._kept.values()):
            if other is not partial:
                self.discard(other)
        partial.publishable()
        return partial.entry

    def _new(self, source: str, version: Version) -> Partial:
        entry = workspace.new_entry(self._parent, Kind.PARENT)
        os.mkdir(entry, 0o750, dir_fd=self._location.tmp)
        return Partial(entry, at=self._location.tmp, name=self._name, source=source, version=version)

    def _remove(self, partial: Partial) -> None:
        partial.close()
        workspace.discard(partial.entry, self._parent, Kind.PARENT, tmp=self._location.tmp)


def _passes(error: BaseException) -> bool:
    """Whether a later Job may do better with the same bytes. A full pool needs its space back at once."""
    if isinstance(error, OSError):
        error = os_failure(error)
    if isinstance(error, OperationFailed):
        return error.reason not in PERMANENT and error.reason is not FailureReason.POOL_FULL
    return isinstance(error, Terminated)
