"""Locations, hosts and parents, arranged so that one plan looks at few of them.

Kept between plans and changed object by object. Two indices that hold the same views give the same answers, whatever
led to them. Sets of hosts are the bits of an integer: two pools' hosts are intersected in some 60 ns for 1,000 hosts.

Ordinary locations lie in groups whose members no allocator can tell apart but by lot: the same slot, the same level and
the same free percentage of the file system. A group also knows an upper bound of what its members have left, so that
the full are passed over together. What can take nothing new, whatever is asked, lies in no group.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from goldpool.api.storagepool import Toleration
from goldpool.planning import capacity
from goldpool.planning.lot import point
from goldpool.planning.reservation import rank
from goldpool.planning.snapshot import NodeView, host_view
from goldpool.planning.views import HostView, LocationView, MachineWish, ParentView

ANYWHERE: Final = 1
"""The bit that stands for no host in particular: that of places which are Shared altogether."""
UNLIMITED: Final = 1 << 80


class Slot(NamedTuple):
    """What a host has at most one location of: a pool with its tags and the namespaces it serves, or one Shared location
    (then named)."""

    pool: str
    tags: frozenset[str]
    namespaces: frozenset[str]
    shared: str

    @classmethod
    def of(cls, view: LocationView) -> "Slot":
        return cls(view.pool, view.tags, view.namespaces, view.name if view.shared else "")

    def serves(self, namespace: str) -> bool:
        return not self.namespaces or namespace in self.namespaces


class Level(NamedTuple):
    """What firstfitleastconsumed asks first. The largest comes first."""

    promised_free_percent: int
    sized: int
    """Minus the number of disks of unknown size."""


@dataclass(slots=True)
class Group:
    """``room`` and ``iops`` are upper bounds: they never shrink while the group has members."""

    hosts: int = 0
    room: int = -UNLIMITED
    iops: int = -UNLIMITED


Groups = dict[tuple[Level, int], Group]
Ranks = dict[int, int]
"""Hosts (bits) by a parent's rank."""


@dataclass(slots=True)
class _Kept:
    """One location, with what putting it in has changed."""

    view: LocationView
    slot: Slot
    hosts: int
    """Hosts that reach it; for a Shared one with ``ANYWHERE``."""
    group: tuple[Level, int] | None = None
    holds: int | None = None
    """Of a golden one that is well: its promised free percentage."""


@dataclass(slots=True)
class GoldenGroups:
    """Of one slot, by the promised free percentage. ``open``: those below their used limit, where a fetch may start."""

    held: dict[int, Group] = field(default_factory=dict)
    open: dict[int, Group] = field(default_factory=dict)


