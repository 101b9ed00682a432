"""Which of the offers that fit comes first. An allocator is a sort key: smaller is better, integers only.

Names and meaning as in CloudStack's ``vm.allocation.algorithm`` (AbstractStoragePoolAllocator); unlike there, an offer
with an unknown figure ranks last instead of being dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A location that fits a disk, with the parent's location for a template. All figures are before this disk, so
    that one order serves disks of every size."""

    promised_free_percent: int
    """Of the over-provisioned capacity; -1 is unknown."""
    unsized: int
    """Disks and copies promised there whose size nobody knows yet, and which therefore count no bytes."""
    free_percent: int
    """Of the file system; -1 is unknown."""
    parent_rank: int
    """0 the parent is Ready there (or none is needed), 1 on its way, 2 not there, 3 failed there."""
    parent_free_percent: int
    """Of the parent's location, over-provisioned; -1 is unknown."""
    namespace_volumes: int
    """Volumes of the machine's namespace at the location."""
    name_rank: int
    """Order by pool and host."""
    shuffled: Key
    """Looks random, the same for the same seed and names (see ``lot``): host, pool, the parent's pool."""


Allocator = Callable[[Offer], Key]


def firstfit(offer: Offer) -> Key:
    """By pool and host; where the parent already is goes first, because a name is no reason to fetch again."""
    return (offer.parent_rank, offer.name_rank)


def random(offer: Offer) -> Key:
    """Any that fits, also where the parent is not yet."""
    return offer.shuffled


def firstfitleastconsumed(offer: Offer) -> Key:
    """Most free fraction. Compared in whole percent: a few bytes do not outweigh a copy that is already there. Disks of
    unknown size change no percentage, so among equals the location with the fewest of them goes first: machines
    applied together with their new template spread over the hosts."""
    return (
        -offer.promised_free_percent,
        offer.unsized,
        offer.parent_rank,
        -offer.free_percent,
        -offer.parent_free_percent,
        *offer.shuffled,
    )


def userdispersing(offer: Offer) -> Key:
    """Fewest volumes of the namespace, then as firstfitleastconsumed."""
    return (offer.namespace_volumes, *firstfitleastconsumed(offer))


ALLOCATORS: Final[Mapping[str, Allocator]] = {
    "firstfit": firstfit,
    "random": random,
    "userdispersing": userdispersing,
    "firstfitleastconsumed": firstfitleastconsumed,
}
"""By the name people set."""
