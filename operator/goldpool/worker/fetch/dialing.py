"""From a name to a connected socket: resolved once, every address judged, and only a judged address connected to.

A name that answers one address to the check and another to the connection (DNS rebinding) gains nothing: there is no
second question.
"""

import queue
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from goldpool.contracts.network import AddressRules
from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.addresses import objection, parse
from goldpool.worker.fetch.policy import MirrorFailed

_MOST_TRIED: Final = 8
"""Addresses of one name; a resolver may answer hundreds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a name, as ``socket.connect`` takes it."""

    family: int
    address: tuple[Any, ...]

    @property
    def ip(self) -> str:
        return str(self.address[0])


def endpoints(host: str, port: int, rules: AddressRules, seconds: float) -> list[Endpoint]:
    """The permitted addresses of ``host``, in the resolver's order but its families in turn; never none.

    ``MirrorFailed`` (``AddressRefused``) when it has no other than refused ones. ``socket.gaierror`` when it has none
    at all, ``TimeoutError`` when the resolver does not say so within ``seconds``.
    """
    found = _resolved(host, port, seconds)
    objections = [objection(parse(endpoint.ip), rules) for endpoint in found]
    permitted = [endpoint for endpoint, why in zip(found, objections, strict=True) if why is None]
    if not permitted:
        raise MirrorFailed(
            FailureReason.ADDRESS_REFUSED,
            f"{host}: {'; '.join(why for why in objections[:2] if why)}",
        )
    return permitted[:_MOST_TRIED]


def literal(host: str) -> str | None:
    """The address that ``host`` spells out (``127.1``, ``0x7f000001`` and ``2130706433`` do too); None for a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return None
    return str(found[0][4][0])


Connected = Callable[[socket.socket], None]
"""Told of each new socket, before anything is said on it."""


def pool_classes(rules: AddressRules, connected: Connected) -> dict[str, type[HTTPConnectionPool]]:
    """For ``PoolManager.pool_classes_by_scheme``. Only the socket is ours: the server's name in TLS, and what its
    certificate is compared with, stay the URL's."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, self._dns_host, rules, connected)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _dial(self, self._dns_host, rules, connected)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _dial(connection: HTTPConnection, host: str, rules: AddressRules, connected: Connected) -> socket.socket:
    seconds = float(connection.timeout or 0)
    try:
        found = endpoints(host.strip("[]"), connection.port, rules, seconds)
    except (socket.gaierror, UnicodeError) as error:
        cause = (
            error if isinstance(error, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, str(error))
        )
        raise NameResolutionError(connection.host, connection, cause) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"{host} was not resolved in time") from error
    failure: OSError = OSError("no address")
    for endpoint in found:
        try:
            opened = _connected(endpoint, seconds)
        except OSError as error:
            failure = error
        else:
            connected(opened)
            return opened
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} did not answer in time") from failure
    raise NewConnectionError(connection, "no connection") from failure


def _connected(endpoint: Endpoint, seconds: float) -> socket.socket:
    opened = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        opened.settimeout(seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect(endpoint.address)
    except BaseException:
        opened.close()
        raise
    return opened


def _interleaved(found: Iterable[Endpoint]) -> list[Endpoint]:
    """The families in turn, as RFC 8305 has it: a network that drops one of them costs one wait, not eight."""
    families: dict[int, list[Endpoint]] = {}
    for endpoint in found:
        families.setdefault(endpoint.family, []).append(endpoint)
    turns = zip_longest(*families.values())
    return [endpoint for turn in turns for endpoint in turn if endpoint is not None]


def _resolved(host: str, port: int, seconds: float) -> list[Endpoint]:
    """In a thread, because the resolver knows no time limit; one that hangs is left behind."""
    answers: queue.SimpleQueue[list[Endpoint] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(_interleaved(dict.fromkeys(Endpoint(one[0], one[4]) for one in found)))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer
