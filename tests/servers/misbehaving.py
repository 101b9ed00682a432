"""A real HTTP or HTTPS server that answers path by path as it is told, and remembers what it was asked.

``Body`` is the resource of a well-behaved server; each of its fields is one way to misbehave. What no field says is a
function that writes to the ``Exchange``.
"""

import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_PIECE: Final = 64 << 10


@dataclass
class Request:
    """What was asked, and what went out in answer."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: Message
    """Names in any case: ``headers["range"]``."""
    client: str
    """Address of the peer."""
    status: int | None = None
    sent: int = 0
    """Bytes of the body that were handed to the socket."""
    whole: bool = False
    """Whether all of the body that was announced went out."""


class Exchange(BaseHTTPRequestHandler):
    """What an answer writes with. The connection ends with the answer."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    request_seen: Request

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        seen = Request(self.command, path, query, self.headers, str(self.client_address[0]))
        self.request_seen = seen
        self.close_connection = True
        self.server.asked(seen)
        answer = self.server.answers.get(path)
        if answer is None:
            self.head(404, Content_Length="0")
        else:
            answer(self)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Silence."""

    def head(self, status: int, **headers: str) -> None:
        """The answer's head; ``Content_Length`` is the header Content-Length."""
        self.request_seen.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def send(self, data: bytes, counted: int | None = None) -> None:
        """Some of the body. Nothing of it follows a HEAD. ``counted``: how many of the bytes are the resource's."""
        if self.command != "HEAD":
            self.wfile.write(data)
            self.wfile.flush()
            self.request_seen.sent += len(data) if counted is None else counted


Answer = Callable[[Exchange], None]


class Server(ThreadingHTTPServer):
    """At a free port of ``address``. ``requests`` are all that came, ``hits`` their number by path."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        super().__init__((address, 0), Exchange)
        self.answers: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.hits: Counter[str] = Counter()
        self.released = threading.Event()
        """Set at the end, so that no hanging answer outlives its test."""
        self._tls = tls
        self._counting = threading.Lock()

    def answer(self, path: str, answer: Answer) -> str:
        """The URL at which it is answered like this from now on."""
        self.answers[path] = answer
        return self.url(path)

    def url(self, path: str) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self.server_address[0]!s}:{self.server_address[1]}{path}"

    def asked(self, request: Request) -> None:
        with self._counting:
            self.requests.append(request)
            self.hits[request.path] += 1

    def requests_of(self, path: str, method: str = "") -> list[Request]:
        """In the order they came; of one method if it is named."""
        with self._counting:
            return [r for r in self.requests if r.path == path and method in {"", r.method}]

    def sent(self, path: str) -> int:
        """Bytes of bodies that went out, all requests together."""
        return sum(request.sent for request in self.requests_of(path))

    @property
    def headers(self) -> list[dict[str, str]]:
        """Of all requests, in the order they came."""
        return [dict(request.headers) for request in self.requests]

    def finish_request(self, request: object, client_address: object) -> None:
        # Here and not around the listening socket: a client that does not shake hands holds up nobody else.
        if self._tls is not None:
            with self._tls.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                super().finish_request(wrapped, client_address)
        else:
            super().finish_request(request, client_address)  # type: ignore[arg-type]

    def handle_error(self, *_: object) -> None:
        """A client that went away is what many tests are about."""


@contextlib.contextmanager
def serving(address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(address, tls) as server, running(server):
        yield server


@contextlib.contextmanager
def running(server: Server) -> Iterator[None]:
    """It answers inside the block."""
    with running_server(server):
        try:
            yield
        finally:
            server.released.set()


@contextlib.contextmanager
def running_server(server: ThreadingHTTPServer) -> Iterator[None]:
    """Any server of the standard library, in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@dataclass
