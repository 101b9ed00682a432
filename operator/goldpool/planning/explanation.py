"""Why no host and no location fit: asked only when they do not, so it may take its time."""

from collections.abc import Mapping

from goldpool.planning.filters import Ask, may_hold, may_hold_parent, reject, where
from goldpool.planning.rejections import Rejection, RejectionReason, Unplaceable
from goldpool.planning.search import Candidates
from goldpool.planning.views import LocationView, called


def no_host(objections: Mapping[str, Rejection]) -> Unplaceable:
    """No host may run the machine with what is bound already."""
    return Unplaceable(tuple(objections[name] for name in sorted(objections)), candidates="hosts")


def explain(
    candidates: Candidates, feasible: frozenset[str], objections: Mapping[str, Rejection]
) -> Unplaceable:
    """About the first disk that no host can take even alone; else, per host, why it cannot take all of them."""
    hosts = sorted(feasible)
    for n, ask in enumerate(candidates.asks):
        if not any(candidates.choices(n, host) for host in hosts):
            return _about(ask, candidates.locations)
    rejections = dict(objections) | {host: _apart(candidates, host) for host in hosts}
    return no_host(rejections)


def _about(ask: Ask, locations: list[LocationView]) -> Unplaceable:
    concerned = [loc for loc in locations if may_hold(loc, ask) or may_hold_parent(loc, ask)]
    rejections = tuple(reject(loc, ask) or half(loc, ask) for loc in concerned)
    return Unplaceable(rejections, disk=ask.disk.name)


def half(location: LocationView, ask: Ask) -> Rejection:
    """The location itself would do; what it needs besides, its hosts do not reach."""
    template = ask.disk.template
    if location.golden:
        detail = f"{where(location)}: its hosts reach no ordinary location that fits"
        return Rejection(location.name, RejectionReason.NO_ORDINARY_POOL, detail)
    detail = f"{where(location)}: no golden location in reach holds or can take {template.name if template else ''}"
    return Rejection(location.name, RejectionReason.NO_GOLDEN_POOL, detail)


def _apart(candidates: Candidates, host: str) -> Rejection:
    for n, ask in enumerate(candidates.asks):
        if not candidates.choices(n, host):
            detail = f"{host} has no place for {called(ask.disk.name)}"
            return Rejection(host, RejectionReason.NOT_TOGETHER, detail)
    names = ", ".join(ask.disk.name for ask in candidates.asks)
    return Rejection(
        host, RejectionReason.NOT_TOGETHER, f"{host} has places for each of {names}, but not for all"
    )
