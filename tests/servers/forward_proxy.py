"""A forward proxy: requests in absolute form, and CONNECT."""

import contextlib
import http.client
import select
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.servers.misbehaving import running_server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ForwardProxy"

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        there = http.client.HTTPConnection(parts.netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        there.request(self.command, f"{parts.path}?{parts.query}".rstrip("?"), headers=headers)
        answer = there.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        there.close()

    def do_CONNECT(self) -> None:
        self.close_connection = True
        self.server.asked.append(f"CONNECT {self.path}")
        if self.server.refuses:
            self.send_error(403)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=60) as there:
            self.send_response(200)
            self.end_headers()
            _relay(self.connection, there)

    def log_message(self, *_: object) -> None:
        """Silence."""


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Until either side has said all."""
    while True:
        for source in select.select([one, other], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


class ForwardProxy(ThreadingHTTPServer):
    """At a free port of loopback. ``asked`` are the request lines it got, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.refuses = False
        """CONNECT is answered with 403."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that went away is what many tests are about."""


@contextlib.contextmanager
def forward_proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy, running_server(proxy):
        yield proxy
