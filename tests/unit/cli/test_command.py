"""The command against a server on the loopback interface that answers as an API server would."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from goldpool.cli import main
from tests.unit.cli.builders import a_machine, a_pool, a_volume

Answer = tuple[int, object]
Run = Callable[..., Result]


def a_status(code: int, reason: str) -> Answer:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": f"it is {reason}"}


def a_list(*items: dict[str, object]) -> Answer:
    return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": list(items)}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """The command hangs up on its other questions once one is refused: that is no error to print."""


@pytest.fixture
def answers() -> dict[str, Answer]:
    """By the end of the path; everything else is an empty list."""
    return {}


@pytest.fixture
def run(answers: dict[str, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
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
        monkeypatch.setenv("KUBECONFIG", str(_kubeconfig(tmp_path, server.server_port)))
        yield lambda *arguments: CliRunner().invoke(main, ["tree", *arguments])
        server.shutdown()


def _kubeconfig(directory: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {}}],
    }  # fmt: skip
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_tree_is_plain_where_there_is_no_terminal(run: Run, answers: dict[str, Answer]) -> None:
    answers["/storagepools"] = a_list(a_pool().to_dict())
    result = run()
    assert (result.exit_code, result.output) == (0, "golden pool golden  Ready\n")


def test_an_empty_cluster_says_so(run: Run) -> None:
    assert run().output == "There are no pools, templates, volumes or machines.\n"


def test_a_namespace_is_asked_of_the_server(run: Run, answers: dict[str, Answer]) -> None:
    answers["/namespaces/team/volumes"] = a_list(a_volume(pool=None).to_dict())
    answers["/namespaces/team/virtualmachines"] = a_list(a_machine().to_dict())
    answers["/v1alpha1/volumes"] = answers["/v1alpha1/virtualmachines"] = a_status(403, "Forbidden")
    result = run("-n", "team")
    assert result.exit_code == 0, result.output
    assert "machine team/web" in result.output


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, "page not found"), "Goldpool is not installed"),
        (a_status(404, "NotFound"), "Goldpool is not installed"),
        (a_status(403, "Forbidden"), "with -n only that namespace"),
        (a_status(401, "Unauthorized"), "does not accept these credentials"),
        ((200, "<html>"), "cannot reach http://127.0.0.1"),
    ],
)
def test_a_refusal_says_what_to_do(run: Run, answers: dict[str, Answer], answer: Answer, said: str) -> None:
    answers["/volumes"] = answer
    result = run()
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_no_configuration_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    result = CliRunner().invoke(main, ["tree"])
    assert result.exit_code == 1
    assert "Set KUBECONFIG" in result.output


def test_a_namespace_and_all_of_them_exclude_each_other() -> None:
    assert CliRunner().invoke(main, ["tree", "-n", "a", "-A"]).exit_code == 2
