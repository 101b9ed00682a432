"""What a location or a host must satisfy. Each tuple below is a policy, read as a sentence: the first filter that
objects is the reason a person hears."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from goldpool.api.model import human_bytes
from goldpool.planning import capacity
from goldpool.planning.rejections import Rejection, RejectionReason
from goldpool.planning.views import (
    Avoid,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    called,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One disk's question to a location."""

    disk: DiskWish
    avoid: Avoid
    hosts: frozenset[str]
    """Hosts the machine may run on as far as hosts are concerned."""
    objections: Mapping[str, Rejection]
    """Why each other host may not."""
    parents: Mapping[tuple[str, str], ParentView]
    """By (template, location)."""
    unknown_parent_bytes: int
    namespace: str = ""

    def parent_at(self, location: LocationView) -> ParentView | None:
        return self.parents.get((self.disk.template.name, location.name)) if self.disk.template else None

    def parent_bytes_at(self, location: LocationView) -> int:
        """Bytes a parent at this location still has to reserve: none if it has an object, which is charged already."""
        if self.disk.template is None or location.golden != self.golden or self.parent_at(location):
            return 0
        return capacity.parent_bytes(self.disk.template, self.unknown_parent_bytes)

    def file_bytes_at(self, location: LocationView) -> int:
        """Bytes a parent at this location still has to write, as far as known; a failed one starts anew."""
        parent = self.parent_at(location)
        if self.disk.template is None or location.golden != self.golden or (parent and not parent.failed):
            return 0
        return self.disk.template.file_bytes or 0

    @property
    def golden(self) -> bool:
        """Whether the parent lives on a golden pool; else it lies beside the child."""
        return self.disk.template is not None and self.disk.template.golden


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place that a disk of the machine cannot leave."""

    disk: str
    location: LocationView | None


@dataclass(frozen=True, slots=True)
class HostAsk:
    """A machine's question to a host."""

    wish: MachineWish
    anchors: tuple[Anchor, ...]


Filter = Callable[[LocationView, Ask], Rejection | None]
HostFilter = Callable[[HostView, HostAsk], Rejection | None]


def where(location: LocationView) -> str:
    return location.pool if location.shared else f"{location.pool} on {location.host}"


def _rejected(location: LocationView, reason: RejectionReason, detail: str) -> Rejection:
    return Rejection(location.name, reason, f"{where(location)}: {detail}")


def other_than_wished_pool(location: LocationView, ask: Ask) -> Rejection | None:
    wished = {ask.disk.pool}
    if location.golden:
        wished = {ask.disk.parent_pool}
    elif ask.disk.template is not None and not ask.golden:
        wished.add(ask.disk.parent_pool)  # the parent lies beside the child
    others = sorted(pool for pool in wished if pool is not None and pool != location.pool)
    return _rejected(location, RejectionReason.WRONG_POOL, f"{others[0]} was asked for") if others else None


def not_enabled(location: LocationView, _: Ask) -> Rejection | None:
    if location.enabled:
        return None
    return _rejected(location, RejectionReason.POOL_DISABLED, "the pool takes nothing new")


def closed_to_namespace(location: LocationView, ask: Ask) -> Rejection | None:
    if not location.namespaces or ask.namespace in location.namespaces:
        return None
    detail = f"spec.allowedNamespaces does not name {ask.namespace}"
    return _rejected(location, RejectionReason.NAMESPACE_NOT_ALLOWED, detail)


def not_ready(location: LocationView, _: Ask) -> Rejection | None:
    if location.ready:
        return None
    return _rejected(location, RejectionReason.LOCATION_NOT_READY, "see the StorageLocation's conditions")


def out_of_reach(location: LocationView, ask: Ask) -> Rejection | None:
    """No host that may run the machine reaches it; the first of its hosts says why."""
    if not location.hosts.isdisjoint(ask.hosts):
        return None
    if not location.hosts:
        return _rejected(location, RejectionReason.OUT_OF_REACH, "no host reaches it")
    host = min(location.hosts)
    if (objection := ask.objections.get(host)) is None:
        return _rejected(location, RejectionReason.HOST_NOT_READY, f"there is no node {host}")
    return _rejected(location, objection.reason, objection.detail)


