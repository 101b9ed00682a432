"""One plan at a time over everything that is known, including what was promised and is not observed yet.

Fed with objects as they change. A plan first walks the index; only where nothing fits, or too many candidates almost do,
every location is judged, and a refusal is kept and brought up to date: a thousand machines that wait for room in a full
cluster cost one search.
"""

from dataclasses import replace

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import Scope, StoragePool, Toleration
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.allocators import Allocator, firstfitleastconsumed
from goldpool.planning.fallback import planned
from goldpool.planning.figures import figures
from goldpool.planning.identity import location_name
from goldpool.planning.index import Index
from goldpool.planning.ledger import Ledger, MachineKey, VolumeKey
from goldpool.planning.placement import (
    MachineWish,
    Placement,
    Rejection,
    Unplaceable,
    candidates_of,
    objections_of,
    place,
)
from goldpool.planning.promises import Spot
from goldpool.planning.references import template_of
from goldpool.planning.refusals import Refusals
from goldpool.planning.reservation import rank
from goldpool.planning.search import Candidates
from goldpool.planning.snapshot import (
    LocationFacts,
    NodeView,
    disk_wish,
    location_facts,
    location_view,
)
from goldpool.planning.views import BoundDisk, DiskWish
from goldpool.planning.walk import Exhausted, walk


