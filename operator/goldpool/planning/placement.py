"""Where a machine's disks and their parents go: pure, deterministic for a seed, explained when nothing fits."""

from collections.abc import Mapping, Sequence

from goldpool.planning.allocators import (
    Allocator,
    Offer,
    firstfit,
    firstfitleastconsumed,
    random,
    userdispersing,
)
from goldpool.planning.explanation import explain, no_host
from goldpool.planning.filters import Anchor, Ask, HostAsk, reject_host
from goldpool.planning.rejections import Rejection, RejectionReason, Unplaceable
from goldpool.planning.reservation import Assumed, by_place
from goldpool.planning.search import Candidates, Solution
from goldpool.planning.views import (
    Avoid,
    BoundDisk,
    DiskPlacement,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    TemplateView,
)

__all__ = [
    "Allocator",
    "Assumed",
    "Avoid",
    "BoundDisk",
    "DiskPlacement",
    "DiskWish",
    "HostView",
    "LocationView",
    "MachineWish",
    "Offer",
    "ParentView",
    "Placement",
    "Rejection",
    "RejectionReason",
    "TemplateView",
    "Unplaceable",
    "firstfit",
    "firstfitleastconsumed",
    "place",
    "random",
    "userdispersing",
]


def place(
    wish: MachineWish,
    hosts: Sequence[HostView],
    locations: Sequence[LocationView],
    parents: Sequence[ParentView],
    *,
    seed: int,
    allocator: Allocator = firstfitleastconsumed,
) -> Placement | Unplaceable:
    """Places for all disks of ``wish`` that hold all filters together, on hosts that reach them and the bound disks.

    The same answer for the same seed, whatever the order of the input. Without disks it answers where the machine may
    run with what is bound. The host follows from the first disk's place as ``allocator`` ranks it; where every place is
    Shared, all feasible hosts are named and kube-scheduler chooses.
    """
    objections = objections_of(wish, hosts, locations)
    feasible = frozenset(h.name for h in hosts) - objections.keys()
    if not wish.disks:
        return Placement((), tuple(sorted(feasible))) if feasible else no_host(objections)
    candidates = candidates_of(wish, feasible, objections, locations, parents, seed=seed, allocator=allocator)
    solution = candidates.best()
    if solution is None:
        return explain(candidates, feasible, objections)
    disks = tuple(choice.placed(disk) for disk, choice in zip(wish.disks, solution.choices, strict=True))
    return Placement(disks, _hosts(solution, feasible))


def objections_of(
    wish: MachineWish, hosts: Sequence[HostView], locations: Sequence[LocationView]
) -> dict[str, Rejection]:
    """Why each host that may not run the machine may not."""
    host_ask = HostAsk(wish, _anchors(wish, locations))
    return {h.name: r for h in hosts if (r := reject_host(h, host_ask)) is not None}


def candidates_of(
    wish: MachineWish,
    feasible: frozenset[str],
    objections: Mapping[str, Rejection],
    locations: Sequence[LocationView],
    parents: Sequence[ParentView],
    *,
    seed: int,
    allocator: Allocator,
) -> Candidates:
    known = by_place(parents)
    asks = [
        Ask(disk, wish.avoid, feasible, objections, known, wish.unknown_parent_bytes, wish.namespace)
        for disk in wish.disks
    ]
    return Candidates(wish, asks, locations, known, seed=seed, allocator=allocator)


def _anchors(wish: MachineWish, locations: Sequence[LocationView]) -> tuple[Anchor, ...]:
    """The places of the bound disks and of their parents."""
    by_name = {location.name: location for location in locations} if wish.bound else {}
    anchors: list[Anchor] = []
    for disk in wish.bound:
        anchors.append(Anchor(disk.name, disk.location))
        if disk.parent_location is not None:
            anchors.append(Anchor(disk.name, by_name.get(disk.parent_location)))
    return tuple(anchors)


def _hosts(solution: Solution, feasible: frozenset[str]) -> tuple[str, ...]:
    places = [location for choice in solution.choices for location in choice.locations]
    if not all(location.shared for location in places):
        return (solution.host,)
    return tuple(sorted(feasible.intersection(*(location.hosts for location in places))))