def without_tags(location: LocationView, ask: Ask) -> Rejection | None:
    missing = ask.disk.tags - location.tags
    if not missing:
        return None
    return _rejected(location, RejectionReason.WITHOUT_TAGS, f"lacks {', '.join(sorted(missing))}")


def avoided(location: LocationView, ask: Ask) -> Rejection | None:
    if location.name not in ask.avoid.locations:
        return None
    return _rejected(location, RejectionReason.AVOIDED, "see status.avoid")


def above_used_limit(location: LocationView, _: Ask) -> Rejection | None:
    """CloudStack rejects at the limit, not only above it (StorageManagerImpl.checkUsagedSpace)."""
    if not capacity.is_used_above_limit(location):
        return None
    numbers = f"{capacity.used_percent(location)} % used, limit {location.used_limit_percent} %"
    return _rejected(location, RejectionReason.USED_LIMIT, numbers)


def above_used_limit_for_a_fetch(location: LocationView, ask: Ask) -> Rejection | None:
    """A parent that is there, or on its way there, asks nothing of a full location; a failed one starts anew."""
    parent = ask.parent_at(location)
    return above_used_limit(location, ask) if parent is None or parent.failed else None


def above_allocated_limit(location: LocationView, ask: Ask) -> Rejection | None:
    """CloudStack accepts the limit itself (StorageManagerImpl.checkPoolforSpace)."""
    if not capacity.is_allocated_above_limit(location, ask.disk.size_bytes):
        return None
    return _rejected(location, RejectionReason.ALLOCATED_LIMIT, _promise(location, ask.disk.size_bytes))


def out_of_iops(location: LocationView, ask: Ask) -> Rejection | None:
    if not capacity.is_out_of_iops(location, ask.disk.iops):
        return None
    numbers = f"{location.allocated_iops} of {location.capacity_iops} promised, {ask.disk.iops} asked"
    return _rejected(location, RejectionReason.IOPS, numbers)


def no_room_for_parent(location: LocationView, ask: Ask) -> Rejection | None:
    """A parent not yet there must fit both what may be promised and, when its file's size is known, what is free."""
    parent = ask.parent_bytes_at(location)
    asked = parent if location.golden else ask.disk.size_bytes + parent
    needs_room = parent > 0 or (location.golden and ask.parent_at(location) is None)
    if needs_room and capacity.is_allocated_above_limit(location, asked):
        return _rejected(location, RejectionReason.NO_ROOM_FOR_PARENT, _promise(location, asked))
    file_bytes = ask.file_bytes_at(location)
    if file_bytes and capacity.has_no_space_for_file(location, file_bytes):
        coming = f", {human_bytes(location.fetching_bytes)} on their way" if location.fetching_bytes else ""
        numbers = f"{human_bytes(file_bytes)} to fetch, {human_bytes(location.free_bytes)} free{coming}"
        return _rejected(location, RejectionReason.NO_ROOM_FOR_PARENT, numbers)
    return None