class Planner:
    """Two planners that were told the same objects give the same answers, whatever happened on the way."""

    def __init__(self, allocator: Allocator = firstfitleastconsumed) -> None:
        self.allocator = allocator
        self.index = Index()
        self.ledger = Ledger()
        self._pools: dict[str, StoragePool] = {}
        self._templates: dict[str, Template] = {}
        self._facts: dict[str, LocationFacts] = {}
        self._in_pool: dict[str, set[str]] = {}
        self._stale: set[str] = set()
        self._refusals = Refusals(self.index)

    # --- what changed; None is gone

    def put_pool(self, name: str, pool: StoragePool | None) -> None:
        if pool is None:
            self._pools.pop(name, None)
        else:
            self._pools[name] = pool
        for location in self._in_pool.get(name, ()):
            self._name(self._facts[location])
            self._stale.add(location)

    def put_location(self, name: str, location: StorageLocation | None) -> None:
        before = self._facts.pop(name, None)
        if before is not None:
            self._in_pool[before.pool].discard(name)
            if location is None:
                self.ledger.drop_location(before.pool, before.host, before.name)
        if location is not None:
            facts = self._facts[name] = location_facts(location)
            self._in_pool.setdefault(facts.pool, set()).add(name)
            self._name(facts)
        self._stale.add(name)

    def put_node(self, name: str, node: NodeView | None) -> None:
        before = self.index.nodes.get(name)
        if node is None:
            self.index.drop_node(name)
        else:
            self.index.put_node(node)
        if before is None or node is None or before.labels != node.labels:
            for pool in self._pools.values():
                if pool.spec.scope is Scope.SHARED:
                    self._stale |= self._in_pool.get(pool.metadata.name, set())

    def put_template(self, name: str, template: Template | None) -> None:
        if template is None:
            self._templates.pop(name, None)
        else:
            self._templates[name] = template
        self.ledger.put_template(name, template)

    def put_parent(self, name: str, parent: Parent | None) -> None:
        self.ledger.put_parent(name, parent)

    def put_volume(self, key: VolumeKey, volume: Volume | None) -> None:
        self.ledger.put_volume(key, volume)

    def put_machine(self, key: MachineKey, iso: Spot | None) -> None:
        """``iso``: as ``snapshot.iso_spot``, or what was promised and is not observed yet."""
        self.ledger.put_machine(key, iso)

    def _name(self, facts: LocationFacts) -> None:
        """Bindings name a pool and a host; the location that stands for them is that of the pool as it is now."""
        if self._is_current(facts):
            self.ledger.put_location(facts.pool, facts.host, facts.name)
        else:
            self.ledger.drop_location(facts.pool, facts.host, facts.name)

    def _is_current(self, facts: LocationFacts) -> bool:
        pool = self._pools.get(facts.pool)
        return pool is not None and pool.metadata.uid == facts.pool_uid

    def settle(self) -> None:
        """Bring the index up to date. Every read does; its cost is that of what changed."""
        ledger = self.ledger
        for spot in ledger.changed_spots:
            self.index.put_parent(*spot, ledger.parent_at(spot))
        self._stale |= ledger.changed_locations
        ledger.changed_spots.clear()
        ledger.changed_locations.clear()
        for name in self._stale:
            facts = self._facts.get(name)
            if facts is None or not self._is_current(facts):
                self.index.drop_location(name)
                continue
            view = location_view(facts, self._pools[facts.pool], self.index.nodes.values(), ledger.at(name))
            self.index.put_location(view)
        self._stale.clear()

    # --- wishes

    def wish(self, name: str, volume: Volume) -> DiskWish:
        template = self._templates.get(template_of(volume) or "")
        return disk_wish(name, volume, template, self.ledger.unknown)

    def bound(self, name: str, volume: Volume) -> BoundDisk:
        """Where a bound volume's disk and parent are; they restrict the hosts."""
        self.settle()
        place = volume.spec.placement
        assert place is not None
        host = place.host or ""
        at = volume.status.location or self._location_for(place.pool or "", host) or ""
        return BoundDisk(
            name=name,
            location=self.index.location(at),
            parent_location=self._location_for(place.parent_pool or "", host),
        )

    def _location_for(self, pool_name: str, host: str) -> str | None:
        pool = self._pools.get(pool_name)
        if pool is None:
            return None
        shared = pool.spec.scope is Scope.SHARED
        return location_name(pool_name, pool.metadata.uid, "" if shared else host)

    # --- plans

    def place(
        self, wish: MachineWish, *, seed: int, tolerations: list[Toleration] | None = None
    ) -> Placement | Unplaceable:
        """As ``search``, only faster."""
        self.settle()
        return planned(wish, lambda asked: self._place(asked, seed, tolerations or []))

    def _place(self, wish: MachineWish, seed: int, tolerated: list[Toleration]) -> Placement | Unplaceable:
        if (refused := self._refusals.find(wish, tolerated)) is not None:
            return refused
        if wish.disks:
            try:
                found = walk(self.index, wish, tolerated, seed=seed, allocator=self.allocator)
            except Exhausted:
                found = None
            if found is not None:
                return self._explained(found, wish)
        answer = self.search(wish, seed=seed, tolerations=tolerated)
        if isinstance(answer, Unplaceable):
            self._refusals.keep(wish, tolerated, answer)
            return answer
        return self._explained(answer, wish)

    def _explained(self, found: Placement, wish: MachineWish) -> Placement:
        if not found.disks:
            return found
        disk, first = wish.disks[0], found.disks[0]
        location = self.index.location(first.location)
        assert location is not None
        if disk.template is None or first.parent_location is None:
            return replace(found, why=figures(location, None))
        spot = (disk.template.name, first.parent_location)
        why = figures(location, rank(self.index.parents.get(spot)), self.ledger.parent_name(spot))
        return replace(found, why=why)

    def search(
        self, wish: MachineWish, *, seed: int, tolerations: list[Toleration]
    ) -> Placement | Unplaceable:
        """The reference: judges every location, and where the wish may fall back and nothing fits, once more."""
        self.settle()
        hosts, locations = self.index.hosts(tolerations), [*self.index.locations]
        parents = [*self.index.parents.values()]
        return planned(
            wish,
            lambda asked: place(asked, hosts, locations, parents, seed=seed, allocator=self.allocator),
        )

    def candidates(
        self, wish: MachineWish, *, seed: int, tolerations: list[Toleration]
    ) -> tuple[dict[str, Rejection], Candidates]:
        """Why each host that may not run the machine may not, and every location judged, for ``standings``."""
        self.settle()
        hosts, locations = self.index.hosts(tolerations), [*self.index.locations]
        objections = objections_of(wish, hosts, locations)
        feasible = frozenset(h.name for h in hosts) - objections.keys()
        parents = [*self.index.parents.values()]
        found = candidates_of(
            wish, feasible, objections, locations, parents, seed=seed, allocator=self.allocator
        )
        return objections, found
