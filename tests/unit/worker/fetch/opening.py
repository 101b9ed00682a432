"""URLs opened as a Job opens them, and what the kubelet would have mounted for it."""

import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.source import Source
from goldpool.worker.fetch.connection import Connections
from goldpool.worker.fetch.policy import MirrorFailed
from tests.servers.misbehaving import Server, serving
from tests.unit.worker.builders import a_policy

IMAGE = b"image" * 1000


class Mounts:
    """What the kubelet would have mounted below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def secret(self, **keys: str) -> None:
        directory = self.root / "source/credentials"
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.iterdir():
            old.unlink()
        for key, value in keys.items():
            (directory / key.replace("__", ".")).write_text(value)

    def ca(self, pem: str) -> None:
        directory = self.root / "source/ca"
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_text(pem)


def an_https_server(context: ssl.SSLContext) -> Any:
    return serving(tls=context)


def get(
    url: str, *, source: dict[str, Any] | None = None, root: Path = Path("/nowhere"), **policy: Any
) -> bytes:
    with Connections(a_policy(**policy), Source(urls=(url,), **(source or {})), root) as connections:
        response = connections.open(url, deadline=time.monotonic() + 60)
        try:
            assert response.status == 200, response.status
            return bytes(response.read())
        finally:
            response.close()


def refusal(url: str, **options: Any) -> MirrorFailed:
    with pytest.raises(MirrorFailed) as refused:
        get(url, **options)
    return refused.value


def port_of(server: Server) -> int:
    return int(server.server_address[1])


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names ending in .test are answered like this, one answer after the other; the names that were asked for."""
    left, asked, real = list(answers), list[str](), socket.getaddrinfo

    def resolve(host: str, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".test"):
            return real(host, port, *rest, **more)
        if more.get("flags") == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        asked.append(host)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [real(ip, port, type=socket.SOCK_STREAM)[0] for ip in answer]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked
