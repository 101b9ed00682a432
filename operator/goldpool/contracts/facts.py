"""What a pod found where a location should be."""

from enum import StrEnum
from typing import Final

from goldpool.contracts.layout import NameOnDisk
from goldpool.contracts.model import Contract


class LocationState(StrEnum):
    """What a pod found where a location should be."""

    OK = "Ok"
    NOT_MOUNTED = "NotMounted"
    """No identity file, or the path is no mount point though one is required: nothing was written."""
    FOREIGN = "ForeignPool"
    """Another cluster's or another pool's identity: nothing was written."""
    REPLACED = "Replaced"
    """This pool's identity for another location or Node: a disk was swapped or moved."""


INSPECTION_NAMES: Final = 10


class Inspection(Contract):
    """What a Probe found beside ``known``: at most ten names of each sort, and how many there are."""

    missing: tuple[str, ...] = ()
    missing_total: int = 0
    unknown: tuple[str, ...] = ()
    """Like volumes/v-7k2m9qx4."""
    unknown_total: int = 0


class LocationFacts(Contract):
    """How a location was found. Sizes in bytes, from statvfs; zero when it is not ``Ok``."""

    location: NameOnDisk
    state: LocationState
    total_bytes: int = 0
    free_bytes: int = 0
    """f_bavail: what an unprivileged writer may still use."""
    node_uid: str = ""
    message: str = ""
    inspection: Inspection | None = None
