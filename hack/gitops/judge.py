"""Asks kstatus and a health script of Argo CD about objects."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import config, toolchain
from hack.cluster.binaries import BinarySet, provide
from hack.cluster.commands import run
from hack.cluster.progress import Progress

VERDICTS = BinarySet(
    name="verdicts", source=Path(__file__).parent / "verdicts", packages=".", programs=("verdicts",)
)


@dataclass(frozen=True)
class Verdict:
    """kstatus: InProgress, Current, Failed or Terminating. Argo CD: Progressing, Healthy, Degraded, Suspended."""

    kstatus: str
    argo: str
    argo_message: str


def build() -> Path:
    """The program, compiled when the cache has none of these sources; that needs Go, or the package index."""
    cache = config.Layout.of(os.environ).cache
    return provide(VERDICTS, toolchain.find(cache), cache, Progress()) / "verdicts"


def judge(program: Path, script: Path, objects: Sequence[dict[str, Any]]) -> list[Verdict]:
    """In the objects' order. Raises CommandFailedError when the script fails on one of them."""
    answers = json.loads(run([str(program), str(script)], stdin=json.dumps(list(objects))))
    return [
        Verdict(answer["kstatus"]["status"], answer["argo"]["status"], answer["argo"]["message"])
        for answer in answers
    ]


def main() -> int:
    """Compiles the program, so that a test that has no network finds it."""
    print(build())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
