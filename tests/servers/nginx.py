"""nginx, as those who serve images run it: plain or with TLS, with passwords, client certificates, a rate limit."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.servers.certificates import Authority, Certificate

needs_nginx: Final = pytest.mark.skipif(
    shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None,
    reason="nginx is not installed (make packages)",
)
_PATIENCE_SECONDS: Final = 60
_LOG: Final = "$request_method $uri $status $body_bytes_sent $http_range"


@dataclass(frozen=True)
class Site:
    """What is served, and to whom."""

    root: Path
    tls: Certificate | None = None
    clients: Authority | None = None
    """Only clients with a certificate of this authority are served."""
    users: Mapping[str, str] = field(default_factory=dict)
    """Names and passwords of HTTP basic authentication; nobody: no passwords are asked for."""
    bytes_per_second: int = 0
    """For each connection; 0 is no limit."""
    directives: str = ""
    """More lines of the server block."""


@dataclass(frozen=True)
class Served:
    """One line of the access log: a request that is over."""

    method: str
    path: str
    status: int
    sent: int
    """Bytes of the body."""
    range: str
    """Empty: all of it was asked for."""


@dataclass(frozen=True)
class Nginx:
    origin: str
    """Like https://127.0.0.1:4711."""
    _log: Path

    def url(self, path: str) -> str:
        return f"{self.origin}{path}"

    def served(self) -> list[Served]:
        """All requests that are over. nginx writes a line once it has sent the last byte, or given up."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [_read(line) for line in lines if not line.startswith("-")]  # that was no request


@contextlib.contextmanager
def nginx(site: Site, directory: Path, address: str = "127.0.0.1") -> Iterator[Nginx]:
    """At a free port of ``address``, from the first moment of the block to its last. ``directory`` is made; logs and
    configuration are kept there."""
    directory.mkdir()
    with socket.create_server((address, 0), family=_family(address), backlog=128) as listening:
        port = listening.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        configuration = directory / "nginx.conf"
        configuration.write_text(_configuration(site, directory, f"{host}:{port}"))
        # nginx takes over sockets that it is told of so: no port is lost to somebody else, and who connects before it
        # is up waits in the socket's queue. nginx looks at the variable when it tests its configuration, too.
        os.set_inheritable(listening.fileno(), True)
        process = subprocess.Popen(
            ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(configuration)],
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin", "NGINX": f"{listening.fileno()};"},
            pass_fds=[listening.fileno()],
        )
    try:
        _await(process, address, port, directory / "error.log")
        yield Nginx(f"{'https' if site.tls else 'http'}://{host}:{port}", directory / "access.log")
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def _await(process: "subprocess.Popen[bytes]", address: str, port: int, log: Path) -> None:
    """It has accepted a connection: bytes that are no request are answered with 400, or with a TLS alert."""
    end = time.monotonic() + _PATIENCE_SECONDS
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as probing:
        probing.sendall(b"\r\n\r\nx\r\n\r\n")
        while time.monotonic() < end and process.poll() is None:
            try:
                if probing.recv(64):
                    return
                break
            except TimeoutError:
                continue
    raise AssertionError(f"nginx did not start: {log.read_text() if log.exists() else process.poll()}")


def _configuration(site: Site, directory: Path, listen: str) -> str:
    lines = [f"listen {listen}{' ssl' if site.tls else ''};", f"root {site.root};"]
    if site.tls:
        lines += [f"ssl_certificate {site.tls.certificate};", f"ssl_certificate_key {site.tls.key};"]
    if site.clients:
        lines += [f"ssl_client_certificate {site.clients.certificate};", "ssl_verify_client on;"]
    if site.users:
        passwords = directory / "passwords"
        passwords.write_text("".join(f"{user}:{{PLAIN}}{word}\n" for user, word in site.users.items()))
        lines += ['auth_basic "images";', f"auth_basic_user_file {passwords};"]
    if site.bytes_per_second:
        lines.append(f"limit_rate {site.bytes_per_second};")
    temporary = "".join(
        f"{module}_temp_path {directory}/{module};\n"
        for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = "\n".join([*lines, site.directives])
    # With our own rights over the test's files. The master is our child, and ends its worker.
    return f"""
daemon off;
worker_processes 1;
user root;
pid {directory}/pid;
error_log {directory}/error.log notice;
events {{ worker_connections 512; }}
http {{
{temporary}
log_format it '{_LOG}';
access_log {directory}/access.log it;
default_type application/octet-stream;
sendfile on;
server {{
{server}
}}
}}
"""


def _read(line: str) -> Served:
    method, path, status, sent, wished = line.split(" ", 4)
    return Served(method, path, int(status), int(sent), "" if wished == "-" else wished)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
