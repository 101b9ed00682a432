"""Where a machine's disks and their parents go: pure, deterministic for a seed, explained when nothing fits."""

from collections.abc import Sequence

from goldpool.planning.allocators import (
    Allocator,
    Offer,
    firstfit,
    firstfitleastconsumed,
    random,
    userdispersing,
)
from goldpool.planning.rejections import Rejection, RejectionReason, Unplaceable
from goldpool.planning.views import (
    Avoid,
    BoundDisk,
    DiskPlacement,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    TemplateView,
)

__all__ = [
    "Allocator",
    "Avoid",
    "BoundDisk",
    "DiskPlacement",
    "DiskWish",
    "HostView",
    "LocationView",
    "MachineWish",
    "Offer",
    "ParentView",
    "Placement",
    "Rejection",
    "RejectionReason",
    "TemplateView",
    "Unplaceable",
    "firstfit",
    "firstfitleastconsumed",
    "place",
    "place_volume",
    "random",
    "userdispersing",
]


def place(
    wish: MachineWish,
    hosts: Sequence[HostView],
    locations: Sequence[LocationView],
    parents: Sequence[ParentView],
    *,
    seed: int,
    allocator: Allocator = firstfitleastconsumed,
) -> Placement | Unplaceable:
    """Places for all disks of ``wish`` that hold all filters together, on hosts that reach them and the bound disks."""
    raise NotImplementedError


def place_volume(
    disk: DiskWish,
    hosts: Sequence[HostView],
    locations: Sequence[LocationView],
    parents: Sequence[ParentView],
    *,
    seed: int,
    avoid: Avoid = Avoid(),  # noqa: B008 - frozen
    unknown_parent_bytes: int = 0,
    allocator: Allocator = firstfitleastconsumed,
) -> DiskPlacement | Unplaceable:
    """A place for one volume that no machine asks for yet: the same filters, over the pool and host it names."""
    raise NotImplementedError
