"""A real HTTP server on loopback that can be told to misbehave, path by path."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Request(BaseHTTPRequestHandler):
    """What an answer writes with."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.counting:
            self.server.hits[path] += 1
        self.server.headers.append(dict(self.headers))
        self.server.answers[path](self)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silence."""

    def head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()


Answer = Callable[[Request], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, Answer] = {}
        self.hits: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.counting = threading.Lock()
        self.released = threading.Event()
        """Set at the end, so that no hanging answer outlives its test."""

    def answer(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, *_: object) -> None:
        """A client that went away is what many tests are about."""


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def body(content: bytes) -> Answer:
    def answer(request: Request) -> None:
        request.head(200, Content_Length=str(len(content)))
        request.wfile.write(content)

    return answer


def without_length(content: bytes) -> Answer:
    def answer(request: Request) -> None:
        request.head(200)
        request.wfile.write(content)

    return answer


def chunked(content: bytes) -> Answer:
    def answer(request: Request) -> None:
        request.head(200, Transfer_Encoding="chunked")
        for start in range(0, len(content), 100_000):
            piece = content[start : start + 100_000]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.wfile.write(b"0\r\n\r\n")

    return answer


def truncated(content: bytes, sent: int) -> Answer:
    def answer(request: Request) -> None:
        request.head(200, Content_Length=str(len(content)))
        request.wfile.write(content[:sent])

    return answer


def truncated_chunks(content: bytes) -> Answer:
    def answer(request: Request) -> None:
        request.head(200, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    return answer


def status(code: int) -> Answer:
    return lambda request: request.head(code, Content_Length="0")


def redirect(target: str) -> Answer:
    return lambda request: request.head(302, Location=target, Content_Length="0")


def hanging(content: bytes, sent: int) -> Answer:
    """Sends some and then nothing for as long as the test lasts."""

    def answer(request: Request) -> None:
        request.head(200, Content_Length=str(len(content)))
        request.wfile.write(content[:sent])
        request.wfile.flush()
        request.server.released.wait()

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One after the other, the last one for ever."""
    left = list(answers)

    def answer(request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return answer


def encoded(content: bytes, encoding: str) -> Answer:
    def answer(request: Request) -> None:
        request.head(200, Content_Length=str(len(content)), Content_Encoding=encoding)
        request.wfile.write(content)

    return answer
