"""How a place for a disk is told to an allocator, and what orders the places of a medium."""

from goldpool.planning import capacity
from goldpool.planning.allocators import Allocator, Key, Offer
from goldpool.planning.filters import Ask
from goldpool.planning.lot import drawn, point
from goldpool.planning.reservation import rank
from goldpool.planning.views import LocationView


def medium_order(
    ask: Ask, location: LocationView, offer: Offer, allocator: Allocator
) -> tuple[Key, str, str]:
    """Where it already is goes first, whatever the allocator says of disks: its bytes are the same everywhere, and
    another copy is another download."""
    return (rank(ask.parent_at(location)), *allocator(offer)), location.name, location.name


def offer_of(
    ask: Ask, location: LocationView, at: LocationView | None, *, counted: int, number: int, seed_salt: int
) -> Offer:
    """``at``: where the parent is; ``counted``: volumes of the namespace at the location; ``number``: its order by pool
    and host."""
    host = location.host if at is None or not location.shared else at.host
    return Offer(
        promised_free_percent=capacity.promised_free_percent(location),
        unsized=location.unsized,
        free_percent=capacity.free_percent(location),
        parent_rank=0 if at is None else rank(ask.parent_at(at)),
        parent_free_percent=0 if at is None else capacity.promised_free_percent(at),
        namespace_volumes=counted,
        name_rank=number,
        shuffled=tuple(drawn(point(n), seed_salt) for n in (host, location.pool, at.pool if at else "")),
    )


def by_pool_and_host(location: LocationView) -> tuple[str, str, str]:
    """The order of ``firstfit``."""
    return location.pool, location.host, location.name
