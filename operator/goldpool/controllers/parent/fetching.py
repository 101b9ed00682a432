"""From no copy to a published one: what has become of the Job."""

from goldpool.api.conditions import Reason
from goldpool.api.model import human_bytes
from goldpool.api.parent import ParentState
from goldpool.api.source import SourceFacts, clipped
from goldpool.contracts.report import Fetched
from goldpool.controllers.naming import OperationIds
from goldpool.controllers.parent import progress as progress_of
from goldpool.controllers.parent.asking import ask
from goldpool.controllers.parent.failing import failed
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.status import answers, status_of
from goldpool.controllers.verdict import busy, timestamp
from goldpool.dispatch.outcome import Failed, Running, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import EventKind, Plan, Record


def fetch(o: Observed) -> Plan:
    status, name = o.parent.status, o.parent.metadata.name
    attempt = status.attempt or 1
    operation = OperationIds.fetch(name, attempt)
    match o.fetch:
        case Succeeded(fetched=fetched) if fetched is not None:
            return _published(o, o.fetch, fetched, operation)
        case Succeeded():
            return Plan(
                status=status_of(o, busy(Reason.FETCHING, "the fetch ended without a result; it is done again"),
                               state=ParentState.PENDING, attempt=attempt + 1),
                afterwards=(Settle(operation),), again_after=0,
            )  # fmt: skip
        case Failed():
            return failed(o, o.fetch, attempt, operation)
        case Running(progress=progress):
            found = progress_of.shown(progress) if progress is not None else {}
            return Plan(
                status=status_of(
                    o, busy(Reason.FETCHING, progress_of.sentence(progress)), state=ParentState.FETCHING,
                    attempt=attempt, fetched_on=status.fetched_on or o.host, **found,
                )
            )  # fmt: skip
        case _:
            return ask(o, attempt, operation)


def _facts(fetched: Fetched) -> SourceFacts:
    """What a later look at the source is compared with. Nothing is known of it where the copy was there already."""
    size = fetched.transferred_bytes or None
    return SourceFacts(
        mirror=fetched.mirror,
        size=size,
        etag=clipped(fetched.etag),
        last_modified=clipped(fetched.last_modified),
        # The bytes as they were transferred are the file's, unless it was unpacked on the way.
        digest=f"sha256:{fetched.revision}" if size == fetched.file_bytes else "",
    )


def _published(o: Observed, outcome: Succeeded, fetched: Fetched, operation: str) -> Plan:
    """An earlier fetch whose result was lost may have published it: then no mirror was asked now."""
    mirror = fetched.mirror or o.parent.status.mirror
    found = {
        **progress_of.NONE,
        "revision": fetched.revision,
        "size": fetched.file_bytes,
        "virtual_size": fetched.virtual_bytes,
        "mirror": mirror,
        "source": _facts(fetched),
        "verified": fetched.verified or None,
        **answers(outcome),
        "published_time": timestamp(o.now),
        "progress": "100%",
        "done": fetched.file_bytes,
        "expected": fetched.file_bytes,
        "failures": None,
        "failure": None,
        "permanent": None,
        "tried_hosts": [],
    }
    verdict = busy(Reason.FETCHING, "verified and published; not the template's revision yet")
    note = f"fetched {human_bytes(fetched.file_bytes)} from {mirror} to {o.parent.spec.location}"
    return Plan(
        effects=(Record(o.raw, EventKind.NORMAL, "Published", "Fetch", note),),
        status=status_of(o, verdict, state=ParentState.PUBLISHED, **found),
        afterwards=(Settle(operation),),
        # Where another copy has decided the revision already, nothing else would wake this one.
        again_after=0,
    )
