"""How long to wait before the next try."""

from typing import Final

_LARGEST_EXPONENT: Final = 62


def delay(failures: int, unit: float, *, first: float = 1.0, longest: float = 300.0) -> float:
    """Seconds after ``failures`` failed tries in a row: ``first`` doubled each time, at most ``longest``, of which the
    upper half is spread by ``unit`` (a random number, 0 <= unit < 1), so that what failed together returns apart.

    No failure: 0. Raises ValueError for a ``unit`` outside its range.
    """
    if not 0 <= unit < 1:
        raise ValueError(f"{unit!r} is not within [0, 1)")
    if failures <= 0:
        return 0.0
    whole = min(longest, first * (1 << min(failures - 1, _LARGEST_EXPONENT)))
    return whole / 2 + whole / 2 * unit
