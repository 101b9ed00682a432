"""When a template's source is asked what it serves, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from goldpool.api.conditions import Reason
from goldpool.api.source import MIRRORS_SHOWN, SourceFacts, SourceMirror, SourceProbe, clipped
from goldpool.api.template import Template
from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import ProbeSource
from goldpool.contracts.report import FailureReason, Probed
from goldpool.contracts.source import MirrorResult
from goldpool.controllers.backing import HOST_AWAY_SECONDS
from goldpool.controllers.naming import RETRY_ANNOTATION, OperationIds
from goldpool.controllers.source import source_of
from goldpool.controllers.template.observed import Asker, Observed
from goldpool.controllers.verdict import moment, timestamp
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.engine.plan import EventKind, Record
from goldpool.kube.port import Key
from goldpool.planning.backoff import delay
from goldpool.planning.identity import digest

OF_THE_HOST: Final = frozenset(
    {FailureReason.LOST, FailureReason.NOT_MOUNTED, FailureReason.IO_ERROR, FailureReason.POOL_FULL}
)
"""These say nothing about the source."""


@dataclass(frozen=True, slots=True)
class Look:
    """What this pass knows of the source, and does to know more. ``wanted``: an answer is due and not there."""

    probe: SourceProbe | None
    effects: tuple[object, ...] = ()
    afterwards: tuple[object, ...] = ()
    again_after: float | None = None
    wanted: bool = False


def last_probe(template: Template, current: str) -> SourceProbe | None:
    """Of the source as it is declared now; an earlier one says nothing of it."""
    known = template.status.source.probe if template.status.source is not None else None
    return known if known is not None and known.source_hash == current else None


def operation_id(template: Template, current: str) -> str:
    """Another one for each time the source is asked, and for each spec: an answer to another question is nobody's."""
    known = last_probe(template, current)
    since = known.time if known else "first"
    return OperationIds.probe_source(template.metadata.uid, template.metadata.generation, since)


def due(template: Template, current: str, known: SourceProbe | None, now: datetime) -> datetime | None:
    """From when on the source is to be asked; None: nobody wants to know.

    Until there is a revision, so that a wrong source is told before anybody waits for it, and again until it answers.
    From then on as often as spec.source.checkInterval says, a tenth earlier or later, so that what was registered
    together is not asked together for ever.
    """
    interval = template.spec.source.check_interval
    if template.status.revision is not None and interval is None:
        return None
    retry = template.metadata.annotations.get(RETRY_ANNOTATION)
    if known is not None and retry is not None and retry != known.retry:
        return now
    if known is not None and known.reason and known.generation != template.metadata.generation:
        return now  # whoever named a Secret, say, wants to know whether that was it
    if known is not None and known.reason:
        return moment(known.next_time) if known.next_time else now
    fetched = template.status.source.fetched if template.status.source is not None else None
    times = [x.time for x in (known, fetched) if x is not None and x.time]
    if not times:
        return now
    if interval is None:
        return None
    last = max(times)
    return moment(last) + timedelta(seconds=interval * (0.9 + 0.2 * _unit(template, current, last)))


def look(o: Observed, current: str) -> Look:
    known = last_probe(o.template, current)
    match o.probe:
        case Succeeded(probed=probed) if probed is not None:
            found = _answered(o, current, probed, o.probe.mirrors)
        case Failed():
            found = _unanswered(o, current, known, o.probe)
        case _:
            return _ask(o, current, known)
    left = _left(o, current, found)
    told = _told(o, known, found)
    return Look(found, effects=told, afterwards=(Settle(o.probe_id),), again_after=left)


def _ask(o: Observed, current: str, known: SourceProbe | None) -> Look:
    left = _left(o, current, known)
    if left is None or (left > 0 and o.probe is None):
        return Look(known, again_after=left)
    if o.asker is None:
        # Before the first answer a host that comes wakes the template; later the template looks for one.
        return Look(known, again_after=HOST_AWAY_SECONDS if known is not None else None, wanted=True)
    return Look(known, effects=(Ask(_request(o, o.asker)),), wanted=True)