class Gate:
    """Where a body stops until it is let go on (or its server ends). No test needs to know how fast anything is."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def wait(self, released: threading.Event) -> None:
        self.reached.set()
        while not self.opened.wait(0.02) and not released.is_set():
            pass


@dataclass(frozen=True)
class Body:
    """One resource. By default: HEAD, one byte range, If-Range and the right numbers everywhere. Offsets are those of
    the resource, also in the answer to a range."""

    content: bytes
    etag: str = ""
    """With its quotes; ``W/"..."`` is weak."""
    last_modified: str = ""
    framing: str = "length"
    """``length``, ``chunked``, or ``close``: ended by the end of the connection."""
    ranges: bool = True
    """False: a Range is ignored, and not offered."""
    if_range: bool = True
    """False: If-Range is ignored, as if the resource were the one that the client knows."""
    cut_at: int | None = None
    """The connection ends at this offset."""
    stall_at: int | None = None
    """At this offset nothing more comes, for as long as the test lasts."""
    gate: Gate | None = None
    gate_at: int = 0
    bytes_per_second: float | Callable[[], float | None] | None = None
    """Dripped in pieces of a tenth of a second; a function is asked before each."""
    announced: int | None = None
    """Content-Length in place of the true one."""
    content_range: str | None = None
    """Content-Range in place of the true one; empty: left out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """More of them; ``Content_Type`` is Content-Type."""

    def __call__(self, exchange: Exchange) -> None:
        size = len(self.content)
        span = self._asked(exchange.headers)
        if span is not None and (span[0] >= size or span[0] >= span[1]):
            exchange.head(416, Content_Range=f"bytes */{size}", Content_Length="0")
            return
        start, end = span or (0, size)
        headers = {"Accept_Ranges": "bytes"} if self.ranges else {}
        headers |= {"ETag": self.etag} if self.etag else {}
        headers |= {"Last_Modified": self.last_modified} if self.last_modified else {}
        headers |= self.headers
        if span is not None:
            told = f"bytes {start}-{end - 1}/{size}" if self.content_range is None else self.content_range
            headers |= {"Content_Range": told} if told else {}
        if self.framing == "length":
            headers["Content_Length"] = str(end - start if self.announced is None else self.announced)
        elif self.framing == "chunked":
            headers["Transfer_Encoding"] = "chunked"
        exchange.head(206 if span else 200, **headers)
        if exchange.command != "HEAD":
            self._send(exchange, start, end)

    def _asked(self, headers: Message) -> tuple[int, int] | None:
        """(first, one past the last) of a single range; None: all of it."""
        wish = headers.get("Range", "")
        if not self.ranges or not wish.startswith("bytes=") or "," in wish:
            return None
        known = headers.get("If-Range")
        if known is not None and self.if_range:
            strong = bool(self.etag) and not self.etag.startswith("W/")
            if known not in {self.etag if strong else None, self.last_modified or None}:
                return None
        first, _, last = wish.removeprefix("bytes=").partition("-")
        size = len(self.content)
        if not first:
            return max(0, size - int(last)), size
        return int(first), min(int(last) + 1, size) if last else size

    def _send(self, exchange: Exchange, start: int, end: int) -> None:
        chunked = self.framing == "chunked"
        place = start
        while True:
            if self.gate is not None and place == self.gate_at:
                self.gate.wait(exchange.server.released)
            if place == self.stall_at:
                exchange.server.released.wait()
            if place >= end:
                break
            if place == self.cut_at or exchange.server.released.is_set():
                return
            rate = self.bytes_per_second() if callable(self.bytes_per_second) else self.bytes_per_second
            piece = self.content[place : self._stop(place, end, rate)]
            if rate is not None:
                time.sleep(len(piece) / rate)
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
            exchange.send(framed, len(piece))
            place += len(piece)
        if chunked:
            exchange.send(b"0\r\n\r\n", 0)
        exchange.request_seen.whole = True

    def _stop(self, place: int, end: int, rate: float | None) -> int:
        """Where the next piece ends: nowhere beyond a place at which something is to happen."""
        piece = _PIECE if rate is None else max(1, int(rate / 10))
        marks = (self.cut_at, self.stall_at, self.gate_at if self.gate is not None else None)
        return min([place + piece, end, *(mark for mark in marks if mark is not None and mark > place)])


def body(content: bytes) -> Answer:
    return Body(content)


def without_length(content: bytes) -> Answer:
    return Body(content, framing="close")


def chunked(content: bytes) -> Answer:
    return Body(content, framing="chunked")


def truncated(content: bytes, sent: int) -> Answer:
    return Body(content, cut_at=sent)


def truncated_chunks(content: bytes) -> Answer:
    """All of it, but not the chunk that says so."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, Transfer_Encoding="chunked")
        exchange.send(b"%x\r\n%s\r\n" % (len(content), content))

    return answer


def hanging(content: bytes, sent: int) -> Answer:
    """Sends some and then nothing for as long as the test lasts."""
    return Body(content, stall_at=sent)


def encoded(content: bytes, encoding: str) -> Answer:
    return Body(content, headers={"Content_Encoding": encoding})


def status(code: int, **headers: str) -> Answer:
    return lambda exchange: exchange.head(code, Content_Length="0", **headers)


def redirect(target: str, code: int = 302) -> Answer:
    return status(code, Location=target)


def in_turn(*answers: Answer) -> Answer:
    """One after the other, the last one for ever."""
    left = list(answers)
    taking = threading.Lock()

    def answer(exchange: Exchange) -> None:
        with taking:
            now = left.pop(0) if len(left) > 1 else left[0]
        now(exchange)

    return answer


def by_method(head: Answer, get: Answer) -> Answer:
    """Servers that treat HEAD as something else are many."""
    return lambda exchange: (head if exchange.command == "HEAD" else get)(exchange)


def for_those_with(header: str, value: str, answer: Answer, otherwise: int = 401) -> Answer:
    """Only for requests that carry exactly this header."""

    def judged(exchange: Exchange) -> None:
        right = exchange.headers.get_all(header, []) == [value]
        (answer if right else status(otherwise))(exchange)

    return judged
