"""What there is, counted over the cache each time somebody asks: gauges of the replica that leads.

A standby counts nothing, so that a sum over replicas counts everything once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.metrics_core import Metric

from goldpool.api.conditions import ConditionType
from goldpool.api.parent import ParentState
from goldpool.api.storagepool import StoragePool
from goldpool.controllers.landscape import Landscape
from goldpool.controllers.verdict import seconds_since
from goldpool.controllers.world import World
from goldpool.engine.families import Family, Labels, Values, by_first_label
from goldpool.kube import resources as r
from goldpool.kube.port import Obj, Resource
from goldpool.planning.capacity import planned_bytes
from goldpool.planning.snapshot import location_facts, location_view
from goldpool.planning.views import LocationView

MOST_LOCATIONS: Final = 1000
"""Each location is five series. Beyond this many only their number is told."""

# As the fields' descriptions say. Told also when nothing is in them, so that an alert sees the first one.
MACHINE_PHASES: Final = (
    "Pending", "Provisioning", "Starting", "Running", "Paused",
    "StoragePaused", "Stopping", "Stopped", "Succeeded", "Failed",
    "HostLost", "Terminating",
)  # fmt: skip
VOLUME_PHASES: Final = (
    "Pending", "WaitingForParent", "Creating", "Ready", "InUse", "Lost", "Failed", "Terminating",
)  # fmt: skip
TEMPLATE_PHASES: Final = ("Registered", "Fetching", "Ready", "Degraded", "Failed", "Terminating")

MACHINES = Family("goldpool_virtualmachines", "gauge", "VirtualMachines by phase.", ("phase",))
UNREADY = Family(
    "goldpool_virtualmachines_longest_unready_seconds",
    "gauge",
    "For how long the one that has waited longest among the VirtualMachines of a phase has not been Ready.",
    ("phase",),
)
VOLUMES = Family("goldpool_volumes", "gauge", "Volumes by phase.", ("phase",))
TEMPLATES = Family("goldpool_templates", "gauge", "Templates by phase.", ("phase",))
SOURCES = Family(
    "goldpool_template_sources", "gauge",
    "Templates with a condition about their source: SourceUnreachable (a host that asked found no mirror that can serve), "
    "SourceChanged (other bytes are served than were fetched), Degraded (some mirrors cannot serve).",
    ("condition",),
)  # fmt: skip
PARENTS = Family("goldpool_parents", "gauge", "Parents by state.", ("state",))
LOCATIONS = Family(
    "goldpool_locations", "gauge", "StorageLocations by pool and phase.", ("pool", "golden", "phase")
)
CAPACITY = Family(
    "goldpool_location_capacity_bytes", "gauge",
    "Size planning counts on, before over-provisioning: the declared capacity, else the file system's.",
    ("pool", "host"),
)  # fmt: skip
FILE_SYSTEM = Family(
    "goldpool_location_filesystem_bytes", "gauge", "Size of the location's file system.", ("pool", "host")
)
USED = Family(
    "goldpool_location_used_bytes", "gauge", "Bytes in use on the location's file system.", ("pool", "host")
)
USED_LIMIT = Family(
    "goldpool_location_used_limit_bytes", "gauge",
    "Used bytes from which on nothing new is placed there (usedLimitPercent).", ("pool", "host"),
)  # fmt: skip
ALLOCATED = Family(
    "goldpool_location_allocated_bytes", "gauge",
    "Bytes promised to volumes and parents: what they would use if they were full.", ("pool", "host"),
)  # fmt: skip
ALLOCATED_LIMIT = Family(
    "goldpool_location_allocated_limit_bytes", "gauge",
    "Promised bytes above which nothing new is placed there, over-provisioning included (allocatedLimitPercent).",
    ("pool", "host"),
)  # fmt: skip
UNLISTED = Family(
    "goldpool_locations_unlisted", "gauge",
    f"Locations without goldpool_location_ series, because there are more than {MOST_LOCATIONS}.",
)  # fmt: skip
WAITING = Family("goldpool_operations_waiting", "gauge", "Storage operations that are in no Job yet.")
JOBS = Family(
    "goldpool_storage_jobs", "gauge",
    "Storage Jobs that exist: slot (many small operations), fetch (one download) or probe (asking one source).", ("kind",),
)  # fmt: skip


class Census:
    """``leads`` says whether this replica counts."""

    def __init__(self, world: World, landscape: Landscape, leads: Callable[[], bool]) -> None:
        self._world = world
        self._landscape = landscape
        self._leads = leads

    def collect(self) -> Iterable[Metric]:
        """All gauges; for ``Metrics.add_collector``."""
        if not self._leads():
            return
        yield MACHINES.collected(self._by_status(r.VIRTUAL_MACHINE, "phase", MACHINE_PHASES))
        yield UNREADY.collected(self._longest_unready())
        yield VOLUMES.collected(self._by_status(r.VOLUME, "phase", VOLUME_PHASES))
        yield TEMPLATES.collected(self._by_status(r.TEMPLATE, "phase", TEMPLATE_PHASES))
        yield SOURCES.collected(by_first_label(self._sources()))
        yield PARENTS.collected(self._by_status(r.PARENT, "state", tuple(ParentState)))
        yield from self._locations()
        waiting, jobs = self._world.dispatcher.load()
        yield WAITING.collected({(): waiting})
        yield JOBS.collected(by_first_label({kind.value: count for kind, count in jobs.items()}))

    def _by_status(self, resource: Resource, field: str, known: tuple[str, ...]) -> Values:
        counts: Counter[str] = Counter(dict.fromkeys(known, 0))
        counts.update(_status(obj, field, known[0]) for obj in self._world.cache.list(resource))
        return by_first_label(counts)

    def _sources(self) -> dict[str, int]:
        counts = dict.fromkeys(("SourceUnreachable", "SourceChanged", "Degraded"), 0)
        for obj in self._world.cache.list(r.TEMPLATE):
            told = {c["type"]: c["status"] for c in (obj.get("status") or {}).get("conditions", ())}
            counts["SourceUnreachable"] += told.get(ConditionType.SOURCE_REACHABLE) == "False"
            counts["SourceChanged"] += told.get(ConditionType.SOURCE_CHANGED) == "True"
            counts["Degraded"] += told.get(ConditionType.DEGRADED) == "True"
        return counts

    def _longest_unready(self) -> Values:
        """A count that is never zero tells no waiting from a steady coming and going; this does."""
        now, longest = self._world.now(), dict.fromkeys(MACHINE_PHASES, 0.0)
        for obj in self._world.cache.list(r.VIRTUAL_MACHINE):
            phase = _status(obj, "phase", MACHINE_PHASES[0])
            if (since := _unready_since(obj)) is not None:
                longest[phase] = max(longest.get(phase, 0.0), seconds_since(since, now))
        return by_first_label(longest)

    def _locations(self) -> Iterator[Metric]:
        world = self._world
        pools = {pool.metadata.name: pool for pool in world.pools()}
        locations = sorted(world.locations(), key=lambda x: (x.spec.pool, x.spec.host))
        phases: Counter[Labels] = Counter(
            (x.spec.pool, _golden(pools.get(x.spec.pool)), x.status.phase or "Pending") for x in locations
        )
        yield LOCATIONS.collected(phases)
        listed = [x for x in locations if x.spec.pool in pools][:MOST_LOCATIONS]
        # Who reaches a location is of no interest here, and would be nodes times locations.
        views = [
            location_view(
                location_facts(x), pools[x.spec.pool], (), self._landscape.promised(x.metadata.name)
            )
            for x in listed
        ]
        for family, value_of in _OF_LOCATION:
            values = {(v.pool, v.host): value_of(v) for v in views}
            yield family.collected({labels: value for labels, value in values.items() if value is not None})
        yield UNLISTED.collected({(): len(locations) - len(listed)})


def _used_limit(view: LocationView) -> float | None:
    return view.total_bytes * view.used_limit_percent // 100 if view.total_bytes else None


def _allocated_limit(view: LocationView) -> float | None:
    capacity = planned_bytes(view)
    if capacity is None:
        return None
    return capacity * view.overprovisioning_percent * view.allocated_limit_percent // 10_000


# A location nobody has looked at yet has no sizes: no series is better than a zero, which would look empty or full.
_OF_LOCATION: Final[tuple[tuple[Family, Callable[[LocationView], float | None]], ...]] = (
    (CAPACITY, planned_bytes),
    (FILE_SYSTEM, lambda v: v.total_bytes or None),
    (USED, lambda v: v.total_bytes - v.free_bytes if v.total_bytes else None),
    (USED_LIMIT, _used_limit),
    (ALLOCATED, lambda v: v.allocated_bytes),
    (ALLOCATED_LIMIT, _allocated_limit),
)


def _status(obj: Obj, field: str, unset: str) -> str:
    return str((obj.get("status") or {}).get(field) or unset)


def _unready_since(machine: Obj) -> str | None:
    for condition in (machine.get("status") or {}).get("conditions", ()):
        if condition["type"] == "Ready":
            return None if condition["status"] == "True" else str(condition["lastTransitionTime"])
    return str(machine["metadata"]["creationTimestamp"])


def _golden(pool: StoragePool | None) -> str:
    return str(pool is not None and pool.spec.golden).lower()
