"""A Secret of type ``goldpool.io/source-credentials``: what is sent to whom.

No message shows a value, nor a line that was not understood.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.policy import forbidden

ORIGINS: Final = "origins"
_KEYS: Final = frozenset({ORIGINS, "username", "password", "token", "headers", "tls.crt", "tls.key"})
_REFUSED_HEADERS: Final = frozenset(
    {
        # Hop by hop (RFC 9110 7.6.1): a proxy's business, or the framing's.
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
        # Ours: they decide whom we talk to, and which bytes come.
        "host", "range", "if-range", "content-length", "accept-encoding", "expect",
    }
)  # fmt: skip
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE: Final = re.compile(r"[\x20-\x7e\t]*")
_BEARER: Final = re.compile(r"[\x21-\x7e]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): who may see a secret."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is sent, and only to ``origins``."""

    origins: frozenset[Origin] = frozenset()
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    certificate: ClientCertificate | None = None

    def at(self, url: str) -> "Credentials":
        """What this URL's origin may see: all of it, or nothing."""
        return self if origin_of(url) in self.origins else NOTHING


NOTHING: Final = Credentials()


def origin_of(url: str) -> Origin:
    """``url`` is not forbidden by the policy."""
    parts = urlsplit(url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])


def read(directory: Path, name: str) -> Credentials:
    """The Secret ``name`` as it is mounted now. ``OperationFailed`` when it is not there, or not as it should be."""
    keys = mounted(directory)
    if not keys:
        raise OperationFailed(
            FailureReason.SECRET_MISSING,
            f"there is no Secret {name} in the data namespace, or it is empty: make one of type "
            "goldpool.io/source-credentials, or correct spec.source.secretRef",
        )
    return parse(keys)


def mounted(directory: Path) -> dict[str, bytes]:
    """Every key, all of one version: the kubelet renews a mount by pointing ``..data`` at a new directory."""
    try:
        version = (directory / "..data").resolve(strict=True)
    except FileNotFoundError:
        version = directory
    try:
        return {
            path.name: path.read_bytes()
            for path in sorted(version.iterdir())
            if not path.name.startswith("..") and path.is_file()
        }
    except FileNotFoundError:
        # Renewed between the two lines above; a mount that is not there at all is empty.
        return mounted(directory) if directory.is_dir() else {}


def parse(keys: Mapping[str, bytes]) -> Credentials:
    """``OperationFailed`` (``SecretInvalid``) names the key and the remedy."""
    if unknown := sorted(keys.keys() - _KEYS):
        raise invalid(f"key {_shown(unknown[0])} is unknown", f"known are {', '.join(sorted(_KEYS))}")
    headers, authorization = _headers(_text(keys, "headers")), _authorization(keys)
    if authorization and "authorization" in {name.lower() for name in headers}:
        raise invalid("key headers sets Authorization, and so does a token or password", "keep one of them")
    headers |= authorization
    certificate = _certificate(keys)
    if not headers and certificate is None:
        raise invalid(
            "there is nothing to send",
            "add username and password, token, headers, or tls.crt and tls.key",
        )
    return Credentials(_origins(_text(keys, ORIGINS)), MappingProxyType(headers), certificate)


def _origins(text: str) -> frozenset[Origin]:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise invalid(
            "key origins is missing or empty",
            "write whom the credentials may be sent to, one per line, like https://mirror.example",
        )
    return frozenset(_origin(number, line) for number, line in lines)


def _origin(number: int, line: str) -> Origin:
    parts = None if forbidden(line) else urlsplit(line)
    if parts is None or parts.path not in {"", "/"} or parts.query or parts.fragment or "*" in line:
        raise invalid(
            f"line {number} of key origins is no origin",
            "write scheme, host and port without a path, like https://mirror.example:8443",
        )
    return origin_of(line)


def _authorization(keys: Mapping[str, bytes]) -> dict[str, str]:
    basic, bearer = {"username", "password"} & keys.keys(), "token" in keys
    if basic and bearer:
        raise invalid("there are both a token and a username or password", "keep one of them")
    if bearer:
        token = _text(keys, "token")
        if not _BEARER.fullmatch(token):
            raise invalid("key token is empty or holds blanks", "write the bare token, without Bearer")
        return {"Authorization": f"Bearer {token}"}
    if len(basic) == 1:
        missing = ({"username", "password"} - basic).pop()
        raise invalid(f"key {missing} is missing", "username and password go together")
    if not basic:
        return {}
    username, password = _text(keys, "username"), _text(keys, "password")
    if not username or ":" in username or not (username + password).isprintable():
        # RFC 7617: a colon ends the name.
        raise invalid("username is empty or holds a colon, or one of both a line break", "correct them")
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def _headers(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VISIBLE.fullmatch(value):
            raise invalid(f"line {number} of key headers is no header", "write Name: value, in ASCII")
        if name.lower() in _REFUSED_HEADERS:
            raise invalid(
                f"line {number} of key headers sets {name}", "remove it: the transfer sets it itself"
            )
        if name.lower() in {other.lower() for other in found}:
            raise invalid(f"line {number} of key headers repeats a header", "write each once")
        found[name] = value.strip()
    return found


def _certificate(keys: Mapping[str, bytes]) -> ClientCertificate | None:
    present = {"tls.crt", "tls.key"} & keys.keys()
    if len(present) == 1:
        missing = ({"tls.crt", "tls.key"} - present).pop()
        raise invalid(f"key {missing} is missing", "a client certificate is tls.crt and tls.key")
    return ClientCertificate(keys["tls.crt"], keys["tls.key"]) if present else None


def _text(keys: Mapping[str, bytes], key: str) -> str:
    """Without the line break at its end that editors and ``echo`` leave."""
    try:
        return keys.get(key, b"").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise invalid(f"key {key} is not UTF-8", "write it again") from None


def _shown(key: str) -> str:
    """A key's name is no secret, but it is somebody's text."""
    return key[:40]


def invalid(what: str, remedy: str) -> OperationFailed:
    return OperationFailed(FailureReason.SECRET_INVALID, f"the source's Secret: {what}; {remedy}")
