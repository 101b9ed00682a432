"""How much of a location is promised and used: integer arithmetic on bytes, IOPS and percent.

The boundary rules are CloudStack's (StorageManagerImpl): at its used limit a location is full (``>=``), at its
allocated limit it is not yet (``>``).
"""

from dataclasses import replace

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


def promised_free_percent(location: LocationView) -> int:
    """Free part of the over-provisioned capacity, rounded down, never below 0; -1 is unknown."""
    percent = allocated_percent(location, 0)
    return -1 if percent is None else max(0, 100 - percent)


def room_bytes(location: LocationView) -> int | None:
    """How much more may be promised, exactly as ``is_allocated_above_limit`` decides it; None is without limit."""
    capacity = planned_bytes(location)
    if capacity is None:
        return None
    whole = capacity * location.overprovisioning_percent * location.allocated_limit_percent
    return whole // 10_000 - location.allocated_bytes


def free_percent(location: LocationView) -> int:
    """Free part of the file system; -1 is unknown."""
    return location.free_bytes * 100 // location.total_bytes if location.total_bytes > 0 else -1


def parent_bytes(template: TemplateView, unknown_parent_bytes: int) -> int:
    """What a parent that is not there yet reserves: its virtual size, else its file's, else the caller's largest."""
    for known in (template.virtual_bytes, template.file_bytes):
        if known is not None:
            return known
    return unknown_parent_bytes


def reserve(
    location: LocationView, *, allocated: int = 0, iops: int = 0, fetching: int = 0, unsized: int = 0
) -> LocationView:
    """The location as it will be once a placement is observed."""
    return replace(
        location,
        allocated_bytes=location.allocated_bytes + allocated,
        allocated_iops=location.allocated_iops + iops,
        fetching_bytes=location.fetching_bytes + fetching,
        unsized=location.unsized + unsized,
    )
