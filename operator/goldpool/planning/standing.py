"""How each candidate for a disk stands: which rank it has, or why it is none. For people; it takes its time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from goldpool.planning.figures import figures
from goldpool.planning.filters import Ask, may_hold, may_hold_parent, reject, where
from goldpool.planning.placement import RejectionReason
from goldpool.planning.search import Candidates, Choice
from goldpool.planning.views import LocationView


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate: an ordinary location, with the golden one for its parent where it needs one. ``host`` is ``""``
    for places which are Shared altogether."""

    host: str
    pool: str
    parent_pool: str
    location: str
    parent_location: str
    rank: int | None
    """From 1, in the allocator's order; None where it does not fit."""
    reason: str
    """A ``RejectionReason``, empty for what fits."""
    detail: str
    fallback: bool = False
    """The parent of a golden template beside the disk; such candidates come after all golden ones."""


def standings(candidates: Candidates, disk: int) -> list[Standing]:
    """Every candidate of one disk: first what fits alone, the best first, then the rest by pool and host."""
    ask = candidates.asks[disk]
    found: dict[tuple[str, str], Choice] = {}
    for host in candidates.hosts:
        for choice in candidates.choices(disk, host):
            found.setdefault(choice.order[1:], choice)
    fitting = sorted(found.values(), key=lambda choice: choice.order)
    return [
        *(_fits(choice, n) for n, choice in enumerate(fitting, start=1)),
        *_rejected(candidates, ask, set(found)),
    ]


def followed_by_fallback(golden: list[Standing], beside: list[Standing]) -> list[Standing]:
    """The candidates of one disk with its parent on a golden pool, then those with the parent beside it. A location that
    objects to the disk itself is told once."""
    offset = sum(x.rank is not None for x in golden)
    ranked = [replace(x, rank=x.rank + offset, fallback=True) for x in beside if x.rank is not None]
    told = {(x.location, x.reason) for x in golden if not x.parent_location}
    lost = [
        replace(x, fallback=True) for x in beside if x.rank is None and (x.location, x.reason) not in told
    ]
    return [*golden[:offset], *ranked, *golden[offset:], *lost]


def _fits(choice: Choice, number: int) -> Standing:
    at, location = choice.parent_location, choice.location
    host = location.host or (at.host if at is not None else "")
    return Standing(
        host, location.pool, at.pool if at else "", location.name, at.name if at else "",
        number, "", figures(location, choice.offer.parent_rank if at is not None else None),
    )  # fmt: skip


def _rejected(candidates: Candidates, ask: Ask, fitting: set[tuple[str, str]]) -> Iterator[Standing]:
    golden = [x for x in candidates.locations if ask.golden and may_hold_parent(x, ask)]
    for location in candidates.locations:
        if not may_hold(location, ask):
            continue
        if (rejection := reject(location, ask)) is not None:
            yield _lost(location, None, rejection.reason, rejection.detail)
            continue
        if not ask.golden or ask.disk.medium:
            continue
        hosts = location.hosts & ask.hosts
        above = [x for x in golden if not x.hosts.isdisjoint(location.hosts)]
        for at in above:
            if (location.name, at.name) in fitting:
                continue
            if (rejection := reject(at, ask)) is not None:
                yield _lost(location, at, rejection.reason, rejection.detail)
            elif at.hosts.isdisjoint(hosts):
                yield _lost(
                    location,
                    at,
                    RejectionReason.OUT_OF_REACH,
                    f"no host that may run it reaches {where(at)} too",
                )
        if not above:
            yield _lost(
                location,
                None,
                RejectionReason.NO_GOLDEN_POOL,
                f"{where(location)}: its hosts reach no golden pool",
            )


def _lost(location: LocationView, at: LocationView | None, reason: RejectionReason, detail: str) -> Standing:
    host = location.host or (at.host if at is not None else "")
    return Standing(
        host,
        location.pool,
        at.pool if at else "",
        location.name,
        at.name if at else "",
        None,
        str(reason),
        detail,
    )
