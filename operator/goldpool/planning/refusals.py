"""Refusals, kept and brought up to date by what changed.

To say why each of ten thousand locations lost is an exhaustive search. But what a location objects to a machine's first
disk depends on the location, its copies, the hosts and the question alone. So a refusal for want of a place for that disk
stays right, with the changed locations judged anew, until hosts or locations come or go, or one of them is a place.
"""

from dataclasses import dataclass, field
from typing import Final

from goldpool.api.storagepool import Toleration
from goldpool.planning.explanation import half
from goldpool.planning.filters import Ask, reject
from goldpool.planning.index import Index
from goldpool.planning.placement import objections_of
from goldpool.planning.rejections import Rejection, RejectionReason, Unplaceable
from goldpool.planning.views import MachineWish

REFUSALS_KEPT: Final = 1_000
"""Different questions that nothing fits; machines made alike ask the same."""
REJECTIONS_KEPT: Final = 200_000
"""In all refusals together; each takes some 250 bytes."""


class Refusals:
    """What ``find`` answers is what a search would answer now."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._kept: dict[object, _Refusal] = {}
        self._rejections = 0
        self._shape = index.shape

    def find(self, wish: MachineWish, tolerations: list[Toleration]) -> Unplaceable | None:
        """None where only a plan can tell."""
        self._heed()
        if not self._kept:
            return None
        question = _question(wish, tolerations)
        refusal = self._kept.get(question)
        if refusal is None:
            return None
        if refusal.stale and not refusal.revise(self._index):
            self._forget(question)
            return None
        return refusal.answer

    def keep(self, wish: MachineWish, tolerations: list[Toleration], answer: Unplaceable) -> None:
        """``answer``: what the search says of the index as it is."""
        self._heed()
        question = _question(wish, tolerations)
        self._forget(question)
        self._kept[question] = _Refusal(answer, _judged(self._index, wish, tolerations, answer))
        self._rejections += len(answer.rejections)
        while len(self._kept) > REFUSALS_KEPT or (self._rejections > REJECTIONS_KEPT and len(self._kept) > 1):
            self._forget(next(iter(self._kept)))

    def _heed(self) -> None:
        """What happened to the index since."""
        index = self._index
        if self._shape != index.shape:
            self._shape = index.shape
            self._kept.clear()
            self._rejections = 0
        for refusal in self._kept.values():
            refusal.stale |= index.changed
        index.changed.clear()

    def _forget(self, question: object) -> None:
        if (refusal := self._kept.pop(question, None)) is not None:
            self._rejections -= len(refusal.answer.rejections)


@dataclass(slots=True)
class _Judged:
    """What each location objects to the first disk, in the order of the answer."""

    ask: Ask
    anchors: frozenset[str]
    """Locations that decide which hosts may run the machine."""
    rejections: list[Rejection]
    at: dict[str, int]
    """By the location's name, where in ``rejections`` its own is."""


@dataclass(slots=True)
class _Refusal:
    answer: Unplaceable
    judged: _Judged | None
    """None: not about the first disk."""
    stale: set[str] = field(default_factory=set)
    """Locations that changed since."""

    def revise(self, index: Index) -> bool:
        """False: what is kept does not say what is right now."""
        judged = self.judged
        if judged is None or not self.stale.isdisjoint(judged.anchors):
            return False
        fits = False
        for name in self.stale & judged.at.keys():
            location = index.location(name)
            assert location is not None, "its shape would be another"
            rejection = reject(location, judged.ask)
            if rejection is None:
                if not _is_half(judged.ask):
                    return False
                fits, rejection = True, half(location, judged.ask)
            judged.rejections[judged.at[name]] = rejection
        if fits and _meet(index, judged):
            return False
        self.stale.clear()
        self.answer = Unplaceable(tuple(judged.rejections), disk=self.answer.disk)
        return True


def _is_half(ask: Ask) -> bool:
    """One location is not enough for the disk: its parent lies elsewhere."""
    return ask.golden and not ask.disk.medium


def _meet(index: Index, judged: _Judged) -> bool:
    """Whether a host that may run the machine reaches both an ordinary location that would do and a golden one."""
    places: set[str] = set()
    golden: set[str] = set()
    for rejection in judged.rejections:
        if rejection.reason is RejectionReason.NO_GOLDEN_POOL:
            places |= _hosts(index, rejection.location)
        elif rejection.reason is RejectionReason.NO_ORDINARY_POOL:
            golden |= _hosts(index, rejection.location)
    return not judged.ask.hosts.isdisjoint(places & golden)


def _hosts(index: Index, name: str) -> frozenset[str]:
    location = index.location(name)
    return location.hosts if location is not None else frozenset()


def _judged(
    index: Index, wish: MachineWish, tolerations: list[Toleration], answer: Unplaceable
) -> _Judged | None:
    if not wish.disks or answer.disk != wish.disks[0].name:
        return None
    anchored = [x.location.name for x in wish.bound if x.location is not None]
    anchors = frozenset([*anchored, *(x.parent_location for x in wish.bound if x.parent_location)])
    hosts = index.hosts(tolerations)
    at_anchors = [found for name in anchors if (found := index.location(name)) is not None]
    objections = objections_of(wish, hosts, at_anchors)
    feasible = frozenset(h.name for h in hosts) - objections.keys()
    ask = Ask(
        wish.disks[0], wish.avoid, feasible, objections, index.parents, wish.unknown_parent_bytes, wish.namespace
    )  # fmt: skip
    at = {rejection.location: n for n, rejection in enumerate(answer.rejections)}
    return _Judged(ask, anchors, [*answer.rejections], at)


def _question(wish: MachineWish, tolerations: list[Toleration]) -> object:
    """What a refusal depends on: neither the seed nor, as the order does not matter, the namespace's volumes."""
    return (
        wish.disks,
        tuple((x.name, x.location.name if x.location else None, x.parent_location) for x in wish.bound),
        tuple(sorted(wish.node_selector.items())),
        wish.avoid,
        wish.namespace,
        wish.unknown_parent_bytes,
        tuple(sorted(repr(x) for x in tolerations)),
    )
