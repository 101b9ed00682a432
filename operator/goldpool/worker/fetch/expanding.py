"""The file of a body that may be compressed: it gets the bytes of the image."""

import hashlib
from typing import Final

from goldpool.contracts.operations import FetchPolicy
from goldpool.worker.fetch.decompress import Decoder, Limits
from goldpool.worker.fetch.partial import TargetOf
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.sink import SparseFile, Target

_SPACE_INTERVAL: Final = 64 << 20


def expanding(policy: FetchPolicy, room: Room) -> TargetOf:
    """What is compressed is expanded, and room is left on the pool for what comes of it."""

    def target(fd: int, received: int, total: int | None) -> Target:
        decoder = Decoder(Limits.of(policy), total, continues_plain=received > 0)
        return Expanding(SparseFile(fd, received), decoder, room)

    return target


class Expanding:
    """``revision`` is the file's where that is not the body's. Only a plain body can be continued."""

    def __init__(self, file: SparseFile, decoder: Decoder, room: Room) -> None:
        self._file = file
        self._decoder = decoder
        self._room = room
        self._asked_at = 0
        self._sha256 = hashlib.sha256()

    @property
    def resumable(self) -> bool:
        return self._decoder.decided and self._decoder.compression is None

    @property
    def revision(self) -> str | None:
        return None if self._decoder.compression is None else self._sha256.hexdigest()

    def write(self, data: memoryview) -> None:
        for piece in self._decoder.feed(data):
            self._take(memoryview(piece))

    def finish(self) -> None:
        for piece in self._decoder.finish():
            self._take(memoryview(piece))
        self._file.finish()

    def _take(self, piece: memoryview) -> None:
        if self._decoder.compression is not None:
            self._sha256.update(piece)
            if self._file.length - self._asked_at >= _SPACE_INTERVAL:
                self._asked_at = self._file.length
                self._room.left()
        self._file.write(piece)
