"""docs/templates.md is whole: every reason of Templates and Parents has its remedy, every limit its line."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from goldpool.api.conditions import EXPLANATIONS, Reason
from goldpool.contracts.report import FailureReason

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/templates.md").read_text()
ROWS = re.findall(
    r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", TEXT.partition("## Every reason")[2], re.MULTILINE
)
OF_OTHERS = {FailureReason.VOLUME_MISSING}
"""Failures that only operations on volumes have."""


def _reasons_in(room: str) -> set[str]:
    """What the controllers of a kind say, read from their code: a reason that is said has to be explained."""
    found: set[str] = set()
    for path in (ROOT / "operator/goldpool/controllers" / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in {"Reason", "FailureReason"}
            ):
                kind = Reason if node.value.id == "Reason" else FailureReason
                found.add(str(kind[node.attr]))
    return found


def said() -> set[str]:
    every = _reasons_in("template") | _reasons_in("parent") | {str(r) for r in (*FailureReason,)}
    return every | {str(Reason.DELETION_BLOCKED)} - {str(r) for r in OF_OTHERS}


def test_the_code_is_read_and_not_guessed() -> None:
    assert {"Fetching", "SourceInvalid", "ParentLost", "NoCopyWanted"} <= _reasons_in(
        "template"
    ) | _reasons_in("parent")


def test_every_reason_has_an_entry_and_every_entry_a_reason() -> None:
    entries = [reason for reason, _, _ in ROWS]
    assert len(entries) == len(set(entries))
    assert set(entries) == said() - {str(r) for r in OF_OTHERS}
    assert set(entries) <= {str(reason) for reason in EXPLANATIONS}


@pytest.mark.parametrize(("reason", "remedy"), [(reason, remedy) for reason, _, remedy in ROWS])
def test_a_remedy_is_something_to_do(reason: str, remedy: str) -> None:
    assert len(remedy) > len("nothing") or remedy == "nothing", reason


def test_every_limit_of_the_chart_is_named() -> None:
    values = yaml.safe_load((ROOT / "charts/goldpool/values.yaml").read_text())["fetch"]
    limits = TEXT.partition("## Limits")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", limits))
    assert {name for name, value in values.items() if not isinstance(value, dict)} <= named
    addresses = TEXT.partition("## Which addresses")[2].partition("\n## ")[0]
    assert "fetch.addresses" in addresses
    assert "fetch.proxy" in addresses


def test_every_field_of_a_source_is_explained() -> None:
    crd = yaml.safe_load((ROOT / "crds/goldpool.io_templates.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    missing = [field for field in spec["source"]["properties"] if field not in TEXT]
    assert missing == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).resolve().exists()
