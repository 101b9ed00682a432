"""One HTTP request to the API server: ``kubernetes.aio``'s authentication, TLS and pool, and our errors."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from goldpool.kube import errors
from goldpool.kube.connector import GuardedConnector, sent_only_if
from goldpool.kube.port import Obj, Unavailable

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
_HEARTBEAT: Final = 20.0
"""Seconds between pings on a WebSocket: a laptop that fell asleep must not hold a console for hours."""
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

Observe = Callable[[str, str, float], None]
"""Called after each request with the method, the HTTP code (or ``<error>``) and the seconds it took."""

_BROKEN = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Call:
    """``content_type`` is always sent: a PATCH without one silently becomes another kind of patch."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: Obj | None = None
    content_type: str = JSON
    accept: str = JSON


class Transport:
    """Raises only what ``errors`` makes of an answer, and Unavailable for all that never became one."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        user_agent: str,
        timeout: float,
        observe: Observe | None,
        unacknowledged: float | None = None,
    ) -> None:
        self._api = ApiClient(configuration)
        rest = self._api.rest_client
        # The hook that the client library documents for a connector of one's own.
        rest._create_connector = lambda: GuardedConnector(  # type: ignore[method-assign]
            rest.ssl_context, limit=rest.maxsize, unacknowledged=unacknowledged
        )
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._observe = observe

    @property
    def host(self) -> str:
        host: str = self._api.configuration.host
        return host

    @property
    def ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = self._api.rest_client.ssl_context
        return context

    async def close(self) -> None:
        await self._api.rest_client.close()

    async def authorization(self) -> dict[str, str]:
        """The header that says who we are. The configuration's hook reads a rotated token here, each time."""
        headers: dict[str, str] = {}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        return headers

    async def request(self, call: Call, *, may_send: Callable[[], bool] | None = None) -> bytes:
        """The body of an answer below 400. ``may_send`` is asked when all is ready to be sent."""
        started, code = time.monotonic(), "<error>"
        try:
            with sent_only_if(may_send):
                sent = await self._send(call, self._timeout)
            async with sent as response:
                code = str(response.status)
                answer = await response.read()
                if response.status >= 400:
                    raise errors.classify(response.status, answer, response.headers)
                return answer
        except _BROKEN as error:
            raise _unreachable(error) from error
        finally:
            if self._observe is not None:
                self._observe(call.method, code, time.monotonic() - started)

    async def lines(self, call: Call, *, total: float | None) -> AsyncIterator[bytes]:
        """Lines of an answer that goes on, for at most ``total`` seconds. aiohttp's ``readline`` refuses long ones."""
        limit = aiohttp.ClientTimeout(total=total, sock_connect=self._timeout.total)
        started, code = time.monotonic(), "<error>"
        try:
            async with await self._send(call, limit) as response:
                code = str(response.status)
                if response.status >= 400:
                    raise errors.classify(response.status, await response.read(), response.headers)
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line:
                            yield line
                if rest:
                    yield rest
        except _BROKEN as error:
            raise _unreachable(error) from error
        finally:
            if self._observe is not None:
                self._observe(call.method, code, time.monotonic() - started)

    @asynccontextmanager
    async def socket(
        self, path: str, query: Sequence[tuple[str, str]], protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to that path. The handshake has the time of a request; afterwards only a dead peer ends it."""
        session = self._api.rest_client.pool_manager or self._api.rest_client._create_pool_manager()
        self._api.rest_client.pool_manager = session  # closed with the others
        url = f"{self.host}{path}?{urlencode(query)}".replace("http", "ws", 1)
        headers = {"User-Agent": self._user_agent} | await self.authorization()
        try:
            async with asyncio.timeout(self._timeout.total):
                socket = await session.ws_connect(
                    url, headers=headers, protocols=(protocol,), heartbeat=_HEARTBEAT
                )
        except aiohttp.WSServerHandshakeError as error:
            # aiohttp throws the body away, and with it the server's sentence.
            raise errors.classify(error.status, f"{error.status} {error.message}", error.headers) from error
        except _BROKEN as error:
            raise _unreachable(error) from error
        async with socket:
            yield socket

    async def _send(self, call: Call, limit: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {"Accept": call.accept, "Content-Type": call.content_type, "User-Agent": self._user_agent}
        headers |= await self.authorization()
        url = f"{self.host}{call.path}" + _encoded(call.query)
        answer = await self._api.call_api(call.method, url, headers, body=call.body, _request_timeout=limit)
        response: aiohttp.ClientResponse = answer.response
        return response


def parse(body: bytes) -> dict[str, Any]:
    """Half an answer, or a proxy's page, is no answer."""
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise Unavailable(f"not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise Unavailable(f"not an object: {body[:80]!r}")
    return answer


def _encoded(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _unreachable(error: BaseException) -> Unavailable:
    return Unavailable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
