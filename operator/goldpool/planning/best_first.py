"""One disk's candidates, best first: the index is read from the allocator's best end, as far as it is asked for.

Only locations that cannot fit are passed over; what is offered here is judged by whoever asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop

from goldpool.planning import capacity
from goldpool.planning.allocators import Allocator, firstfit, random, userdispersing
from goldpool.planning.filters import Ask
from goldpool.planning.index import ANYWHERE, UNLIMITED, Group, Index, Slot
from goldpool.planning.lot import POSITION, draw_all, drawn, point
from goldpool.planning.medium import Nearness, pairs_of
from goldpool.planning.reservation import RANKS, rank
from goldpool.planning.views import DiskWish, LocationView, MachineWish

Pair = tuple[LocationView, LocationView | None]
"""A disk's location, and its parent's."""
Rows = list[tuple[Slot, int]]
"""Slots with the hosts (bits) at which one of their locations is a candidate."""


class BestFirst:
    """One disk's candidates, in the order of the allocator."""

    def __init__(
        self, index: Index, wish: MachineWish, disk: DiskWish, seed_salt: int, allocator: Allocator
    ) -> None:
        self.wish = disk
        self.ask = Ask(
            disk, wish.avoid, frozenset(), {}, index.parents, wish.unknown_parent_bytes, wish.namespace
        )
        self._index = index
        self._salt = seed_salt
        self._allocator = allocator
        self._volumes = wish.namespace_volumes
        self._template = disk.template.name if disk.template else ""
        self._golden = self.ask.golden
        self._beside = disk.template is not None and not self._golden
        self.medium: Ask | None = None
        """Of an empty root disk, which had better be where the machine's ISO is."""
        self._near: Nearness | None = None
        self.parent_bytes = (
            capacity.parent_bytes(disk.template, wish.unknown_parent_bytes) if disk.template else 0
        )

    def pairs(self, hosts: int) -> Iterator[Pair]:
        if not hosts:
            return iter(())
        if self.wish.medium:
            return pairs_of(
                self.ask, self._index, hosts,
                volumes=self._volumes, seed_salt=self._salt, allocator=self._allocator,
            )  # fmt: skip
        if self.medium is not None:
            self._near = Nearness(self.medium, self._index, hosts)
        slots = {
            slot
            for slot in self._index.ordinary
            if self.wish.tags <= slot.tags
            and slot.serves(self.ask.namespace)
            and self.wish.pool in (None, slot.pool)
            and (not self._beside or self.wish.parent_pool in (None, slot.pool))
        }
        if self._allocator is random:
            return self._by_lot(slots, hosts)
        if self._allocator is firstfit:
            return self._by_name(slots, hosts)
        if self._allocator is userdispersing:
            return self._by_namespace(slots, hosts)
        return self._by_level(slots, hosts, {})

    # --- allocators

    def _by_level(
        self, slots: set[Slot], hosts: int, only: Mapping[Slot, int], *, but: bool = True
    ) -> Iterator[Pair]:
        """firstfitleastconsumed, over all locations but ``only``, or (``but`` false) over those alone."""
        golden = _Golden(self, hosts)
        for level in sorted(self._index.levels, reverse=True):
            by_free = self._index.levels[level]
            rows: dict[int, Rows] = {}
            frees = sorted(by_free, reverse=True)
            for rank_ in self._ranks():
                if self._golden and not golden.hosts(rank_):
                    continue
                for free in frees:
                    if free not in rows:
                        rows[free] = self._row(by_free[free], slots, hosts, only, but=but)
                    if rows[free]:
                        yield from self._of_rank(rows[free], rank_, golden)

    def _of_rank(self, row: Rows, rank_: int, golden: "_Golden") -> Iterator[Pair]:
        if self._golden:
            union = _union(row) & golden.hosts(rank_)
            if union:
                for above in golden.rows(rank_):
                    yield from self._drawn(union & _union(above), row, above)
        elif self._beside or self._near is not None:
            kept = [(slot, bits & self._with_parent(slot, rank_)) for slot, bits in row]
            yield from self._drawn(_union(kept), kept, None)
        else:
            yield from self._drawn(_union(row), row, None)

    def _by_namespace(self, slots: set[Slot], hosts: int) -> Iterator[Pair]:
        counted: dict[int, dict[Slot, int]] = {}
        everywhere: dict[Slot, int] = {}
        for name, number in self._volumes.items():
            location = self._index.location(name)
            if location is not None and number:
                slot = Slot.of(location)
                bits = self._index.reach(location) | ANYWHERE
                for masks in (counted.setdefault(number, {}), everywhere):
                    masks[slot] = masks.get(slot, 0) | bits
        yield from self._by_level(slots, hosts, everywhere)
        for number in sorted(counted):
            yield from self._by_level(slots & counted[number].keys(), hosts, counted[number], but=False)

    def _by_lot(self, slots: set[Slot], hosts: int) -> Iterator[Pair]:
        row = self._all(slots, hosts)
        if not self._golden:
            yield from self._drawn(_union(row), row, None)
            return
        golden = _Golden(self, hosts)
        above = [pair for rank_ in RANKS for rows in golden.rows(rank_) for pair in rows]
        yield from self._drawn(_union(row) & _union(above), row, above)

    def _by_name(self, slots: set[Slot], hosts: int) -> Iterator[Pair]:
        golden = _Golden(self, hosts)
        row = self._all(slots, hosts)
        pools = sorted({slot.pool for slot, _ in row})
        for rank_ in self._ranks():
            above = [pair for rows in golden.rows(rank_) for pair in rows] if self._golden else []
            for pool in pools:
                found = []
                for slot, here in row:
                    if slot.pool == pool:
                        bits = here
                        if self._golden:
                            bits &= _union(above)
                        elif self._beside or self._near is not None:
                            bits &= self._with_parent(slot, rank_)
                        if slot.shared:
                            found.append((("", slot.shared), self._index.at(slot, 0), bits))
                        else:
                            for n in positions(bits):
                                view = self._index.at(slot, n)
                                found.append(((view.host, view.name), view, 1 << n))
                for _, location, bits in sorted(found, key=lambda x: x[0]):
                    if bits and self._golden:
                        yield from self._above(location, bits, above)
                    elif bits:
                        yield location, location if self._beside else None

    def _above(self, location: LocationView, bits: int, above: Rows) -> Iterator[Pair]:
        """One location with each golden one it can have, by name."""
        found: dict[str, LocationView] = {}
        for slot, held in above:
            for n in positions(held & bits) if not slot.shared else (0,) if held & bits else ():
                at = self._index.at(slot, n)
                if not (location.shared and at.shared) or self._index.reach(location) & held & bits:
                    found[at.name] = at
        for name in sorted(found):
            yield location, found[name]

    # --- parts

    def _row(
        self,
        groups: Mapping[Slot, Group],
        slots: set[Slot],
        hosts: int,
        only: Mapping[Slot, int],
        *,
        but: bool,
    ) -> Rows:
        found = []
        for slot, group in groups.items():
            if slot in slots and group.room >= self.wish.size_bytes and group.iops >= self.wish.iops:
                bits = group.hosts & hosts
                if only:
                    mask = only.get(slot, 0)
                    bits = bits & ~mask if but else bits & mask
                if bits:
                    found.append((slot, self._bits(slot, bits)))
        return found

    def _all(self, slots: Iterable[Slot], hosts: int) -> Rows:
        found = []
        for slot in slots:
            bits = 0
            for group in self._index.ordinary[slot].values():
                if group.room >= self.wish.size_bytes and group.iops >= self.wish.iops:
                    bits |= group.hosts & hosts
            if bits:
                found.append((slot, self._bits(slot, bits)))
        return found

    def _bits(self, slot: Slot, reached: int) -> int:
        """A Shared location without a parent elsewhere is one candidate, not one per host."""
        if not slot.shared:
            return reached
        return reached | ANYWHERE if self._golden else ANYWHERE

    def _ranks(self) -> tuple[int, ...]:
        return RANKS if self._template or self._near is not None else (0,)

    def _with_parent(self, slot: Slot, rank_: int) -> int:
        """Where the slot's locations have the template's parent in that rank, beside the child; or the machine's ISO on
        the same host."""
        if self._near is not None:
            return self._near.hosts_of(slot, rank_)
        ranks = self._index.ranks(self._template).get(slot, {})
        if rank_ != rank(None):
            return ranks.get(rank_, 0)
        return ~sum(ranks.values())  # the bits are disjoint: one rank per location

    def _drawn(self, tied: int, row: Rows, above: Rows | None) -> Iterator[Pair]:
        """Equals, in the order of their lots."""
        lots = draw_all(self._index.points, positions(tied), self._salt)
        if len(lots) > 1:
            first = min(lots)  # mostly the only one that is asked for
            yield from self._at_host(first & POSITION, row, above)
            lots.remove(first)
            heapify(lots)
        while lots:
            yield from self._at_host(heappop(lots) & POSITION, row, above)

    def _at_host(self, position: int, row: Rows, above: Rows | None) -> Iterator[Pair]:
        here = self._views(position, row)
        if above is None:
            for location in here:
                yield location, location if self._beside else None
            return
        golden = self._views(position, above)
        for location in here:
            for at in golden:
                if location.shared and at.shared:
                    # Counted once, for no host in particular, if some host reaches both.
                    both = _bits_at(row, location) & _bits_at(above, at) & ~ANYWHERE
                    if position or not both:
                        continue
                yield location, at

    def _views(self, position: int, row: Rows) -> list[LocationView]:
        bit = 1 << position
        found = [self._index.at(slot, position) for slot, bits in row if bits & bit]
        if len(found) > 1:
            found.sort(key=lambda x: (drawn(point(x.pool), self._salt), x.name))
        return found


