"""Over all hosts, the best choice of places in which a machine's disks fit together.

Exhaustive: it judges every location, so it can say why each of them lost. ``walk`` finds the same best choice faster
where there is one.
"""

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from goldpool.planning.allocators import Allocator, Key, Offer
from goldpool.planning.filters import Ask, may_hold, may_hold_parent, reject
from goldpool.planning.lot import salt
from goldpool.planning.offers import by_pool_and_host, medium_order, offer_of
from goldpool.planning.reservation import RANKS, charge, rank
from goldpool.planning.views import DiskPlacement, DiskWish, LocationView, MachineWish, ParentView

Parents = ChainMap[tuple[str, str], ParentView]

STEPS: Final = 20_000
"""Fitting disks together is bin packing. One host gets this many tries before it counts as too small; a machine whose
disks have four candidates each never needs as many below seven disks."""


NOWHERE: Final = len(RANKS)
"""The rank of an ISO that the host can have no copy of: the machine cannot start there."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A place for one disk, alone. Smaller ``order`` is better; names end it, so that no two are equal."""

    order: tuple[Key, str, str]
    location: LocationView
    parent_location: LocationView | None
    offer: Offer

    @property
    def locations(self) -> tuple[LocationView, ...]:
        return (self.location,) if self.parent_location is None else (self.location, self.parent_location)

    def placed(self, disk: DiskWish) -> DiskPlacement:
        return disk_placement(disk, self.location, self.parent_location)


@dataclass(frozen=True, slots=True)
class Solution:
    """Places for all disks, chosen for ``host``."""

    choices: tuple[Choice, ...]
    host: str

    @property
    def order(self) -> tuple[tuple[tuple[Key, str, str], ...], str]:
        return tuple(choice.order for choice in self.choices), self.host


def disk_placement(disk: DiskWish, location: LocationView, at: LocationView | None) -> DiskPlacement:
    """``at``: where the disk's parent is, or will be."""
    return DiskPlacement(
        disk.name,
        location.name,
        location.pool,
        "" if location.shared else location.host,
        None if at is None else at.name,
        None if at is None else at.pool,
    )


class Candidates:
    """The locations each disk passes alone, and their choices per host. Judged once per location, not per host."""

    def __init__(
        self,
        wish: MachineWish,
        asks: Sequence[Ask],
        locations: Iterable[LocationView],
        parents: dict[tuple[str, str], ParentView],
        *,
        seed: int,
        allocator: Allocator,
    ) -> None:
        self._wish = wish
        self.asks = asks
        self._parents = parents
        self.locations = sorted(locations, key=by_pool_and_host)
        self._allocator = allocator
        self._salt = salt(seed)
        self._fits = [
            frozenset(
                i for i, loc in enumerate(self.locations) if _concerns(loc, ask) and reject(loc, ask) is None
            )
            for ask in asks
        ]
        self._nearest = self._medium_ranks()
        self._reach: dict[str, list[int]] = {}
        everything: frozenset[int] = frozenset().union(*self._fits)
        for host in asks[0].hosts if asks else ():
            self._reach[host] = []
        for i in sorted(everything):
            for host in self.locations[i].hosts:
                if host in self._reach:
                    self._reach[host].append(i)

    def best(self) -> Solution | None:
        """The solution whose first disk ranks best, then the second, and so on; None if no host takes all disks."""
        best: Solution | None = None
        for hosts in self._alike():
            host = min(hosts)
            found = self._together([self.choices(n, host) for n in range(len(self.asks))])
            if found is not None:
                solution = Solution(found, host)
                best = solution if best is None or solution.order < best.order else best
        return best

    def choices(self, disk: int, host: str) -> list[Choice]:
        """Every place the host reaches for the disk alone, the best first."""
        ask, fits = self.asks[disk], self._fits[disk]
        reached = [i for i in self._reach.get(host, ()) if i in fits]
        places = [i for i in reached if may_hold(self.locations[i], ask)]
        golden: list[int | None] = [None]
        if ask.golden and not ask.disk.medium:
            golden = [i for i in reached if not may_hold(self.locations[i], ask)]
        found = [self._choice(ask, i, g) for i in places for g in golden]
        return sorted(found, key=lambda choice: choice.order)

    @property
    def hosts(self) -> list[str]:
        return sorted(self._reach)

    def _medium_ranks(self) -> dict[str, int] | None:
        """By host the best rank of a copy of the machine's ISO there, if its root disk is an empty one: that had better be
        where the ISO is, as a child where its parent is."""
        if not self.asks or not self.asks[-1].disk.medium or self.asks[0].disk.template is not None:
            return None
        medium, found = self.asks[-1], dict[str, int]()
        for i in self._fits[-1]:
            location = self.locations[i]
            here = rank(medium.parent_at(location))
            for host in location.hosts & medium.hosts:
                found[host] = min(here, found.get(host, here))
        return found

    def _alike(self) -> list[list[str]]:
        """Hosts that reach the same fitting locations have the same solutions: with Shared pools that is one group."""
        groups: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
        for host, reached in self._reach.items():
            groups[tuple(reached)].append(host)
        return list(groups.values())

    def _choice(self, ask: Ask, index: int, golden: int | None) -> Choice:
        location = self.locations[index]
        at: LocationView | None = None
        if ask.disk.template is not None:
            at = location if golden is None else self.locations[golden]
        counted = self._wish.namespace_volumes.get(location.name, 0)
        offer = offer_of(ask, location, at, counted=counted, number=index, seed_salt=self._salt)
        if ask is self.asks[0] and self._nearest is not None:
            nearest = (self._nearest.get(host, NOWHERE) for host in location.hosts & ask.hosts)
            offer = replace(offer, parent_rank=min(nearest, default=NOWHERE))
        if ask.disk.medium:
            return Choice(medium_order(ask, location, offer, self._allocator), location, at, offer)
        order = (self._allocator(offer), location.name, "" if at is None else at.name)
        return Choice(order, location, at, offer)

    def _together(self, choices: list[list[Choice]]) -> tuple[Choice, ...] | None:
        """The first combination, in rank order, that holds all limits with the earlier disks' bytes counted."""
        if not all(choices):
            return None
        if len(choices) == 1:
            return (choices[0][0],)
        steps = STEPS

        def extend(
            chosen: tuple[Choice, ...], taken: dict[str, LocationView], known: Parents
        ) -> tuple[Choice, ...] | None:
            nonlocal steps
            if len(chosen) == len(choices):
                return chosen
            ask = replace(self.asks[len(chosen)], parents=known)
            for choice in choices[len(chosen)]:
                steps -= 1
                if steps < 0:
                    return None
                places = {loc.name: taken.get(loc.name, loc) for loc in choice.locations}
                if any(reject(loc, ask) is not None for loc in places.values()):
                    continue
                charged, planned = taken | places, known.new_child()
                charge(ask.disk, choice.placed(ask.disk), charged, planned, ask.unknown_parent_bytes)
                if (found := extend((*chosen, choice), charged, planned)) is not None:
                    return found
            return None

        return extend((), {}, ChainMap({}, self._parents))


def _concerns(location: LocationView, ask: Ask) -> bool:
    return may_hold(location, ask) or may_hold_parent(location, ask)
