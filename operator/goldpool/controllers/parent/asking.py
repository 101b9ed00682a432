"""The fetch of a copy, as the dispatcher is asked for it."""

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import Fetch
from goldpool.controllers.backing import HOST_AWAY_SECONDS, tolerations_of
from goldpool.controllers.checksum import checksum
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.status import status_of
from goldpool.controllers.source import source_of
from goldpool.controllers.verdict import busy
from goldpool.dispatch.request import Ask, Request
from goldpool.engine.plan import Plan
from goldpool.kube.port import Key
from goldpool.planning.revisions import revision_to_fetch


def ask(o: Observed, attempt: int, operation: str) -> Plan:
    assert o.template is not None
    assert o.pool is not None
    if o.host is None or o.mount is None or not o.location_ready:
        why = f"location {o.parent.spec.location} is not ready"
        return Plan(
            status=status_of(
                o, busy(Reason.WAITING_FOR_HOST, why), state=ParentState.PENDING, attempt=attempt
            ),
            again_after=HOST_AWAY_SECONDS,
        )
    spec = o.template.spec
    request = Request(
        operation=Fetch(
            id=operation,
            location=o.parent.spec.location,
            parent=o.parent.metadata.name,
            template=o.parent.spec.template,
            template_uid=o.parent.spec.template_uid,
            format=ImageFormat(spec.format),
            source=source_of(o.template, o.host_location),
            checksums=(checksum(spec.checksum),) if spec.checksum else (),
            revision=revision_to_fetch(o.parent, o.template),
            policy=o.policy,
        ),
        mount=o.mount,
        host=o.host,
        owner=Key("Parent", "", o.parent.metadata.name),
        tolerations=tolerations_of(o.pool.spec.tolerations),
    )
    status = status_of(
        o, busy(Reason.FETCHING, f"waiting for a fetch Job on {o.host}"), state=ParentState.FETCHING,
        attempt=attempt, fetched_on=o.host, next_retry_time=None, retry=_heeded(o),
    )  # fmt: skip
    return Plan(effects=(Ask(request),), status=status)


def _heeded(o: Observed) -> str | None:
    """The value of goldpool.io/retry that this fetch answers; one that is set while it goes on asks for another."""
    status = o.parent.status
    if status.state is ParentState.FETCHING or o.template is None:
        return status.retry
    return o.template.metadata.annotations.get(RETRY_ANNOTATION)
