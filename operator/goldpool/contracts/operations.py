"""Operations: idempotent pieces of storage work on one host, and what they answer.

An operation is known by its ``id``, which is derived from the name on disk it works on, so asking twice is
asking once. A storage Job gets a ``Batch`` in the environment and leaves a ``Report`` as its termination
message (the last 4,096 bytes survive: jobs.md §3).
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.layout import ImageFormat, LocationIdentity, NameOnDisk, Owner, Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract
from goldpool.contracts.network import AddressRules, Proxies
from goldpool.contracts.source import MirrorResult, Source

BATCH_ENV: Final = "GOLDPOOL_BATCH"
"""The environment variable that carries a ``Batch`` as JSON; below 128 KiB (jobs.md §3)."""

TERMINATION_MESSAGE_LIMIT: Final = 4096


class Checksum(Contract):
    algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]
    hex: Annotated[str, Field(pattern=r"^[0-9a-f]{32,128}$")]


class FetchPolicy(Contract):
    """Limits of one transfer. Every number is settable, so that a test never waits for a default."""

    attempts: int = Field(default=3, ge=1, description="rounds over all mirrors (CloudStack: 3 validations)")
    connect_seconds: float = 5
    idle_seconds: float = 30
    min_bytes_per_second: int = Field(default=10 << 10, ge=0, description="a mirror slower than this fails")
    min_speed_seconds: float = Field(
        default=60, gt=0, description="measured over this time of waiting for it"
    )
    max_bytes_per_second: int = Field(
        default=0, ge=0, description="bandwidth of this transfer; 0 is no limit"
    )
    total_seconds: float = 10800
    max_bytes: int = Field(default=1 << 40, description="largest transfer, also without Content-Length")
    max_virtual_bytes: int = Field(default=2000 << 30, description="largest virtual disk")
    reserve_bytes: int = Field(default=64 << 20, description="space that stays free on the pool")
    max_redirects: int = 10
    max_amplification: int = Field(
        default=1000, ge=1, description="most bytes of image per byte of a compressed source"
    )
    max_window_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="largest window or dictionary of a compressed source"
    )
    addresses: AddressRules = AddressRules()
    proxies: Proxies = Proxies()
    check_cpu_seconds: int = Field(default=30, ge=1, description="of each of qemu-img's looks at an image")
    check_memory_bytes: int = Field(default=1 << 30, description="address space of the same")
    check_seconds: float = Field(default=600, description="for all of them together")


class _Operation(Contract):
    id: str
    location: NameOnDisk


class Initialize(_Operation):
    """Make the location ours, once: identity file and directories. The only operation that runs as root."""

    kind: Literal["Initialize"] = "Initialize"
    identity: LocationIdentity
    require_mount: bool = True


class Known(Contract):
    """What objects know of a location. ``present`` names what must lie there, ``transient`` what may."""

    present: tuple[NameOnDisk, ...] = ()
    transient: tuple[NameOnDisk, ...] = ()


class Probe(_Operation):
    """Say who the location is and how full, and what of ``known`` is missing or unknown there; changes nothing."""

    kind: Literal["Probe"] = "Probe"
    known: Known | None = Field(default=None, description="None: nothing is compared")


class Rebind(_Operation):
    """The same location ID on a Node of the same name with a new UID (a re-registered host): record the UID."""

    kind: Literal["Rebind"] = "Rebind"
    identity: LocationIdentity


class Fetch(_Operation):
    """Bring one template's bytes to ``templates/<parent>``: verified, then published at once, or not at all."""

    kind: Literal["Fetch"] = "Fetch"
    parent: NameOnDisk
    template: str
    template_uid: str
    format: ImageFormat
    source: Source
    checksums: tuple[Checksum, ...] = ()
    revision: Sha256 | None = Field(default=None, description="the pinned revision; other bytes are refused")
    policy: FetchPolicy = FetchPolicy()


class ProbeSource(Contract):
    """Ask a template's source without fetching it: does it answer, how much, since when, of what format. Touches no pool.

    One mirror that can serve is success; ``Report.mirrors`` says what each answered.
    """

    kind: Literal["ProbeSource"] = "ProbeSource"
    id: str
    template: str
    template_uid: str
    format: ImageFormat
    source: Source
    policy: FetchPolicy = FetchPolicy()
    mirror: str = Field(
        default="", description="whose answer is wanted, if it answers: validators are a server's own"
    )


