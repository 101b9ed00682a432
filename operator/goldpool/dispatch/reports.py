"""What a Job's report says of each of its operations. Pure."""

from goldpool.contracts.facts import LocationFacts
from goldpool.contracts.report import PERMANENT, Failure, Report
from goldpool.dispatch.outcome import Ended, Failed, Succeeded
from goldpool.dispatch.record import JobKind, JobRecord


def outcomes_of(report: Report | None, record: JobRecord) -> dict[int, Ended]:
    """By place in the batch. What is missing is unknown: the report did not name it, or there is none."""
    if report is None:
        return {}
    failed: dict[int, Ended] = {failure.index: _failed(failure, report) for failure in report.failures}
    done = {i: _succeeded(i, report, record) for i in range(len(record.operations)) if report.succeeded(i)}
    return failed | done


def _succeeded(index: int, report: Report, record: JobRecord) -> Succeeded:
    return Succeeded(
        facts=_facts(report, record.lane.location),
        fetched=report.fetched if record.kind is JobKind.FETCH else None,
        adopted=next((found for found in report.adopted if found.index == index), None),
        probed=report.probed if record.kind is JobKind.PROBE else None,
        mirrors=report.mirrors,
        mirrors_total=report.mirrors_total,
    )


def _failed(failure: Failure, report: Report) -> Failed:
    permanent = failure.reason in PERMANENT
    return Failed(failure.reason, failure.message, permanent, report.mirrors, report.mirrors_total)


def _facts(report: Report, location: str) -> LocationFacts | None:
    return next((facts for facts in report.locations if facts.location == location), None)
