"""Which of the offers that fit comes first. An allocator is a sort key: smaller is better, integers only.

Names and meaning as in CloudStack's ``vm.allocation.algorithm`` (AbstractStoragePoolAllocator); unlike there, an offer
with an unknown figure ranks last instead of being dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A location that fits a disk, with the parent's location for a template. All figures are after this disk."""

    promised_free_percent: int
    """Of the over-provisioned capacity; -1 is unknown."""
    free_percent: int
    """Of the file system; -1 is unknown."""
    parent_rank: int
    """0 the parent is Ready there (or none is needed), 1 on its way, 2 not there, 3 failed there."""
    parent_free_percent: int
    """Of the parent's location, over-provisioned; -1 is unknown."""
    namespace_volumes: int
    """Volumes of the machine's namespace at the location."""
    name_rank: int
    """Order by name."""
    shuffled: int
    """A number that looks random, the same for the same seed and names."""


Allocator = Callable[[Offer], Key]


def firstfit(offer: Offer) -> Key:
    """By name; where the parent already is goes first, because a name is no reason to fetch again."""
    return (offer.parent_rank, offer.name_rank)


def random(offer: Offer) -> Key:
    """Any that fits, also where the parent is not yet."""
    return (offer.shuffled,)


def firstfitleastconsumed(offer: Offer) -> Key:
    """Most free fraction. Compared in whole percent: a few bytes do not outweigh a copy that is already there."""
    return (
        -offer.promised_free_percent,
        offer.parent_rank,
        -offer.free_percent,
        -offer.parent_free_percent,
        offer.shuffled,
    )


def userdispersing(offer: Offer) -> Key:
    """Fewest volumes of the namespace, then as firstfitleastconsumed."""
    return (offer.namespace_volumes, *firstfitleastconsumed(offer))
