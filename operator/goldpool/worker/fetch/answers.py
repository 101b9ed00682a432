"""What each mirror answered, and what all their failures add up to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.contracts.source import MIRROR_LIMIT, MirrorResult
from goldpool.worker.failures import OperationFailed, shortened
from goldpool.worker.fetch.metalink import Skipped
from goldpool.worker.fetch.policy import MirrorFailed, origin

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
    {
        FailureReason.CHECKSUM_MISMATCH,
        FailureReason.REVISION_MISMATCH,
        FailureReason.SIZE_MISMATCH,
        FailureReason.METALINK_INVALID,
        FailureReason.SOURCE_CORRUPT,
    }
)
"""One wrong body may be a bad transfer; the same wrong body again is what the mirror has."""
_PASSING: Final = (
    FailureReason.TRANSFER_INCOMPLETE,
    FailureReason.SOURCE_UNREACHABLE,
    FailureReason.SOURCE_REFUSED,
    FailureReason.TLS_FAILED,
    FailureReason.ADDRESS_REFUSED,
)


@dataclass
class _Tries:
    failures: list[MirrorFailed] = field(default_factory=list)
    passed: bool = False
    """Its last answer was good: a metalink that could be read, or the mirror that delivered."""


class Answers:
    """Kept while a fetch goes on, so that whatever ends it can be told with all that was tried."""

    def __init__(self) -> None:
        self._tries: dict[str, _Tries] = {}
        self._delivered = ""
        self._skipped: dict[Skipped, None] = {}

    def failed(self, url: str, failure: MirrorFailed) -> None:
        tries = self._tries.setdefault(url, _Tries())
        tries.failures.append(failure)
        tries.passed = False

    def read(self, document: str, skipped: Iterable[Skipped]) -> None:
        """A metalink said where to go, and what of it is of no use."""
        if document in self._tries:
            self._tries[document].passed = True
        self._skipped.update(dict.fromkeys(skipped))

    def delivered(self, url: str) -> None:
        self._tries.setdefault(url, _Tries()).passed = True
        self._delivered = url

    def asked_before(self, url: str) -> bool:
        return url in self._tries

    def hopeless(self, url: str) -> bool:
        """It would say the same again."""
        tries = self._tries.get(url)
        return tries is not None and bool(tries.failures) and tries.failures[-1].reason in FINAL_AT_ONCE

    def results(self) -> tuple[tuple[MirrorResult, ...], int]:
        """One for each mirror in the order they were first asked, then what was skipped; the first ten of them, the one
        that delivered always among them, and how many there are."""
        every = [self._result(url, tries) for url, tries in self._tries.items()]
        kept = MIRROR_LIMIT
        if self._delivered and (place := list(self._tries).index(self._delivered)) >= kept:
            every.insert(kept - 1, every.pop(place))
        every += [
            MirrorResult(
                mirror=one.what, reason=FailureReason.UNSUPPORTED, message=shortened(one.why, 256), attempts=0
            )
            for one in self._skipped
        ]
        return tuple(every[:kept]), len(every)

    def _result(self, url: str, tries: _Tries) -> MirrorResult:
        shown, asked = shortened(origin(url), 200), len(tries.failures) + (url == self._delivered)
        if url == self._delivered or not tries.failures:
            return MirrorResult(mirror=shown, attempts=asked)
        last = tries.failures[-1]
        return MirrorResult(
            mirror=shown, reason=last.reason, message=shortened(last.message, 256), attempts=asked
        )

    def conclusion(self) -> OperationFailed:
        """When nobody delivered: permanent only if it is so for every mirror; else the reason that says most about the
        way."""
        tries = {url: each.failures for url, each in self._tries.items() if each.failures and not each.passed}
        if not tries:
            return OperationFailed(FailureReason.UNSUPPORTED, "the template has no mirror to fetch from")
        message = "; ".join(f"{origin(url)}: {failures[-1].message}" for url, failures in tries.items())
        finals = [final(failures) for failures in tries.values()]
        known = [reason for reason in finals if reason is not None]
        if len(known) == len(finals):
            # What a mirror delivered says more than that another could not be asked.
            return OperationFailed(
                min(known, key=lambda reason: reason is FailureReason.UNSUPPORTED), message
            )
        passing = {_passing(failures[-1].reason) for failures in tries.values() if final(failures) is None}
        return OperationFailed(next(reason for reason in _PASSING if reason in passing), message)


def final(tries: Sequence[MirrorFailed]) -> FailureReason | None:
    """What one mirror will answer for ever, or None. Only bodies taken from zero count: at least two, and all with the
    same ``digest``. One that cannot be expanded is given up before it has a digest."""
    if tries[-1].reason in FINAL_AT_ONCE:
        return tries[-1].reason
    counted = (one for one in tries if one.reason in FINAL_WHEN_REPEATED)
    whole = [one for one in counted if one.digest or one.reason is FailureReason.SOURCE_CORRUPT]
    repeated = len(whole) > 1 and len({(one.reason, one.digest) for one in whole}) == 1
    return whole[-1].reason if repeated else None


def _passing(reason: FailureReason) -> FailureReason:
    return reason if reason in _PASSING else FailureReason.TRANSFER_INCOMPLETE
