"""A web server for one file that counts what it gave. It ends with the demo: it is a thread of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path


@dataclass
class Served:
    """What hosts fetched. A transfer counts as a download once its last byte was handed over."""

    url: str
    downloads: int = 0
    requests: int = 0
    sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, downloads: int = 0, sent: int = 0) -> None:
        with self._lock:
            self.requests += requests
            self.downloads += downloads
            self.sent += sent


class _Counting:
    """A file for copyfileobj that reports what went through."""

    def __init__(self, to: BufferedIOBase, served: Served) -> None:
        self._to = to
        self._served = served

    def write(self, block: bytes) -> int:
        self._to.write(block)
        self._served.add(sent=len(block))
        return len(block)


@contextmanager
def serving(file: Path, address: str) -> Iterator[Served]:
    """Serves `file` under its own name at `address`, at a free port, while the block runs."""
    path, size = f"/{file.name}", file.stat().st_size

    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_HEAD(self) -> None:
            self._head()

        def do_GET(self) -> None:
            if not self._head():
                return
            with file.open("rb") as content:
                shutil.copyfileobj(content, _Counting(self.wfile, served), 1 << 20)
            served.add(downloads=1)

        def _head(self) -> bool:
            served.add(requests=1)
            known = self.path == path
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(size if known else 0))
            self.end_headers()
            return known

        def log_message(self, *_: object) -> None:
            """The count is what people want to know."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away; its transfer is not counted."""

    with Server((address, 0), Handler) as server:
        served = Served(f"http://{address}:{server.server_port}{path}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield served
        finally:
            server.shutdown()