class CreateChild(_Operation):
    """A thin overlay over a parent. The parent's path inside the image is a hint for people, never followed."""

    kind: Literal["CreateChild"] = "CreateChild"
    storage_id: NameOnDisk
    owner: Owner
    virtual_bytes: int = Field(gt=0)
    parent: NameOnDisk
    parent_location: NameOnDisk
    parent_format: ImageFormat
    parent_virtual_bytes: int = Field(gt=0)
    revision: Sha256


class CreateBlank(_Operation):
    kind: Literal["CreateBlank"] = "CreateBlank"
    storage_id: NameOnDisk
    owner: Owner
    virtual_bytes: int = Field(gt=0)


class Adopt(_Operation):
    """Make a restored object the owner of the disk of the object that was backed up: same namespace, same name, another
    UID. Nothing is made, and what is somebody else's is refused (VolumeConflict)."""

    kind: Literal["Adopt"] = "Adopt"
    storage_id: NameOnDisk
    owner: Owner


class DeleteVolume(_Operation):
    """Rename ``volumes/<storageID>`` to the trash; a missing one is success."""

    kind: Literal["DeleteVolume"] = "DeleteVolume"
    storage_id: NameOnDisk
    trash_seconds: int = Field(default=3600, ge=0)


class DeleteParent(_Operation):
    """Remove ``templates/<parent>`` and its unpublished remains; a missing one is success."""

    kind: Literal["DeleteParent"] = "DeleteParent"
    parent: NameOnDisk


class Release(_Operation):
    """Take our identity off a location that holds no parent and no volume any more, so that its path can be used
    by another pool. A location that still holds something keeps its identity: ``VolumeConflict``."""

    kind: Literal["Release"] = "Release"


PoolOperation = (
    Initialize
    | Probe
    | Rebind
    | Release
    | Fetch
    | CreateChild
    | CreateBlank
    | Adopt
    | DeleteVolume
    | DeleteParent
)
"""Those that work at a location."""
Operation = Annotated[PoolOperation | ProbeSource, Field(discriminator="kind")]


class Batch(Contract):
    """What one storage Job does: all of it on one executing host, in order."""

    version: int = CONTRACT_VERSION
    operations: tuple[Operation, ...]
    identities: tuple[LocationIdentity, ...] = Field(
        default=(), description="who each location must be before anything is written there"
    )


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
    message: str = Field(max_length=512)


class Fetched(Contract):
    """What a successful Fetch brought."""

    revision: Sha256
    file_bytes: int
    virtual_bytes: int
    mirror: str = Field(default="", description="origin and path only: never a query or credentials")
    attempts: int = 1
    transferred_bytes: int = Field(
        default=0, description="bytes of the body; more or less than the file's if it was compressed"
    )
    resumed_bytes: int = Field(
        default=0, description="of these, what an earlier Job had left and was not fetched again"
    )
    verified: str = Field(
        default="",
        description="strongest declared algorithm whose digest matched; empty when none was declared",
    )
    etag: str = Field(default="", description="as the server gave it, to notice that the source changed")
    last_modified: str = Field(default="", description="the same")


class Probed(Contract):
    """What a source serves, as far as the answer to a small request tells. Nothing of it was verified."""

    mirror: str = Field(description="who answered: origin and path only")
    size: int | None = Field(default=None, description="bytes of the body")
    etag: str = Field(default="", description="as the server gave it, cut to 256 characters")
    last_modified: str = Field(default="", description="the same")
    digest: str = Field(default="", description="sha256:HEX of the body, where a metalink says so")
    format: str = Field(default="", description="qcow2 or iso, where the first bytes tell")
    compression: str = Field(default="", description="gz, bz2, xz, zst or zip, where the first bytes tell")
    virtual_bytes: int | None = Field(
        default=None, description="size of the disk, where the first bytes tell"
    )


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
    done: str = Field(default="0", pattern=r"^[0-9a-f]+$")
    failures: tuple[Failure, ...] = ()
    omitted: int = 0
    fetched: Fetched | None = None
    probed: Probed | None = None
    adopted: tuple[Adopted, ...] = ()
    mirrors: tuple[MirrorResult, ...] = Field(
        default=(), description="of a Fetch or ProbeSource: the first of those that were asked"
    )
    mirrors_total: int = Field(default=0, description="of a Fetch: how many there are")
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
