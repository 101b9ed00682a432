"""Answers for programs: the same facts as the text, in a form that keeps its shape."""

import json
from collections.abc import Sequence
from typing import Any

import yaml


def structured(rows: Sequence[dict[str, Any]], output: str) -> str:
    """``output`` is json or yaml; the text ends with a line feed. Round trips, so what is no JSON (an enum) is text."""
    plain = json.dumps(rows, indent=2, default=str)
    return plain + "\n" if output == "json" else yaml.safe_dump(json.loads(plain), sort_keys=False)
