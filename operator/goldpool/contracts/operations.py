"""Operations: idempotent pieces of storage work on one host.

An operation is known by its ``id``, which is derived from the name on disk it works on, so asking twice is
asking once. A storage Job gets a ``Batch`` in the environment; what it answers is in ``report``.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from goldpool.contracts.layout import ImageFormat, LocationIdentity, NameOnDisk, Owner, Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract
from goldpool.contracts.network import AddressRules, Proxies
from goldpool.contracts.source import Source

BATCH_ENV: Final = "GOLDPOOL_BATCH"
"""The environment variable that carries a ``Batch`` as JSON; below 128 KiB (jobs.md §3)."""


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