class _Golden:
    """Where a disk's parent may be, by rank. Made as far as it is asked for."""

    def __init__(self, disk: BestFirst, hosts: int) -> None:
        self._disk = disk
        self._feasible = hosts
        self._rows: dict[int, list[Rows]] = {}
        self._hosts: dict[int, int] = {}

    def hosts(self, rank_: int) -> int:
        if rank_ not in self._hosts:
            self._hosts[rank_] = _union(pair for row in self.rows(rank_) for pair in row)
        return self._hosts[rank_]

    def rows(self, rank_: int) -> list[Rows]:
        """The location with the most room first."""
        if rank_ not in self._rows:
            by_free: dict[int, Rows] = {}
            for slot, free, bits in self._candidates(rank_):
                by_free.setdefault(free, []).append((slot, bits | ANYWHERE if slot.shared else bits))
            self._rows[rank_] = [by_free[free] for free in sorted(by_free, reverse=True)]
        return self._rows[rank_]

    def _candidates(self, rank_: int) -> Iterator[tuple[Slot, int, int]]:
        disk, index = self._disk, self._disk._index
        wish, ranks = disk.wish, index.ranks(disk.wish.template.name if disk.wish.template else "")
        namespace = disk.ask.namespace
        absent = rank_ == rank(None)
        fetches = absent or rank_ == RANKS[-1]
        room = disk.parent_bytes if absent else -UNLIMITED
        for slot in index.golden if absent else ranks:
            groups = index.golden.get(slot)
            if groups is None or wish.parent_pool not in (None, slot.pool) or not slot.serves(namespace):
                continue
            held = ranks.get(slot, {})
            mask = ~sum(held.values()) if absent else held.get(rank_, 0)
            for free, group in (groups.open if fetches else groups.held).items():
                bits = group.hosts & mask & self._feasible
                if bits and group.room >= room:
                    yield slot, free, bits


def _union(row: Iterable[tuple[Slot, int]]) -> int:
    found = 0
    for _, bits in row:
        found |= bits
    return found


def _bits_at(row: Rows, location: LocationView) -> int:
    return next((bits for slot, bits in row if slot.shared == location.name), 0)


def positions(bits: int) -> list[int]:
    """Of the bits that are set."""
    if bits.bit_count() == 1:
        return [bits.bit_length() - 1]
    return [n for n, digit in enumerate(bin(bits)[:1:-1]) if digit == "1"]
