"""One body over HTTP or HTTPS: from its beginning, or from where an earlier transfer of the same version ended."""

from urllib3.response import BaseHTTPResponse

from goldpool.contracts.report import PERMANENT
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.partial import Partial
from goldpool.worker.fetch.policy import MirrorFailed, origin
from goldpool.worker.fetch.reading import reader
from goldpool.worker.fetch.receiving import Told, Transfer, receive
from goldpool.worker.fetch.refusals import refused
from goldpool.worker.fetch.resume import objection, range_headers, version_of
from goldpool.worker.log import log


def transfer(connections: Connections, url: str, common: Transfer, told: Told) -> Partial:
    """All of the body is on the pool, as many bytes as were announced, and hashed; else ``MirrorFailed``, and what
    arrived is kept for the next try if the server can continue it.

    A full or failing pool is ``OperationFailed`` or ``OSError``: no other mirror helps.
    """
    partials = common.partials
    try:
        partial = partials.restored(url, common.digests(), common.room, told)
        if partial is not None and partial.complete:
            return partial
        return _transferred(connections, url, partial, common, told)
    except MirrorFailed as failed:
        if (left := partials.of(url)) is not None and (failed.reason in PERMANENT or not left.worth_keeping):
            partials.discard(left)
        raise


def _transferred(
    connections: Connections, url: str, partial: Partial | None, common: Transfer, told: Told
) -> Partial:
    headers = {} if partial is None else range_headers(partial.version, partial.received)
    response = connections.open(url, headers=headers, deadline=common.deadline)
    try:
        if partial is not None:
            why = objection(partial.version, partial.received, response.status, response.headers)
            if why is None:
                log("transfer continued", mirror=origin(url), received=partial.received)
                receive(reader(response), partial, common, told)
                return partial
            log("transfer not continued", mirror=origin(url), received=partial.received, why=why)
            if response.status in {206, 416}:  # the server's answer to the range, of no use
                response.close()
                response = connections.open(url, deadline=common.deadline)
        total = _total_of_full_body(response)
        partial = common.partials.begin(url, version_of(response.headers, total), common.room)
        receive(reader(response), partial, common, told)
        return partial
    finally:
        response.close()


def _total_of_full_body(response: BaseHTTPResponse) -> int | None:
    if (failure := refused(response.status, response.reason, response.headers)) is not None:
        raise failure
    total: int | None = getattr(response, "length_remaining", None)  # None too for a chunked body
    return total
