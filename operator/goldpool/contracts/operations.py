"""Operations: idempotent pieces of storage work on one host.

An operation is known by its ``id``, which is derived from the name on disk it works on, so asking twice is
asking once. A storage Job gets a ``Batch`` in the environment; what it answers is in ``report``.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from goldpool.contracts.layout import ImageFormat, LocationIdentity, NameOnDisk, Owner, Sha256
from goldpool.contracts.model import CONTRACT_VERSION, Contract, Count, Positive
from goldpool.contracts.network import AddressRules, Proxies
from goldpool.contracts.source import Source

BATCH_ENV: Final = "GOLDPOOL_BATCH"
"""The environment variable that carries a ``Batch`` as JSON; below 128 KiB (jobs.md §3)."""


class Checksum(Contract):
    algorithm: Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]
    hex: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32,128}\Z")]


class FetchPolicy(Contract):
    """Limits of one transfer. Every number is settable, so that a test never waits for a default."""

    attempts: Positive = 3
    """Rounds over all mirrors (CloudStack: 3 validations)."""
    connect_seconds: float = 5
    idle_seconds: float = 30
    min_bytes_per_second: Count = 10 << 10
    """A mirror slower than this fails."""
    min_speed_seconds: Annotated[float, Meta(gt=0)] = 60
    """Measured over this time of waiting for it."""
    max_bytes_per_second: Count = 0
    """Bandwidth of this transfer; 0 is no limit."""
    total_seconds: float = 10800
    max_bytes: int = 1 << 40
    """Largest transfer, also without Content-Length."""
    max_virtual_bytes: int = 2000 << 30
    """Largest virtual disk."""
    reserve_bytes: int = 64 << 20
    """Space that stays free on the pool."""
    max_redirects: int = 10
    max_amplification: Positive = 1000
    """Most bytes of image per byte of a compressed source."""
    max_window_bytes: Annotated[int, Meta(ge=1 << 20)] = 64 << 20
    """Largest window or dictionary of a compressed source."""
    addresses: AddressRules = AddressRules()
    proxies: Proxies = Proxies()
    check_cpu_seconds: Positive = 30
    """Of each of qemu-img's looks at an image."""
    check_memory_bytes: int = 1 << 30
    """Address space of the same."""
    check_seconds: float = 600
    """For all of them together."""


class _Operation(Contract, tag_field="kind", tag=True):
    """What has an ``id``. In JSON the name of its class stands beside it, as ``kind``."""

    id: str

    @property
    def kind(self) -> str:
        return type(self).__name__


class _AtLocation(_Operation):
    location: NameOnDisk


class Initialize(_AtLocation):
    """Make the location ours, once: identity file and directories. The only operation that runs as root."""

    identity: LocationIdentity
    require_mount: bool = True


class Known(Contract):
    """What objects know of a location. ``present`` names what must lie there, ``transient`` what may."""

    present: tuple[NameOnDisk, ...] = ()
    transient: tuple[NameOnDisk, ...] = ()


class Probe(_AtLocation):
    """Say who the location is and how full, and what of ``known`` is missing or unknown there; changes nothing."""

    known: Known | None = None
    """None: nothing is compared."""


class Rebind(_AtLocation):
    """The same location ID on a Node of the same name with a new UID (a re-registered host): record the UID."""

    identity: LocationIdentity


class Fetch(_AtLocation):
    """Bring one template's bytes to ``templates/<parent>``: verified, then published at once, or not at all."""

    parent: NameOnDisk
    template: str
    template_uid: str
    format: ImageFormat
    source: Source
    checksums: tuple[Checksum, ...] = ()
    revision: Sha256 | None = None
    """The pinned revision; other bytes are refused."""
    policy: FetchPolicy = FetchPolicy()


class ProbeSource(_Operation):
    """Ask a template's source without fetching it: does it answer, how much, since when, of what format. Touches no pool.

    One mirror that can serve is success; ``Report.mirrors`` says what each answered.
    """

    template: str
    template_uid: str
    format: ImageFormat
    source: Source
    policy: FetchPolicy = FetchPolicy()
    mirror: str = ""
    """Whose answer is wanted, if it answers: validators are a server's own."""


class CreateChild(_AtLocation):
    """A thin overlay over a parent. The parent's path inside the image is a hint for people, never followed."""

    storage_id: NameOnDisk
    owner: Owner
    virtual_bytes: Positive
    parent: NameOnDisk
    parent_location: NameOnDisk
    parent_format: ImageFormat
    parent_virtual_bytes: Positive
    revision: Sha256


class CreateBlank(_AtLocation):
    storage_id: NameOnDisk
    owner: Owner
    virtual_bytes: Positive


class Adopt(_AtLocation):
    """Make a restored object the owner of the disk of the object that was backed up: same namespace, same name, another
    UID. Nothing is made, and what is somebody else's is refused (VolumeConflict)."""

    storage_id: NameOnDisk
    owner: Owner


class DeleteVolume(_AtLocation):
    """Rename ``volumes/<storageID>`` to the trash; a missing one is success."""

    storage_id: NameOnDisk
    trash_seconds: Count = 3600


class DeleteParent(_AtLocation):
    """Remove ``templates/<parent>`` and its unpublished remains; a missing one is success."""

    parent: NameOnDisk


class Release(_AtLocation):
    """Take our identity off a location that holds no parent and no volume any more, so that its path can be used
    by another pool. A location that still holds something keeps its identity: ``VolumeConflict``."""


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
Operation = PoolOperation | ProbeSource


class Batch(Contract):
    """What one storage Job does: all of it on one executing host, in order."""

    version: int = CONTRACT_VERSION
    operations: tuple[Operation, ...]
    identities: tuple[LocationIdentity, ...] = ()
    """Who each location must be before anything is written there."""
