"""Argo CD's settings: the one health script, once per kind.

One key per kind, because a ConfigMap's keys take no wildcard, and a patch of the one key that does would replace what
somebody else has in it.
"""

from pathlib import Path
from typing import Final

from goldpool.api.crds import KINDS
from goldpool.api.model import GROUP
from hack.generate import documents

SCRIPT: Final = Path(__file__).resolve().parents[2] / "docs" / "argocd" / "health.lua"


def files() -> dict[str, str]:
    """Path below the repository's root to content."""
    script = documents.Block(SCRIPT.read_text(encoding="utf-8"))
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {f"resource.customizations.health.{GROUP}_{kind.crd.kind}": script for kind in KINDS},
    }
    return {"docs/argocd/argocd-cm.yaml": documents.plain(settings)}
