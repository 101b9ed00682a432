"""What a storage Job answers: a ``Report`` as its termination message, and while it fetches ``Progress`` in its log."""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.layout import Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract
from goldpool.contracts.source import MirrorResult

TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes; of a longer message the kubelet keeps the end (jobs.md §3)."""


class FailureReason(StrEnum):
    """Why an operation failed. Stable: controllers branch on these, users read them in conditions."""

    NOT_MOUNTED = "NotMounted"
    FOREIGN_POOL = "ForeignPool"
    REPLACED = "Replaced"
    POOL_FULL = "PoolFull"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_REFUSED = "SourceRefused"
    ADDRESS_REFUSED = "AddressRefused"
    """The name leads to no other address than such as fetch.addresses refuses."""
    TLS_FAILED = "TLSFailed"
    """The server's certificate is not trusted, or there is no TLS to be had."""
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    SECRET_INVALID = "SecretInvalid"  # noqa: S105
    CA_BUNDLE_MISSING = "CABundleMissing"
    CA_BUNDLE_INVALID = "CABundleInvalid"
    TRANSFER_INCOMPLETE = "TransferIncomplete"
    TOO_LARGE = "TooLarge"
    SOURCE_CORRUPT = "SourceCorrupt"
    """Compressed data that cannot be expanded, all of which arrived."""
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    """Every mirror delivered a full body and each repeated its own wrong digest: the source itself is wrong."""
    SIZE_MISMATCH = "SizeMismatch"
    """The same, with another size than the metalink's."""
    METALINK_INVALID = "MetalinkInvalid"
    """The metalink was had, more than once, and says nothing that can be fetched."""
    REVISION_MISMATCH = "RevisionMismatch"
    """Good bytes, but not those of the template's pinned revision."""
    WRONG_FORMAT = "WrongFormat"
    UNSAFE_IMAGE = "UnsafeImage"
    VOLUME_CONFLICT = "VolumeConflict"
    """The name on disk is taken by something else: nothing was touched."""
    VOLUME_MISSING = "VolumeMissing"
    """There is no disk of that name to adopt."""
    IO_ERROR = "IOError"
    UNSUPPORTED = "Unsupported"
    LOST = "Lost"
    """The Job ended without saying anything of this operation (killed, evicted, node lost)."""


PERMANENT: Final = frozenset(
    {
        FailureReason.SOURCE_CORRUPT,
        FailureReason.CHECKSUM_MISMATCH,
        FailureReason.SIZE_MISMATCH,
        FailureReason.METALINK_INVALID,
        FailureReason.REVISION_MISMATCH,
        FailureReason.WRONG_FORMAT,
        FailureReason.UNSAFE_IMAGE,
        FailureReason.TOO_LARGE,
        FailureReason.VOLUME_CONFLICT,
        FailureReason.UNSUPPORTED,
    }
)
"""Trying the same operation again, here or on another host, cannot help."""


class Failure(Contract):
    """``index`` is the operation's place in the batch; ``message`` names the mirror, the numbers, the remedy."""

    index: int
    reason: FailureReason
    message: Annotated[str, Meta(max_length=512)]


class Fetched(Contract):
    """What a successful Fetch brought."""

    revision: Sha256
    file_bytes: int
    virtual_bytes: int
    mirror: str = ""
    """Origin and path only: never a query or credentials."""
    attempts: int = 1
    transferred_bytes: int = 0
    """Bytes of the body; more or less than the file's if it was compressed."""
    resumed_bytes: int = 0
    """Of these, what an earlier Job had left and was not fetched again."""
    verified: str = ""
    """Strongest declared algorithm whose digest matched; empty when none was declared."""
    etag: str = ""
    """As the server gave it, to notice that the source changed."""
    last_modified: str = ""
    """The same."""


class Probed(Contract):
    """What a source serves, as far as the answer to a small request tells. Nothing of it was verified."""

    mirror: str
    """Who answered: origin and path only."""
    size: int | None = None
    """Bytes of the body."""
    etag: str = ""
    """As the server gave it, cut to 256 characters."""
    last_modified: str = ""
    """The same."""
    digest: str = ""
    """``sha256:HEX`` of the body, where a metalink says so."""
    format: str = ""
    """qcow2 or iso, where the first bytes tell."""
    compression: str = ""
    """gz, bz2, xz, zst or zip, where the first bytes tell."""
    virtual_bytes: int | None = None
    """Size of the disk, where the first bytes tell."""


class Adopted(Contract):
    """What an Adopt found. ``parent`` and ``revision`` are empty for a disk without a parent."""

    index: int
    virtual_bytes: int
    parent: str = ""
    revision: str = ""


class Report(Contract):
    """A batch's outcome, at most 4,096 bytes as JSON.

    ``done`` is a hex bitmap, bit i (1 << i) set when operation i succeeded. What is neither done nor in
    ``failures`` is unknown and is asked again. Failures that did not fit are left out and counted in ``omitted``.
    """

    version: int = CONTRACT_VERSION
    done: Annotated[str, Meta(pattern=r"\A[0-9a-f]+\Z")] = "0"
    failures: tuple[Failure, ...] = ()
    omitted: int = 0
    fetched: Fetched | None = None
    probed: Probed | None = None
    adopted: tuple[Adopted, ...] = ()
    mirrors: tuple[MirrorResult, ...] = ()
    """Of a Fetch or ProbeSource: the first of those that were asked."""
    mirrors_total: int = 0
    """Of a Fetch: how many there are."""
    locations: tuple[LocationFacts, ...] = ()

    def succeeded(self, index: int) -> bool:
        return bool(int(self.done, 16) >> index & 1)


class Progress(Contract):
    """One line of a transfer's log: ``{"progress": {...}}``.

    ``done_bytes`` counts what an earlier Job had left and was not fetched again. ``total_bytes`` is None when the server
    gave none; ``rate``, in bytes per second over the last seconds, until it is known.
    """

    done_bytes: int
    total_bytes: int | None = None
    mirror: str = ""
    rate: int | None = None
