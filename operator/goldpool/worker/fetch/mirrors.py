"""The attempt x mirror loop, and what its failures add up to.

A mirror that fails gives way to the next one, a wrong digest too; an attempt is one round over all mirrors.
Source: CloudStack's direct download (3 validations), metalink clients measured with the opposite order.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from goldpool.contracts.operations import FailureReason
from goldpool.contracts.source import Mirror
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.policy import MirrorFailed, origin, unfetchable
from goldpool.worker.log import log

T = TypeVar("T")

FINAL_AT_ONCE: Final = frozenset(
    {
        FailureReason.UNSUPPORTED,
        FailureReason.TOO_LARGE,
        FailureReason.WRONG_FORMAT,
        FailureReason.UNSAFE_IMAGE,
    }
)
"""A mirror that failed like this is not asked again: it would say the same."""
FINAL_WHEN_REPEATED: Final = frozenset(
    {FailureReason.CHECKSUM_MISMATCH, FailureReason.REVISION_MISMATCH, FailureReason.SOURCE_CORRUPT}
)
"""One wrong digest may be a bad transfer; the same wrong digest again is what the mirror has."""
_PASSING: Final = (
    FailureReason.TRANSFER_INCOMPLETE,
    FailureReason.SOURCE_UNREACHABLE,
    FailureReason.SOURCE_REFUSED,
    FailureReason.TLS_FAILED,
    FailureReason.ADDRESS_REFUSED,
)


def first_good(
    mirrors: Sequence[Mirror], attempts: int, deadline: float, one: Callable[[Mirror], T]
) -> tuple[T, Mirror, int]:
    """What the first mirror that delivers brought, the mirror, and the attempt (from 1).

    ``one`` raises ``MirrorFailed`` to go on and anything else to stop. ``OperationFailed`` names every mirror.
    """
    failures: dict[int, list[MirrorFailed]] = {}
    for place, mirror in enumerate(mirrors):
        if (objection := unfetchable(mirror.url)) is not None:
            failures[place] = [MirrorFailed(FailureReason.UNSUPPORTED, objection)]
    for attempt in range(1, attempts + 1):
        for place, mirror in enumerate(mirrors):
            tries = failures.get(place, [])
            if tries and (tries[-1].reason in FINAL_AT_ONCE or time.monotonic() >= deadline):
                continue
            try:
                return one(mirror), mirror, attempt
            except MirrorFailed as failed:
                failures.setdefault(place, []).append(failed)
                log("mirror failed", mirror=origin(mirror.url), attempt=attempt, reason=failed.reason,
                    message=failed.message)  # fmt: skip
    raise conclude(mirrors, failures)


def conclude(mirrors: Sequence[Mirror], failures: Mapping[int, Sequence[MirrorFailed]]) -> OperationFailed:
    """Permanent only if it is so for every mirror; else the reason that says most about the way."""
    if not mirrors:
        return OperationFailed(FailureReason.UNSUPPORTED, "the template has no mirror to fetch from")
    finals = [final(tries) for tries in failures.values()]
    message = "; ".join(
        f"{origin(mirrors[place].url)}: {tries[-1].message}" for place, tries in sorted(failures.items())
    )
    known = [reason for reason in finals if reason is not None]
    if len(known) == len(finals):
        # What a mirror delivered says more than that another could not be asked.
        return OperationFailed(min(known, key=lambda reason: reason is FailureReason.UNSUPPORTED), message)
    passing = {_passing(tries[-1].reason) for tries in failures.values() if final(tries) is None}
    return OperationFailed(next(reason for reason in _PASSING if reason in passing), message)


def final(tries: Sequence[MirrorFailed]) -> FailureReason | None:
    """What one mirror will answer for ever, or None."""
    last = tries[-1]
    if last.reason in FINAL_AT_ONCE:
        return last.reason
    repeated = len(tries) > 1 and len({(one.reason, one.digest) for one in tries}) == 1
    return last.reason if last.reason in FINAL_WHEN_REPEATED and repeated else None


def _passing(reason: FailureReason) -> FailureReason:
    return reason if reason in _PASSING else FailureReason.TRANSFER_INCOMPLETE
