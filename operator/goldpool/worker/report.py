"""Making a report fit where it must go: the kubelet keeps the last 4,096 bytes of a termination message."""

import itertools
from collections.abc import Iterator

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.report import TERMINATION_MESSAGE_LIMIT, Failure, Report
from goldpool.contracts.source import MirrorResult
from goldpool.worker.failures import shortened


def encoded(report: Report, limit: int = TERMINATION_MESSAGE_LIMIT) -> bytes:
    """The report as JSON of at most ``limit`` bytes that always parses.

    What goes first is what helps least: long texts of mirrors and failures, then all of them, then mirrors, then
    failures (counted in ``omitted``, so that they are asked again), and only then what is known of locations.
    """
    return next(data for smaller in _ever_smaller(report) if len(data := smaller.to_json().encode()) <= limit)


def _ever_smaller(report: Report) -> Iterator[Report]:
    yield report
    for length in (160, 60, 0):
        # The one sentence about a fetch names what its mirrors would say at length.
        report = report.replace(mirrors=tuple(_told(one, length) for one in report.mirrors))
        yield report
    for length in (160, 60, 0):
        yield _with(report, [_cut(failure, length) for failure in report.failures], report.locations)
    for kept in range(len(report.mirrors) - 1, -1, -1):
        report = report.replace(mirrors=report.mirrors[:kept])
        yield _with(report, [_cut(failure, 0) for failure in report.failures], report.locations)
    silent = [_cut(failure, 0) for failure in report.failures]
    locations = report.locations
    for kept in range(len(silent) - 1, -1, -1):
        yield _with(report, silent[:kept], locations)
    locations = tuple(facts.replace(message=shortened(facts.message, 60)) for facts in locations)
    for kept in itertools.chain(range(len(locations), -1, -1)):
        yield _with(report, [], locations[:kept])
    # A bitmap of more operations than any batch has: nothing known is still true.
    yield Report(omitted=len(report.failures))


def _cut(failure: Failure, length: int) -> Failure:
    return failure.replace(message=shortened(failure.message, length) if length else "")


def _told(result: MirrorResult, length: int) -> MirrorResult:
    return result.replace(message=shortened(result.message, length) if length else "")


def _with(report: Report, failures: list[Failure], locations: tuple[LocationFacts, ...]) -> Report:
    omitted = report.omitted + len(report.failures) - len(failures)
    return report.replace(failures=tuple(failures), omitted=omitted, locations=locations)
