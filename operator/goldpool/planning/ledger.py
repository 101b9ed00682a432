"""What is promised at each location, kept up to date object by object.

Guarantees after any changes the sums that a new ledger finds in the objects as they are. Keeps a few numbers per object.
What is promised: bound volumes, parents, and parents that a binding or a machine's ISO needs and that have no object yet.
Objects being deleted count until they are gone, because their bytes do.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Self, TypeVar

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.promises import Copy, Disk, Promised, Spot, TemplateSizes
from goldpool.planning.reservation import rank
from goldpool.planning.views import ParentView

VolumeKey = tuple[str, str]
"""(namespace, name)"""
MachineKey = tuple[str, str]
"""(namespace, name)"""
H = TypeVar("H", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Ledger:
    """``changed_locations`` and ``changed_spots`` collect what the reader has to look at again; he empties them."""

    def __init__(self) -> None:
        self.changed_locations: set[str] = set()
        self.changed_spots: set[Spot] = set()
        self._templates: dict[str, TemplateSizes] = {}
        self.unknown = 0
        """What a template of unknown size reserves: the largest known one."""
        self._names: dict[tuple[str, str], str] = {}
        self._disks: dict[VolumeKey, Disk] = {}
        self._copies: dict[str, Copy] = {}
        self._charges: dict[Hashable, tuple[tuple[str, Promised], ...]] = {}
        self._sums: dict[str, Promised] = {}
        self._needs: dict[Hashable, Spot] = {}
        self._needed_by: dict[Spot, set[Hashable]] = {}
        self._copies_at: dict[Spot, set[str]] = {}
        self._disks_in: dict[str, dict[str, set[VolumeKey]]] = {}
        self._disks_of: dict[str, set[VolumeKey]] = {}
        self._copies_of: dict[str, set[str]] = {}
        self._volumes_at: dict[str, dict[str, int]] = {}

    @classmethod
    def of(
        cls,
        volumes: Iterable[Volume],
        parents: Iterable[Parent],
        locations: Iterable[StorageLocation],
        templates: Iterable[Template],
    ) -> Self:
        ledger = cls()
        for template in templates:
            ledger.put_template(template.metadata.name, template)
        for location in locations:
            ledger.put_location(location.spec.pool, location.spec.host, location.metadata.name)
        for parent in parents:
            ledger.put_parent(parent.metadata.name, parent)
        for volume in volumes:
            ledger.put_volume((volume.metadata.namespace, volume.metadata.name), volume)
        return ledger

    # --- reads

    def at(self, location: str) -> Promised:
        return self._sums.get(location, Promised())

    def parent_at(self, spot: Spot) -> ParentView | None:
        """The best copy that counts; where a binding needs one that has no object yet, one that is on its way."""
        copies = self._copies_at.get(spot)
        if copies:
            views = [v for name in copies if (v := self._copies[name].view) is not None]
            return min(views, key=rank, default=None)
        return ParentView(*spot, ready=False) if spot in self._needed_by else None

    def parent_name(self, spot: Spot) -> str:
        """Of ``parent_at``; empty while there is no object."""
        named = [
            (rank(c.view), name) for name in self._copies_at.get(spot, ()) if (c := self._copies[name]).view
        ]
        return min(named)[1] if named else ""

    def parents(self) -> Iterator[ParentView]:
        """All of ``parent_at``."""
        for spot in self._copies_at.keys() | self._needed_by.keys():
            if (view := self.parent_at(spot)) is not None:
                yield view

    def volumes_of(self, namespace: str) -> Mapping[str, int]:
        """How many volumes of the namespace lie at each location."""
        return self._volumes_at.get(namespace, {})

    # --- changes

    def put_location(self, pool: str, host: str, name: str) -> None:
        """What bindings to the pool and host mean; ``host`` is ``""`` for a Shared pool."""
        if self._names.get((pool, host)) != name:
            self._names[pool, host] = name
            self._recharge_bound_to(pool, host)

    def drop_location(self, pool: str, host: str, name: str) -> None:
        """No binding means it any more; one that has taken its place stays."""
        if self._names.get((pool, host)) == name:
            del self._names[pool, host]
            self._recharge_bound_to(pool, host)

    def _recharge_bound_to(self, pool: str, host: str) -> None:
        by_host = self._disks_in.get(pool, {})
        # A disk on a Shared pool may name the host its machine is tied to.
        for keys in [by_host.get(host, set())] if host else [*by_host.values()]:
            for key in [*keys]:
                self._recharge(key)

    def put_template(self, name: str, template: Template | None) -> None:
        before, unknown = self._templates.get(name), self.unknown
        if template is None:
            self._templates.pop(name, None)
        else:
            self._templates[name] = TemplateSizes.of(template)
        if self._templates.get(name) == before:
            return
        self.unknown = max((t.largest for t in self._templates.values()), default=0)
        concerned = {name}
        if self.unknown != unknown:
            named = self._disks_of.keys() | self._copies_of.keys()
            concerned |= {n for n in named if not self._template(n).largest}
        for each in concerned:
            for key in [*self._disks_of.get(each, ())]:
                self._recharge(key)
            for copy in [*self._copies_of.get(each, ())]:
                self._charge_copy(copy)
        if (before or TemplateSizes()).pinned != self._template(name).pinned:
            for copy in [*self._copies_of.get(name, ())]:
                self.put_parent(copy, self._copies[copy].parent)

    def put_parent(self, name: str, parent: Parent | None) -> None:
        before = self._copies.pop(name, None)
        if before is not None:
            _drop(self._copies_at, before.spot, name)
            _drop(self._copies_of, before.spot[0], name)
        if parent is not None:
            spot = parent.spec.template, parent.spec.location
            self._copies[name] = Copy.of(parent, self._template(spot[0]).template)
            self._copies_at.setdefault(spot, set()).add(name)
            self._copies_of.setdefault(spot[0], set()).add(name)
        self._charge_copy(name)
        for spot in {c.spot for c in (before, self._copies.get(name)) if c is not None}:
            self._charge_need(spot)
            self.changed_spots.add(spot)

    def put_volume(self, key: VolumeKey, volume: Volume | None) -> None:
        """What is not bound is nobody's promise."""
        found = Disk.of(volume) if volume is not None else None
        before = self._disks.get(key)
        if before == found:
            return
        if before is not None:
            for pool in {before.pool, before.parent_pool}:
                _drop(self._disks_in[pool], before.host, key)
            if before.template is not None:
                _drop(self._disks_of, before.template, key)
            del self._disks[key]
        if found is not None:
            self._disks[key] = found
            for pool in {found.pool, found.parent_pool}:
                self._disks_in.setdefault(pool, {}).setdefault(found.host, set()).add(key)
            if found.template is not None:
                self._disks_of.setdefault(found.template, set()).add(key)
        self._recharge(key)

    def put_machine(self, key: MachineKey, iso: Spot | None) -> None:
        """Where the machine's ISO is, or will be fetched to; None when it has none, or it has no place."""
        self._need(("machine", *key), iso)

    # --- sums

    def _recharge(self, key: VolumeKey) -> None:
        disk = self._disks.get(key)
        at, spot = None, None
        if disk is not None:
            at = self._location(disk.pool, disk.host)
            above = disk.parent_location or self._location(disk.parent_pool, disk.host)
            if disk.template is not None and above is not None:
                spot = (disk.template, above)
        self._count(key, at)
        charge = Promised()
        if disk is not None:
            size = disk.size or self._template(disk.template or "").largest or self.unknown
            charge = Promised(size, disk.iops, 0, 0 if size else 1)
        self._set(key, at, charge)
        self._need(key, spot)

    def _need(self, owner: Hashable, spot: Spot | None) -> None:
        before = self._needs.pop(owner, None)
        if before is not None:
            _drop(self._needed_by, before, owner)
        if spot is not None:
            self._needs[owner] = spot
            self._needed_by.setdefault(spot, set()).add(owner)
        for changed in {before, spot} - {None}:
            assert changed is not None
            self._charge_need(changed)
            self.changed_spots.add(changed)

    def _count(self, key: VolumeKey, at: str | None) -> None:
        before = self._charges.get(key)
        counts = self._volumes_at.setdefault(key[0], {})
        if before:
            old = before[0][0]
            counts[old] -= 1
            if not counts[old]:
                del counts[old]
        if at is not None:
            counts[at] = counts.get(at, 0) + 1
        if not counts:
            del self._volumes_at[key[0]]

    def _charge_need(self, spot: Spot) -> None:
        """A copy that bindings need and that has no object yet is charged once, however many need it."""
        charge = None
        if spot in self._needed_by and spot not in self._copies_at:
            template = self._template(spot[0])
            charge = Promised(template.largest or self.unknown, 0, template.file)
        self._set(("need", *spot), spot[1] if charge is not None else None, charge or Promised())

    def _charge_copy(self, name: str) -> None:
        copy = self._copies.get(name)
        if copy is None:
            self._set(("copy", name), None, Promised())
            return
        template = self._template(copy.spot[0])
        size = copy.virtual or template.largest or copy.file or copy.expected or self.unknown
        coming = 0 if copy.there else max(0, (copy.expected or template.file) - copy.done)
        self._set(("copy", name), copy.spot[1], Promised(size, 0, coming))

    def _set(self, owner: Hashable, at: str | None, charge: Promised) -> None:
        now = ((at, charge),) if at is not None else ()
        before = self._charges.get(owner, ())
        if before == now:
            return
        for location, amount in before:
            self._add(location, -amount)
        for location, amount in now:
            self._add(location, amount)
        if now:
            self._charges[owner] = now
        else:
            del self._charges[owner]

    def _add(self, location: str, more: Promised) -> None:
        found = self.at(location) + more
        self.changed_locations.add(location)
        if found == Promised():
            self._sums.pop(location, None)
        else:
            self._sums[location] = found

    def _location(self, pool: str, host: str) -> str | None:
        return self._names.get((pool, host)) or self._names.get((pool, ""))

    def _template(self, name: str) -> TemplateSizes:
        return self._templates.get(name, TemplateSizes())


def _drop(sets: dict[H, set[V]], key: H, member: V) -> None:
    members = sets[key]
    members.discard(member)
    if not members:
        del sets[key]