class Index:
    """``changed`` collects the locations that plans see differently since the reader emptied it: themselves, or a copy
    there. ``shape`` changes with the hosts, and with which locations there are. Nothing else changes either."""

    def __init__(self) -> None:
        self.shape = 0
        self.changed: set[str] = set()
        self.parents: dict[tuple[str, str], ParentView] = {}
        """By (template, location); of several copies the better one."""
        self.nodes: dict[str, NodeView] = {}
        self.names = [""]
        self.points = [point("")]
        self.levels: dict[Level, dict[int, dict[Slot, Group]]] = {}
        """By level and free percentage."""
        self.ordinary: dict[Slot, Groups] = {}
        self.golden: dict[Slot, GoldenGroups] = {}
        self._bits = {"": ANYWHERE}
        self._kept: dict[str, _Kept] = {}
        self._at: dict[tuple[Slot, int], LocationView] = {}
        self._parents_at: dict[str, dict[str, int]] = {}
        self._ranks: dict[str, dict[Slot, Ranks]] = {}
        self._usable = 0
        self._labels: dict[tuple[str, str], int] = {}
        self._taints: dict[str, int] = {}

    # --- reads

    @property
    def locations(self) -> Iterator[LocationView]:
        return (kept.view for kept in self._kept.values())

    def location(self, name: str) -> LocationView | None:
        kept = self._kept.get(name)
        return kept.view if kept is not None else None

    def hosts(self, tolerations: list[Toleration]) -> list[HostView]:
        return [host_view(node, tolerations) for node in self.nodes.values()]

    def bit(self, host: str) -> int:
        """0 for a name never seen."""
        return self._bits.get(host, 0)

    def reach(self, location: LocationView) -> int:
        """Hosts that reach it, without ``ANYWHERE``."""
        return self._kept[location.name].hosts & ~ANYWHERE

    def at(self, slot: Slot, position: int) -> LocationView:
        if slot.shared:
            return self._kept[slot.shared].view
        return self._at[slot, position]

    def ranks(self, template: str) -> Mapping[Slot, Ranks]:
        """Where the template has a parent that counts, by rank."""
        return self._ranks.get(template, {})

    def feasible(self, wish: MachineWish, tolerations: list[Toleration]) -> int:
        """Hosts that every ``HOST_FILTERS`` accepts."""
        hosts = self._usable
        for label in wish.node_selector.items():
            hosts &= self._labels.get(label, 0)
        for name, tainted in self._taints.items():
            if hosts & tainted and host_view(self.nodes[name], tolerations).tainted:
                hosts &= ~tainted
        for disk in wish.disks:
            if disk.host:
                hosts &= self.bit(disk.host)
        for bound in wish.bound:
            hosts &= self._anchored(bound.location)
            if bound.parent_location is not None:
                hosts &= self._anchored(self.location(bound.parent_location))
        return hosts & ~self._bits_of(wish.avoid.hosts)

    def _anchored(self, location: LocationView | None) -> int:
        if location is None or not location.ready:
            return 0
        return self._bits_of(location.hosts)

    def _bits_of(self, hosts: Iterable[str]) -> int:
        found = 0
        for host in hosts:
            found |= self._bits.get(host, 0)
        return found

    # --- nodes

    def put_node(self, node: NodeView) -> None:
        if self.nodes.get(node.name) == node:
            return
        self.drop_node(node.name)
        self.shape += 1
        self.nodes[node.name] = node
        bit = self._known(node.name)
        view = host_view(node, [])
        if view.ready and view.schedulable:
            self._usable |= bit
        for label in node.labels.items():
            self._labels[label] = self._labels.get(label, 0) | bit
        if view.tainted:
            self._taints[node.name] = bit

    def drop_node(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        if node is None:
            return
        self.shape += 1
        bit = self._bits[name]
        self._usable &= ~bit
        self._taints.pop(name, None)
        for label in node.labels.items():
            self._labels[label] &= ~bit
            if not self._labels[label]:
                del self._labels[label]

    def _known(self, host: str) -> int:
        """Hosts keep their bit for as long as the index lives: there are few names, and a Node may come back."""
        bit = self._bits.get(host)
        if bit is None:
            bit = self._bits[host] = 1 << len(self.names)
            self.names.append(host)
            self.points.append(point(host))
        return bit

    # --- locations

    def put_location(self, view: LocationView) -> None:
        before = self._kept.get(view.name)
        if before is not None and before.view == view:
            return
        if before is not None:
            self._take(before)
        if before is None or _identity(before.view) != _identity(view):
            self.shape += 1
        self.changed.add(view.name)
        slot = Slot.of(view)
        hosts = ANYWHERE if view.shared else 0
        for host in view.hosts:
            hosts |= self._known(host)
        kept = self._kept[view.name] = _Kept(view, slot, hosts)
        if not view.shared:
            self._at[slot, hosts.bit_length() - 1] = view
        for template, found in self._parents_at.get(view.name, {}).items():
            self._add_rank(template, kept, found)
        if view.enabled and view.ready:
            if view.golden:
                self._put_golden(kept)
            else:
                self._put_ordinary(kept)

    def drop_location(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self.shape += 1
            self._take(kept)

    def _take(self, kept: _Kept) -> None:
        if not kept.view.shared:
            self._at.pop((kept.slot, kept.hosts.bit_length() - 1), None)
        for template, found in self._parents_at.get(kept.view.name, {}).items():
            self._drop_rank(template, kept, found)
        if kept.group is not None:
            self._take_ordinary(kept, *kept.group)
        if kept.holds is not None:
            self._take_golden(kept, kept.holds)

    def _put_ordinary(self, kept: _Kept) -> None:
        view = kept.view
        if capacity.is_used_above_limit(view) or capacity.is_allocated_above_limit(view, 0):
            return
        level = Level(capacity.promised_free_percent(view), -view.unsized)
        free = capacity.free_percent(view)
        kept.group = (level, free)
        groups = self.ordinary.setdefault(kept.slot, {})
        group = groups.get(kept.group)
        if group is None:
            group = groups[kept.group] = Group()
            self.levels.setdefault(level, {}).setdefault(free, {})[kept.slot] = group
        _join(group, kept)

    def _take_ordinary(self, kept: _Kept, level: Level, free: int) -> None:
        slot, groups = kept.slot, self.ordinary[kept.slot]
        group = groups[level, free]
        group.hosts &= ~kept.hosts
        if group.hosts:
            return
        del groups[level, free]
        if not groups:
            del self.ordinary[slot]
        frees = self.levels[level]
        del frees[free][slot]
        if not frees[free]:
            del frees[free]
        if not frees:
            del self.levels[level]

    def _put_golden(self, kept: _Kept) -> None:
        kept.holds = capacity.promised_free_percent(kept.view)
        groups = self.golden.setdefault(kept.slot, GoldenGroups())
        _join(groups.held.setdefault(kept.holds, Group()), kept)
        if not capacity.is_used_above_limit(kept.view):
            _join(groups.open.setdefault(kept.holds, Group()), kept)

    def _take_golden(self, kept: _Kept, free: int) -> None:
        groups = self.golden[kept.slot]
        for by_free in (groups.held, groups.open):
            group = by_free.get(free)
            if group is not None:
                group.hosts &= ~kept.hosts
                if not group.hosts:
                    del by_free[free]
        if not groups.held:
            del self.golden[kept.slot]

    # --- parents

    def put_parent(self, template: str, location: str, view: ParentView | None) -> None:
        """The best copy of the template there; None when there is none."""
        key = (template, location)
        if self.parents.get(key) == view:
            return
        self.changed.add(location)
        kept = self._kept.get(location)
        ranks = self._parents_at.setdefault(location, {})
        before = ranks.pop(template, None)
        if before is not None and kept is not None:
            self._drop_rank(template, kept, before)
        if view is None:
            self.parents.pop(key, None)
            if not ranks:
                del self._parents_at[location]
            return
        self.parents[key] = view
        ranks[template] = rank(view)
        if kept is not None:
            self._add_rank(template, kept, rank(view))

    def _add_rank(self, template: str, kept: _Kept, found: int) -> None:
        ranks = self._ranks.setdefault(template, {}).setdefault(kept.slot, {})
        ranks[found] = ranks.get(found, 0) | kept.hosts

    def _drop_rank(self, template: str, kept: _Kept, found: int) -> None:
        slots = self._ranks[template]
        ranks = slots[kept.slot]
        ranks[found] &= ~kept.hosts
        if not ranks[found]:
            del ranks[found]
        if not ranks:
            del slots[kept.slot]
        if not slots:
            del self._ranks[template]


def _identity(view: LocationView) -> tuple[object, ...]:
    """What makes it another location under the same name."""
    return view.pool, view.host, view.golden, view.shared


def _join(group: Group, kept: _Kept) -> None:
    view = kept.view
    room = capacity.room_bytes(view)
    group.hosts |= kept.hosts
    group.room = max(group.room, UNLIMITED if room is None else room)
    left = UNLIMITED if view.capacity_iops is None else view.capacity_iops - view.allocated_iops
    group.iops = max(group.iops, left)