def _promise(location: LocationView, asked: int) -> str:
    percent = capacity.allocated_percent(location, asked)
    if percent is None:
        return "its capacity is 0"
    room = human_bytes((capacity.planned_bytes(location) or 0) * location.overprovisioning_percent // 100)
    limit = f"limit {location.allocated_limit_percent} %"
    return f"{percent} % of {room} promised with {human_bytes(asked)} more, {limit}"


ORDINARY_FILTERS: Final[tuple[Filter, ...]] = (
    other_than_wished_pool,
    not_enabled,
    closed_to_namespace,
    not_ready,
    out_of_reach,
    without_tags,
    avoided,
    above_used_limit,
    above_allocated_limit,
    out_of_iops,
    no_room_for_parent,
)
GOLDEN_FILTERS: Final[tuple[Filter, ...]] = (
    other_than_wished_pool,
    not_enabled,
    closed_to_namespace,
    not_ready,
    out_of_reach,
    avoided,
    above_used_limit_for_a_fetch,
    no_room_for_parent,
)


def reject(location: LocationView, ask: Ask) -> Rejection | None:
    """The first objection to the location: to the disk on an ordinary pool, to its parent on a golden one. Whether a
    location may hold a disk or a parent at all is not asked here: see ``may_hold`` and ``may_hold_parent``."""
    filters = GOLDEN_FILTERS if location.golden else ORDINARY_FILTERS
    for objects in filters:
        if (rejection := objects(location, ask)) is not None:
            return rejection
    return None


_IN_REACH: Final = tuple(
    tuple(objects for objects in filters if objects is not out_of_reach)
    for filters in (ORDINARY_FILTERS, GOLDEN_FILTERS)
)


def reject_in_reach(location: LocationView, ask: Ask) -> Rejection | None:
    """As ``reject``, for a location that is known to be in reach of a host that may run the machine."""
    for objects in _IN_REACH[location.golden]:
        if (rejection := objects(location, ask)) is not None:
            return rejection
    return None


def may_hold(location: LocationView, ask: Ask) -> bool:
    """Golden pools hold parents and nothing else. A medium is a parent, and lies where its like do."""
    return may_hold_parent(location, ask) if ask.disk.medium else not location.golden


def may_hold_parent(location: LocationView, ask: Ask) -> bool:
    """Golden parents live on golden pools only, all others on ordinary ones."""
    return ask.disk.template is not None and location.golden == ask.golden


def anchored_elsewhere(host: HostView, ask: HostAsk) -> Rejection | None:
    """A disk whose place is not known now may be anywhere, so no host is right until it is."""
    for anchor in ask.anchors:
        if anchor.location is None:
            detail = f"the location of {called(anchor.disk)} is not known"
            return Rejection(host.name, RejectionReason.LOCATION_NOT_READY, detail)
        if host.name not in anchor.location.hosts:
            detail = f"{called(anchor.disk)} needs {where(anchor.location)}, out of reach of {host.name}"
            return Rejection(host.name, RejectionReason.OUT_OF_REACH, detail)
    return None


def other_than_wished_host(host: HostView, ask: HostAsk) -> Rejection | None:
    for disk in ask.wish.disks:
        if disk.host and disk.host != host.name:
            detail = f"{disk.host} was asked for, not {host.name}"
            return Rejection(host.name, RejectionReason.OUT_OF_REACH, detail)
    return None


def host_not_ready(host: HostView, _: HostAsk) -> Rejection | None:
    if host.ready:
        return None
    return Rejection(host.name, RejectionReason.HOST_NOT_READY, f"{host.name} is not ready")


def cordoned(host: HostView, _: HostAsk) -> Rejection | None:
    if host.schedulable:
        return None
    return Rejection(host.name, RejectionReason.HOST_CORDONED, f"{host.name} is cordoned")


def tainted(host: HostView, _: HostAsk) -> Rejection | None:
    if not host.tainted:
        return None
    detail = f"{host.name} has a taint that is not tolerated"
    return Rejection(host.name, RejectionReason.HOST_TAINTED, detail)


def not_selected(host: HostView, ask: HostAsk) -> Rejection | None:
    for key, value in sorted(ask.wish.node_selector.items()):
        if host.labels.get(key) != value:
            detail = f"{host.name} is not labelled {key}={value}"
            return Rejection(host.name, RejectionReason.NODE_SELECTOR_MISMATCH, detail)
    return None


def avoided_host(host: HostView, ask: HostAsk) -> Rejection | None:
    if host.name not in ask.wish.avoid.hosts:
        return None
    return Rejection(host.name, RejectionReason.AVOIDED, f"{host.name} is in status.avoid")


def anchor_not_ready(host: HostView, ask: HostAsk) -> Rejection | None:
    for anchor in ask.anchors:
        if anchor.location is not None and not anchor.location.ready:
            detail = f"{called(anchor.disk)} needs {where(anchor.location)}, which is not ready"
            return Rejection(host.name, RejectionReason.LOCATION_NOT_READY, detail)
    return None


HOST_FILTERS: Final[tuple[HostFilter, ...]] = (
    anchored_elsewhere,
    other_than_wished_host,
    host_not_ready,
    cordoned,
    tainted,
    not_selected,
    avoided_host,
    anchor_not_ready,
)


def reject_host(host: HostView, ask: HostAsk) -> Rejection | None:
    for objects in HOST_FILTERS:
        if (rejection := objects(host, ask)) is not None:
            return rejection
    return None
