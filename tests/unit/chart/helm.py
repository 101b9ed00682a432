"""Runs the real helm on the chart."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[3] / "charts/goldpool"
NAMESPACE = "goldpool-system"
Document = dict[str, Any]


def program() -> str:
    """$HELM, or helm on the PATH; `python3 -m hack.cluster env` puts it there."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if not found:
        pytest.skip("no helm: set HELM, or PATH by `python3 -m hack.cluster env`")
    return found


def run(*arguments: str, values: Document | None = None) -> subprocess.CompletedProcess[str]:
    command = [program(), *arguments, *(["--values", "-"] if values else [])]
    return subprocess.run(
        command, input=yaml.safe_dump(values or {}), capture_output=True, text=True, check=False, timeout=60
    )


def template(values: Document | None = None, namespace: str = NAMESPACE, *more: str) -> list[Document]:
    """The rendered objects."""
    done = run("template", "goldpool", str(CHART), "--namespace", namespace, *more, values=values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(values: Document, namespace: str = NAMESPACE, *more: str) -> str:
    """What helm says to values it must not take."""
    done = run("template", "goldpool", str(CHART), "--namespace", namespace, *more, values=values)
    assert done.returncode != 0, "helm took it"
    return done.stderr


def the(documents: list[Document], kind: str, name: str = "") -> Document:
    """The one object of that kind (and name)."""
    [found] = [d for d in documents if d["kind"] == kind and name in ("", d["metadata"]["name"])]
    return found
