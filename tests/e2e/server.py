"""The web server that hosts download from. It counts, and it misbehaves on request, path by path."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.e2e.nodes import Nodes

_CHUNK: Final = 64 << 10


@dataclass
class Image:
    """Bytes at a path. What hosts get is ``content``, slowly or not at all."""

    content: bytes
    pause: float = 0.0
    """Seconds before each chunk of 64 KiB."""
    refuses: Callable[[str], bool] = field(default=lambda _node: False)
    """Whether this node is answered with 503."""
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when the first bytes of an answer were sent."""

    @property
    def checksum(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


class Images(ThreadingHTTPServer):
    """``gets`` counts requests by (path, node); a node's pods and the node itself count as the node."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, nodes: Nodes) -> None:
        super().__init__((address, 0), _Handler)
        self.nodes = nodes
        self.images: dict[str, Image] = {}
        self.gets: Counter[tuple[str, str]] = Counter()
        self.whole: Counter[tuple[str, str]] = Counter()
        """Of those, how many were answered in full."""
        self.counting = threading.Lock()

    def serve(self, path: str, image: Image) -> str:
        """The URL at which the image is served from now on."""
        self.images[path] = image
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}{path}"

    def gets_of(self, path: str) -> dict[str, int]:
        """Requests by node."""
        with self.counting:
            return {node: n for (p, node), n in self.gets.items() if p == path}

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what several tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Images

    def do_GET(self) -> None:
        self.close_connection = True
        node = self.server.nodes.of_address(self.client_address[0])
        image = self.server.images.get(self.path)
        with self.server.counting:
            self.server.gets[self.path, node] += 1
        if image is None or image.refuses(node):
            self.send_response(404 if image is None else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(image.content)))
        self.end_headers()
        for start in range(0, len(image.content), _CHUNK):
            time.sleep(image.pause)
            self.wfile.write(image.content[start : start + _CHUNK])
            image.begun.set()
        with self.server.counting:
            self.server.whole[self.path, node] += 1

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def serving(address: str, nodes: Nodes) -> Iterator[Images]:
    with Images(address, nodes) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
