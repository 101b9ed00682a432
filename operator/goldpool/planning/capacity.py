"""What is promised at a location and how much of it is used: integer arithmetic on bytes, IOPS and percent.

The boundary rules are CloudStack's (StorageManagerImpl): at its used limit a location is full (``>=``), at its
allocated limit it is not yet (``>``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from goldpool.api.parent import Parent, ParentState
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.references import bound, template_of
from goldpool.planning.views import LocationView, TemplateView


def planned_bytes(location: LocationView) -> int | None:
    """What planning may count on before over-provisioning: the declared capacity, else the disk; None is unknown."""
    if location.capacity_bytes is not None:
        return location.capacity_bytes
    return location.total_bytes or None


def used_percent(location: LocationView) -> int:
    """Used part of the file system, rounded down, so that it reaches a limit exactly when the filter does."""
    return (location.total_bytes - location.free_bytes) * 100 // location.total_bytes


def is_used_above_limit(location: LocationView) -> bool:
    used = location.total_bytes - location.free_bytes
    return location.total_bytes > 0 and used * 100 >= location.used_limit_percent * location.total_bytes


def allocated_percent(location: LocationView, asked: int) -> int | None:
    """Promised part of the over-provisioned capacity with ``asked`` bytes more, rounded up, so that it exceeds a limit
    exactly when the filter does. None: capacity unknown, or nothing to divide by."""
    whole = (planned_bytes(location) or 0) * location.overprovisioning_percent
    return -(-(location.allocated_bytes + asked) * 10_000 // whole) if whole else None


def is_allocated_above_limit(location: LocationView, asked: int) -> bool:
    """Whether ``asked`` bytes more exceed the limit. An unknown capacity is not exceeded."""
    capacity = planned_bytes(location)
    if capacity is None:
        return False
    whole = capacity * location.overprovisioning_percent * location.allocated_limit_percent
    return (location.allocated_bytes + asked) * 10_000 > whole


def is_out_of_iops(location: LocationView, asked: int) -> bool:
    return location.capacity_iops is not None and location.allocated_iops + asked > location.capacity_iops


def has_no_space_for_file(location: LocationView, file_bytes: int) -> bool:
    """A parent is fetched whole, so over-provisioning does not help it; what is on its way counts as there."""
    return location.total_bytes > 0 and location.fetching_bytes + file_bytes > location.free_bytes


def promised_free_percent(location: LocationView, asked: int) -> int:
    """Free part of the over-provisioned capacity after ``asked`` bytes, rounded down, never below 0; -1 is unknown."""
    percent = allocated_percent(location, asked)
    return -1 if percent is None else max(0, 100 - percent)


def free_percent(location: LocationView) -> int:
    """Free part of the file system; -1 is unknown."""
    return location.free_bytes * 100 // location.total_bytes if location.total_bytes > 0 else -1


def parent_bytes(template: TemplateView, unknown_parent_bytes: int) -> int:
    """What a parent that is not there yet reserves: its virtual size, else its file's, else the caller's largest."""
    for known in (template.virtual_bytes, template.file_bytes):
        if known is not None:
            return known
    return unknown_parent_bytes


def reserve(location: LocationView, *, allocated: int = 0, iops: int = 0, fetching: int = 0) -> LocationView:
    """The location as it will be once a placement is observed."""
    return replace(
        location,
        allocated_bytes=location.allocated_bytes + allocated,
        allocated_iops=location.allocated_iops + iops,
        fetching_bytes=location.fetching_bytes + fetching,
    )


@dataclass(frozen=True, slots=True)
class Promised:
    """Sums at one location; the fields of ``LocationView`` of the same meaning."""

    allocated_bytes: int = 0
    allocated_iops: int = 0
    fetching_bytes: int = 0

    def __add__(self, other: "Promised") -> "Promised":
        return Promised(
            self.allocated_bytes + other.allocated_bytes,
            self.allocated_iops + other.allocated_iops,
            self.fetching_bytes + other.fetching_bytes,
        )


def largest_template_bytes(templates: Iterable[Template]) -> int:
    """What a template of unknown size reserves; 0 when no size is known."""
    return max(map(template_bytes, templates), default=0)


def promised(
    volumes: Iterable[Volume],
    parents: Iterable[Parent],
    locations: Iterable[StorageLocation],
    templates: Mapping[str, Template],
) -> dict[str, Promised]:
    """What is promised per location name: bound volumes, parents, and parents that a binding needs and that have no
    object yet. Objects being deleted count until they are gone, because their bytes do."""
    names = {(loc.spec.pool, loc.spec.host): loc.metadata.name for loc in locations}
    unknown = largest_template_bytes(templates.values())
    sums = dict.fromkeys(names.values(), Promised())
    known: set[tuple[str, str]] = set()
    for parent in parents:
        known.add((parent.spec.template, parent.spec.location))
        _add(sums, parent.spec.location, _promised_by_parent(parent, templates, unknown))
    for volume in volumes:
        if not bound(volume) or volume.spec.placement is None:
            continue
        place, name = volume.spec.placement, template_of(volume)
        template = templates.get(name) if name is not None else None
        size = volume_bytes(volume, template, unknown)
        at = names.get((place.pool or "", place.host or "")) or names.get((place.pool or "", ""))
        _add(sums, at, Promised(size, volume.spec.iops or 0))
        at = _parent_location(volume, names)
        if name is not None and at is not None and (name, at) not in known:
            known.add((name, at))
            _add(sums, at, Promised(template_bytes(template) or unknown, 0, _file_bytes(template)))
    return sums


def volume_bytes(volume: Volume, template: Template | None, unknown: int) -> int:
    """Size of a volume's disk: its own, else what was made, else its template's as far as known."""
    return volume.spec.size or volume.status.capacity or template_bytes(template) or unknown


def template_bytes(template: Template | None) -> int:
    """Virtual size of a template, else its file's; 0 is not known."""
    return (template.status.virtual_size or template.status.size or 0) if template is not None else 0


def _file_bytes(template: Template | None) -> int:
    return (template.status.size or 0) if template is not None else 0


def _add(sums: dict[str, Promised], location: str | None, more: Promised) -> None:
    if location is not None:
        sums[location] = sums.get(location, Promised()) + more


def _promised_by_parent(parent: Parent, templates: Mapping[str, Template], unknown: int) -> Promised:
    status, template = parent.status, templates.get(parent.spec.template)
    size = status.virtual_size or template_bytes(template) or status.size or status.expected or unknown
    if status.state in (ParentState.PUBLISHED, ParentState.READY, ParentState.RETIRING):
        return Promised(size)
    whole = status.expected or _file_bytes(template)
    return Promised(size, 0, max(0, whole - (status.done or 0)))


def _parent_location(volume: Volume, names: Mapping[tuple[str, str], str]) -> str | None:
    if volume.status.parent_location and volume.status.storage_id == volume.spec.storage_id:
        return volume.status.parent_location
    place = volume.spec.placement
    if place is None:
        return None
    pool = place.parent_pool or place.pool or ""
    return names.get((pool, place.host or "")) or names.get((pool, ""))
