"""A body that is not all there yet: its file, and the record by which a later Job goes on where this one ended.

Both lie in one entry of ``tmp/`` that bears the parent's name, so the parent's deletion removes them. The record counts
only bytes that are durable: what a power cut took is fetched again, and never taken for zeros.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Self

from msgspec import Meta

from goldpool.contracts.layout import Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract, Misread, Positive
from goldpool.worker import publish
from goldpool.worker.fetch.checkpoints import Checkpoints
from goldpool.worker.fetch.resume import Version
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.sink import Sink, SparseFile, Target
from goldpool.worker.fetch.verify import Digests

TargetOf = Callable[[int, int, int | None], Target]
"""What the bytes of a body go to, of an open file that has so many of them, and how many there will be if that is known."""


def plain(fd: int, received: int, _total: int | None) -> Target:
    """The file's bytes are the body's."""
    return SparseFile(fd, received)


RECORD: Final = "transfer.json"
_NEXT: Final = "transfer.json.next"


class Record(Contract):
    """``transfer.json``: which bytes of which version of which URL are on the pool."""

    version: int = CONTRACT_VERSION
    source: Sha256
    """Of the URL, which may hold a secret."""
    total: Positive
    etag: str = ""
    last_modified: str = ""
    validator: Annotated[str, Meta(min_length=1)]
    received: Positive
    """Durable, from the first byte on."""


def source_id(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()


class Partial:
    """One entry of ``tmp/``. ``received`` bytes of ``version`` are in its file, in order; nothing lies behind them."""

    def __init__(
        self, entry: str, *, at: int, name: str, source: str, version: Version, received: int = 0
    ) -> None:
        self.entry = entry
        self.source = source
        self.version = version
        self.received = received
        self.resumed = received
        """What an earlier Job had received."""
        self.digests: Digests | None = None
        """Of what was received; None until ``restore`` read it."""
        self.from_zero = received == 0
        """All of it came in one answer."""
        self.target: Target = _Nowhere()
        with contextlib.ExitStack() as stack:
            self._directory = stack.enter_context(publish.directory(entry, at=at))
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if received else os.O_CREAT | os.O_EXCL)
            self.fd = os.open(name, flags, 0o600, dir_fd=self._directory)
            stack.callback(os.close, self.fd)
            if not stat.S_ISREG(os.fstat(self.fd).st_mode):
                raise OSError(f"{name} is no file")
            # Beyond are bytes that the record does not vouch for; a hole at its end need not have been written.
            os.ftruncate(self.fd, received)
            self._open = stack.pop_all()

    @classmethod
    def found(cls, entry: str, *, at: int, name: str) -> Self | None:
        """What an earlier transfer left in an entry; None when nothing can be made of it."""
        try:
            with publish.directory(entry, at=at) as directory:
                record = Record.from_json(publish.read_file(RECORD, at=directory))
            if record.version != CONTRACT_VERSION or record.received > record.total:
                return None
            version = Version(record.total, record.etag, record.last_modified, record.validator)
            return cls(
                entry, at=at, name=name, source=record.source, version=version, received=record.received
            )
        except (OSError, Misread):
            return None

    @property
    def complete(self) -> bool:
        return self.received > 0 and self.received == self.version.total

    @property
    def revision(self) -> str:
        """The sha256 of the file, which is complete."""
        assert self.digests is not None
        return self.target.revision or self.digests.revision()

    @property
    def worth_keeping(self) -> bool:
        """A later transfer can go on here."""
        return self.version.resumable and self.target.resumable and self.received > 0

    def restore(self, digests: Digests, told: Callable[[int], None], into: "Partial | None" = None) -> None:
        """``digests`` are of what was received. ``into``, a new one, has the same bytes then."""
        target = _Nowhere() if into is None else SparseFile(into.fd)
        with Sink(target, digests) as sink:
            while sink.received < self.received:
                space = sink.space()[: self.received - sink.received]
                if (count := os.preadv(self.fd, [space], sink.received)) == 0:
                    raise OSError(f"the partial file {self.entry} ended at byte {sink.received}")
                sink.filled(count)
                told(sink.received)
            sink.finish()
        self.digests = digests
        if into is not None:
            into.digests, into.received, into.resumed = digests, self.received, self.resumed
            into.from_zero = False
            os.fdatasync(into.fd)
            into.save(self.received)

    @contextlib.contextmanager
    def receiving(self, digests: Digests, room: Room, target: TargetOf = plain) -> Iterator[Sink]:
        """Takes the next bytes of the body; ``digests`` are of those before them. When it is left, also by an
        exception, what was taken counts, and a later Job can go on behind it if the version allows.
        """
        self.from_zero = self.received == 0
        self.digests = None
        self.target = target(self.fd, self.received, self.version.total)

        def failed(error: BaseException) -> None:
            sink.fail(error)

        checkpoints = Checkpoints(self.fd, self.received, self._durable, failed)
        sink = Sink(self.target, digests, room, start=self.received, written=checkpoints.written)
        try:
            with checkpoints, sink:
                yield sink
        finally:
            if sink.intact:
                self.received, self.digests = sink.received, digests
                os.fdatasync(self.fd)
                self._durable(self.received)

    def _durable(self, received: int) -> None:
        if self.version.resumable and self.target.resumable and received:
            self.save(received)

    def save(self, received: int) -> None:
        """A later Job goes on behind the first ``received`` bytes, which are durable."""
        version = self.version
        assert version.total is not None
        record = Record(
            source=self.source,
            total=version.total,
            etag=version.etag,
            last_modified=version.last_modified,
            validator=version.validator,
            received=received,
        )
        publish.remove(_NEXT, at=self._directory)
        publish.write_file(_NEXT, record.to_json().encode() + b"\n", at=self._directory, mode=0o600)
        # Not durable itself: after a power cut an older record stands here, which vouches for less.
        os.replace(_NEXT, RECORD, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def publishable(self) -> None:
        """Only the body is left, immutable and durable."""
        publish.remove(RECORD, at=self._directory)
        publish.remove(_NEXT, at=self._directory)
        os.fchmod(self.fd, 0o444)  # not by open(): the umask would have its say
        os.fsync(self.fd)

    def close(self) -> None:
        """The entry is not touched."""
        self._open.close()


class _Nowhere:
    """For bytes that are read to be hashed."""

    resumable = True
    revision = None

    def write(self, data: memoryview) -> None:
        """They are where they should be."""

    def finish(self) -> None:
        """Nothing to do."""
