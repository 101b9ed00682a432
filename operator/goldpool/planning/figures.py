"""The figures that allocators compare, as a person reads them."""

from typing import Final

from goldpool.planning import capacity
from goldpool.planning.views import LocationView

_PARENT: Final = ("is there", "is on its way", "has to be fetched", "failed there")


def figures(location: LocationView, parent_rank: int | None, parent: str = "") -> str:
    """``parent_rank``: as ``reservation.rank`` says; None where no parent is needed. ``parent``: its name, if it has one."""
    parts = [f"{_percent(capacity.promised_free_percent(location))} not promised"]
    if location.unsized:
        parts.append(f"{location.unsized} of unknown size")
    if parent_rank is not None:
        parts.append(f"the parent {f'{parent} ' if parent else ''}{_PARENT[parent_rank]}")
    parts.append(f"{_percent(capacity.free_percent(location))} free")
    return ", ".join(parts)


def _percent(number: int) -> str:
    return "an unknown part" if number < 0 else f"{number} %"