def _left(o: Observed, current: str, known: SourceProbe | None) -> float | None:
    """Seconds; 0 is now."""
    at = due(o.template, current, known, o.now)
    return max(0.0, (at - o.now).total_seconds()) if at is not None else None


def _request(o: Observed, asker: Asker) -> Request:
    template = o.template
    fetched = template.status.source.fetched if template.status.source is not None else None
    operation = ProbeSource(
        id=o.probe_id,
        template=template.metadata.name,
        template_uid=template.metadata.uid,
        format=ImageFormat(template.spec.format),
        source=source_of(template, asker.location),
        policy=o.policy,
        mirror=fetched.mirror if fetched is not None else "",
    )
    owner = Key("Template", "", template.metadata.name)
    return Request(operation, None, asker.host, owner, asker.tolerations)


def _answered(o: Observed, current: str, probed: Probed, mirrors: Sequence[MirrorResult]) -> SourceProbe:
    now = timestamp(o.now)
    return SourceProbe(
        mirror=probed.mirror,
        size=probed.size,
        etag=clipped(probed.etag),
        last_modified=clipped(probed.last_modified),
        digest=probed.digest,
        time=now,
        answered=now,
        source_hash=current,
        generation=o.template.metadata.generation,
        host=o.asker.host if o.asker is not None else "",
        format=probed.format,
        compression=probed.compression,
        virtual_size=probed.virtual_bytes,
        mirrors=_shown(mirrors),
        retry=_retry(o),
    )


def _unanswered(o: Observed, current: str, known: SourceProbe | None, failed: Failed) -> SourceProbe:
    """What the source last served is still the newest that is known of it."""
    now = timestamp(o.now)
    before = known or SourceProbe(time=now, source_hash=current)
    failures = before.failures + 1
    unit = _unit(o.template, current, now)
    pause = delay(failures, unit, first=o.base_seconds, longest=o.cap_seconds) + 1
    return before.model_copy(
        update={
            "time": now,
            "generation": o.template.metadata.generation,
            "host": o.asker.host if o.asker is not None else "",
            "reason": str(failed.reason),
            "message": failed.message,
            "permanent": failed.permanent,
            "mirrors": _shown(failed.mirrors),
            "failures": failures,
            "retry": _retry(o),
            "next_time": timestamp(o.now + timedelta(seconds=pause)),
        }
    )


def _shown(mirrors: Sequence[MirrorResult]) -> list[SourceMirror]:
    return [
        SourceMirror(mirror=m.mirror, reason=m.reason, message=m.message) for m in mirrors[:MIRRORS_SHOWN]
    ]


def _retry(o: Observed) -> str:
    return o.template.metadata.annotations.get(RETRY_ANNOTATION, "")


def _told(o: Observed, known: SourceProbe | None, found: SourceProbe) -> tuple[Record, ...]:
    if found.reason and found.reason not in OF_THE_HOST and (known is None or known.reason != found.reason):
        return (Record(o.raw, EventKind.WARNING, reason_of(found), "Probe", found.message),)
    return ()


def reason_of(probe: SourceProbe) -> Reason:
    """Why no mirror can serve."""
    return Reason(probe.reason) if probe.reason in {*Reason} else Reason.FETCH_FAILED


def _unit(template: Template, current: str, text: str) -> float:
    """Between 0 and 1, the same for the same time: a plan has no dice."""
    return int(digest(template.metadata.uid, current, text, length=6), 36) / 36**6


def facts_of(probe: SourceProbe) -> SourceFacts:
    return SourceFacts(
        mirror=probe.mirror,
        size=probe.size,
        etag=probe.etag,
        last_modified=probe.last_modified,
        digest=probe.digest,
    )
