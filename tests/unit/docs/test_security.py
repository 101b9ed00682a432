"""The threat model names tests; each of them is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
DOCUMENT = TESTS.parent / "docs" / "security.md"
NAMED = sorted(set(re.findall(r"`((?:unit|cluster|e2e)/\S+\.py)::(\w+)`", DOCUMENT.read_text())))


def test_it_names_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_it_names_is_there(path: str, name: str) -> None:
    assert name in {
        node.name for node in ast.parse((TESTS / path).read_text()).body if isinstance(node, ast.FunctionDef)
    }


def test_every_test_of_the_cluster_about_it_is_named() -> None:
    module = ast.parse((TESTS / "e2e" / "test_security.py").read_text())
    tests = {n.name for n in module.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}
    controls = {"test_the_question_about_rights_can_be_answered_with_yes"}
    assert tests - controls == {name for path, name in NAMED if path == "e2e/test_security.py"}
