"""What a PromQL expression names, as far as our own expressions go: metrics, and labels beside each."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldpool.engine.families import Family
from hack.generate.metrics import catalogue
from hack.pipeline import promtool

SCRAPED = {"job", "instance", "namespace", "pod", "le"}
"""Labels that Prometheus itself adds, and a histogram's."""

_MATCHERS = re.compile(r"([a-z][a-z0-9_]*)\{([^}]*)\}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")


def family_of(series: str) -> Family | None:
    return next((family for family in catalogue().values() if series in family.series()), None)


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric in it, with the labels it is matched by."""
    for name, matchers in _MATCHERS.findall(query):
        yield name, set(_LABEL.findall(matchers))


def grouped_by(query: str) -> set[str]:
    return {label.strip() for found in _GROUPED.findall(query) for label in found.split(",")}


def problems(query: str) -> list[str]:
    """Names in the query that the operator does not serve."""
    found = [*selectors(query)]
    if not found:
        return [f"no metric with matchers in {query}"]
    wrong, known = [], set(SCRAPED)
    for name, labels in found:
        family = family_of(name)
        if family is None:
            wrong.append(f"no metric {name}")
            continue
        known |= set(family.labels)
        wrong += [f"{name} has no label {label}" for label in labels - set(family.labels) - SCRAPED]
    return wrong + [f"no label {label}" for label in grouped_by(query) - known]


def check(*arguments: str | Path, stdin: str = "") -> None:
    """Runs promtool; fails the test with what it says."""
    program = promtool.program() or pytest.skip("no promtool: `make packages` brings it")
    done = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
