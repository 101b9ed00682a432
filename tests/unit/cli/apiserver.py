"""A server on the loopback interface that answers as an API server would, and a kubeconfig that leads to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

Answer = tuple[int, object]


def a_status(code: int, reason: str) -> Answer:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}


def a_list(*items: dict[str, object]) -> Answer:
    return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": list(items)}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """The command hangs up on its other questions once one is refused: that is no error to print."""


@contextmanager
def serving(answers: dict[str, Answer], directory: Path) -> Iterator[Path]:
    """The kubeconfig. ``answers`` are by the end of the path; everything else is an empty list."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            code, body = next((a for end, a in answers.items() if path.endswith(end)), a_list())
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield _kubeconfig(directory, server.server_port)
        server.shutdown()


def _kubeconfig(directory: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "contexts": [
            {"name": "it", "context": {"cluster": "it", "user": "it"}},
            {"name": "team", "context": {"cluster": "it", "user": "it", "namespace": "team"}},
        ],
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {}}],
    }  # fmt: skip
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
