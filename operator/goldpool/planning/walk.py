"""The best placement, found by walking the index from the best end.

Answers what ``search`` answers, for the same seed: the places of the first disk in the allocator's order, for each the
places of the second on the hosts that are left, and so on; the first that holds all limits together is the best one.
Candidates are judged by the same filters, only those that cannot fit are passed over unjudged.
"""

from collections import ChainMap
from dataclasses import replace
from typing import Final

from goldpool.api.storagepool import Toleration
from goldpool.planning.allocators import Allocator
from goldpool.planning.best_first import BestFirst, Pair, positions
from goldpool.planning.filters import reject_in_reach
from goldpool.planning.index import Index
from goldpool.planning.lot import salt
from goldpool.planning.reservation import charge
from goldpool.planning.search import Parents, disk_placement
from goldpool.planning.views import LocationView, MachineWish, Placement

JUDGED: Final = 2_000
"""So many candidates are judged before the walk gives up: some 10 ms. Fitting several disks together is bin packing,
and a world in which so many almost fit is for ``search``, which judges each location once."""


class Exhausted(Exception):
    """More candidates were judged than ``JUDGED``."""


def walk(
    index: Index, wish: MachineWish, tolerations: list[Toleration], *, seed: int, allocator: Allocator
) -> Placement | None:
    """As ``place``; None when nothing fits. Raises Exhausted. ``wish`` has at least one disk."""
    hosts = index.feasible(wish, tolerations)
    found = _Walk(index, wish, seed, allocator).extend((), hosts, {}, ChainMap({}, index.parents))
    if found is None:
        return None
    pairs, left = found
    names = sorted(index.names[n] for n in positions(left))
    places = [x for pair in pairs for x in pair if x is not None]
    if not all(x.shared for x in places):
        names = [next(x.host for x in places if not x.shared)]
    return Placement(
        tuple(disk_placement(disk, *pair) for disk, pair in zip(wish.disks, pairs, strict=True)), tuple(names)
    )


class _Walk:
    def __init__(self, index: Index, wish: MachineWish, seed: int, allocator: Allocator) -> None:
        self._index = index
        self._disks = [BestFirst(index, wish, disk, salt(seed), allocator) for disk in wish.disks]
        first, last = self._disks[0], self._disks[-1]
        if last.wish.medium and first.wish.template is None:
            first.medium = last.ask
        self._judged = 0

    def extend(
        self, chosen: tuple[Pair, ...], hosts: int, taken: dict[str, LocationView], known: Parents
    ) -> tuple[tuple[Pair, ...], int] | None:
        """The first way to place all other disks on ``hosts``, and the hosts that are left."""
        disk = self._disks[len(chosen)]
        ask = disk.ask if not chosen else replace(disk.ask, parents=known)
        for pair in disk.pairs(hosts):
            self._judged += 1
            if self._judged > JUDGED:
                raise Exhausted
            places = {x.name: taken.get(x.name, x) for x in pair if x is not None}
            if any(reject_in_reach(x, ask) is not None for x in places.values()):
                continue
            left = hosts
            for place in places.values():
                left &= self._index.reach(place)
            if len(chosen) + 1 == len(self._disks):
                return (*chosen, pair), left
            charged, planned = taken | places, known.new_child()
            charge(disk.wish, disk_placement(disk.wish, *pair), charged, planned, ask.unknown_parent_bytes)
            if (found := self.extend((*chosen, pair), left, charged, planned)) is not None:
                return found
        return None
