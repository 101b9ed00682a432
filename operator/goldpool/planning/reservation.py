"""What a placement takes, so that the next plan sees it before the API server does."""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Final

from goldpool.planning import capacity
from goldpool.planning.views import (
    DiskPlacement,
    DiskWish,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
)


@dataclass(frozen=True, slots=True)
class Assumed:
    """Locations by name and parents by (template, location), as they will be once what was planned is observed."""

    locations: Mapping[str, LocationView]
    parents: Mapping[tuple[str, str], ParentView]

    @classmethod
    def of(cls, locations: Iterable[LocationView], parents: Iterable[ParentView]) -> "Assumed":
        return cls({loc.name: loc for loc in locations}, by_place(parents))

    def after(self, wish: MachineWish, placement: Placement) -> "Assumed":
        """With all disks of ``placement``, an answer to ``wish``, reserved. Guarantees that no limit that held before
        is exceeded, provided the placement was planned over this very snapshot."""
        locations, parents = dict(self.locations), dict(self.parents)
        disks = {disk.name: disk for disk in wish.disks}
        for placed in placement.disks:
            charge(disks[placed.disk], placed, locations, parents, wish.unknown_parent_bytes)
        return Assumed(locations, parents)


def by_place(parents: Iterable[ParentView]) -> dict[tuple[str, str], ParentView]:
    """By (template, location). Of two copies at one place the better one counts, whatever their order."""
    found: dict[tuple[str, str], ParentView] = {}
    for parent in parents:
        place = (parent.template, parent.location)
        if place not in found or rank(parent) < rank(found[place]):
            found[place] = parent
    return found


RANKS: Final = (0, 1, 2, 3)


def rank(parent: ParentView | None) -> int:
    """0 Ready, 1 on its way, 2 not there, 3 failed."""
    if parent is None:
        return 2
    return 0 if parent.ready else 3 if parent.failed else 1


def charge(
    disk: DiskWish,
    placed: DiskPlacement,
    locations: MutableMapping[str, LocationView],
    parents: MutableMapping[tuple[str, str], ParentView],
    unknown_parent_bytes: int,
) -> None:
    """Take one disk, and its parent where it has none yet, from ``locations`` and add to ``parents``, in place."""
    if not disk.medium:
        locations[placed.location] = capacity.reserve(
            locations[placed.location],
            allocated=disk.size_bytes,
            iops=disk.iops,
            unsized=0 if disk.size_bytes else 1,
        )
    if disk.template is None or placed.parent_location is None:
        return
    place = (disk.template.name, placed.parent_location)
    parent = parents.get(place)
    if parent is not None and not parent.failed:
        return
    locations[placed.parent_location] = capacity.reserve(
        locations[placed.parent_location],
        allocated=0 if parent is not None else capacity.parent_bytes(disk.template, unknown_parent_bytes),
        fetching=disk.template.file_bytes or 0,
    )
    parents[place] = ParentView(disk.template.name, placed.parent_location, ready=False)
