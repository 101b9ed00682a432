"""Where the ISO in a machine's CD drive may be: the walk's candidates for it, and which hosts have it.

Few are left when it is its turn, because it is placed after the disks: the locations of one host, or where all disks are
Shared those of every host. So they are judged one by one, without a descent through the index's levels.
"""

from collections.abc import Iterable, Iterator, Mapping

from goldpool.planning.allocators import Allocator
from goldpool.planning.filters import Ask, reject_in_reach
from goldpool.planning.index import ANYWHERE, Group, Index, Slot
from goldpool.planning.offers import by_pool_and_host, medium_order, offer_of
from goldpool.planning.reservation import RANKS, rank
from goldpool.planning.views import LocationView


def pairs_of(
    ask: Ask, index: Index, hosts: int, *, volumes: Mapping[str, int], seed_salt: int, allocator: Allocator
) -> Iterator[tuple[LocationView, LocationView]]:
    """Every location on ``hosts`` (bits) that may hold the ISO, as its own and its parent's, in the order of ``search``.
    ``volumes``: how many of the namespace there are at each location."""
    found = {view.name: view for view in _within(ask, index, hosts)}
    choices = []
    for number, view in enumerate(sorted(found.values(), key=by_pool_and_host)):
        counted = volumes.get(view.name, 0)
        offer = offer_of(ask, view, view, counted=counted, number=number, seed_salt=seed_salt)
        choices.append((medium_order(ask, view, offer, allocator), view))
    for _, view in sorted(choices, key=lambda x: x[0]):
        yield view, view


class Nearness:
    """How near an empty root disk would be to the ISO: the best rank of a copy on the same host, as ``search`` counts it.
    Every location that may hold the ISO is judged, so only a machine that installs itself pays for it."""

    def __init__(self, ask: Ask, index: Index, hosts: int) -> None:
        self._index = index
        self._hosts = hosts
        self._by_rank = dict.fromkeys(RANKS, 0)
        for view in _within(ask, index, hosts):
            if reject_in_reach(view, ask) is None:
                self._by_rank[rank(ask.parent_at(view))] |= index.reach(view) & hosts
        better = 0
        for number in RANKS:
            self._by_rank[number] &= ~better
            better |= self._by_rank[number]

    def hosts_of(self, slot: Slot, number: int) -> int:
        """Those (bits) at which the slot's locations have that rank; a Shared location has the best of its hosts'."""
        if not slot.shared:
            return self._by_rank[number]
        reach = self._index.reach(self._index.at(slot, 0)) & self._hosts
        best = next((n for n in RANKS if self._by_rank[n] & reach), None)
        return ANYWHERE if best == number else 0


def _within(ask: Ask, index: Index, hosts: int) -> Iterator[LocationView]:
    for slot, groups in _slots(ask, index):
        if not slot.serves(ask.namespace):
            continue
        bits = 0
        for group in groups:
            bits |= group.hosts & hosts & ~ANYWHERE
        if slot.shared:
            if bits:
                yield index.at(slot, 0)
            continue
        while bits:
            lowest = bits & -bits
            yield index.at(slot, lowest.bit_length() - 1)
            bits ^= lowest


def _slots(ask: Ask, index: Index) -> Iterator[tuple[Slot, Iterable[Group]]]:
    if ask.golden:
        yield from ((slot, groups.held.values()) for slot, groups in index.golden.items())
    else:
        yield from ((slot, groups.values()) for slot, groups in index.ordinary.items())
