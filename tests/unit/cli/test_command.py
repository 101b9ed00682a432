"""The command against a server on the loopback interface that answers as an API server would."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from goldpool.cli import main
from tests.unit.cli.apiserver import Answer, a_list, a_status, serving
from tests.unit.cli.builders import a_machine, a_pool, a_volume

Run = Callable[..., Result]


@pytest.fixture
def answers() -> dict[str, Answer]:
    """By the end of the path; everything else is an empty list."""
    return {}


@pytest.fixture
def run(answers: dict[str, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with serving(answers, tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield lambda *arguments: CliRunner().invoke(main, ["tree", *arguments])


def test_the_tree_is_plain_where_there_is_no_terminal(run: Run, answers: dict[str, Answer]) -> None:
    answers["/storagepools"] = a_list(a_pool().to_dict())
    result = run()
    assert (result.exit_code, result.output) == (0, "golden pool golden  Ready\n")


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_tree_is_told_to_programs(
    run: Run, answers: dict[str, Answer], output: str, read: Callable[[str], object]
) -> None:
    answers["/storagepools"] = a_list(a_pool().to_dict())
    assert read(run("-o", output).output) == [
        {
            "what": "golden pool",
            "name": "golden",
            "state": "Ready",
            "health": "good",
            "facts": [],
            "below": [],
        }
    ]


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
