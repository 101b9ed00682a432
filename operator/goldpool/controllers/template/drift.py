"""Whether the source serves other bytes than were fetched."""

from dataclasses import dataclass

from goldpool.api.conditions import Reason, message_of
from goldpool.api.parent import Parent, ParentState
from goldpool.api.source import FetchedSource, SourceFacts, SourceProbe
from goldpool.controllers.template.observed import Observed
from goldpool.planning.revisions import serves


def difference(fetched: SourceFacts, found: SourceFacts) -> str | None:
    """What tells that other bytes are served than were fetched; None when nothing does. Only what both know counts, and
    the first that can say yes or no decides: two digests, two sizes, two ETags, two times of modification.

    ETag and Last-Modified are compared only with those of the same mirror: other servers have others for the same bytes.
    """
    if fetched.digest and found.digest:
        return _unlike("digest", fetched.digest, found.digest)
    if fetched.size is not None and found.size is not None and fetched.size != found.size:
        return f"its size was {fetched.size} bytes and is {found.size}"
    if fetched.mirror != found.mirror:
        return None
    if fetched.etag and found.etag:
        return _unlike("ETag", fetched.etag, found.etag)
    if fetched.last_modified and found.last_modified:
        return _unlike("Last-Modified", fetched.last_modified, found.last_modified)
    return None


def _unlike(what: str, was: str, found: str) -> str | None:
    return None if was == found else f"its {what} was {was} and is {found}"


@dataclass(frozen=True, slots=True)
class Drift:
    """``why`` is None while the source serves what was fetched. ``known`` is False when nobody asked it since."""

    known: bool
    why: str | None = None


def drift_of(o: Observed, current: str, fetched: FetchedSource | None, probe: SourceProbe | None) -> Drift:
    if o.template.status.revision is None or fetched is None:
        return Drift(known=False)
    if (copy := _refused(o, current, fetched)) is not None:
        where = copy.spec.host or copy.spec.location
        return Drift(True, f"other bytes came to {where}: {message_of(copy.status.conditions)}")
    if probe is not None and probe.answered and probe.answered > fetched.time:
        return Drift(True, difference(fetched, probe))
    before = o.template.status.source
    if before is None or before.fetched is None or before.fetched.time != fetched.time:
        return Drift(known=False)  # it was fetched again since anybody looked
    return Drift(known=False, why=before.changed)


def _refused(o: Observed, current: str, fetched: FetchedSource) -> Parent | None:
    """A copy that was to be of the revision, was begun after the newest one there is, and was served something else."""
    return next(
        (
            p
            for p in o.parents
            if p.spec.source_hash == current
            and p.status.state is ParentState.FAILED
            and p.status.failure == Reason.REVISION_MISMATCH
            and p.spec.revision
            and serves(p, o.template)
            and p.metadata.creation_timestamp > fetched.time
        ),
        None,
    )
