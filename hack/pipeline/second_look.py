"""python3 -m hack.pipeline.second_look [pytest's arguments]: what failed is run once more, alone.

Tests on a whole cluster share a machine with each other and with whoever else uses it, and now and then one of them
loses that race. Alone it has the machine to itself: what passes then was disturbed, is named as such and is to be
made steadier; what fails twice fails the run. Many failures at once are no disturbance and get no second look.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST: Final = 10
_TESTS_FAILED: Final = 1
"""pytest's exit status; all others but 0 say that the run itself went wrong."""


def main(arguments: Sequence[str], repair: Callable[[], None]) -> int:
    """``repair`` is called before the second look: what the first run may have broken is none of the tests' own faults."""
    with tempfile.TemporaryDirectory(prefix="goldpool-tests-") as cache:
        first = _pytest(*arguments, cache=cache)
        failed = _failed(Path(cache))
        if first != _TESTS_FAILED or not 0 < len(failed) <= MOST:
            return first
        print(f"\n=== once more, alone: {len(failed)} that failed", flush=True)
        repair()
        second = _pytest(*arguments, "-n", "0", "--last-failed", cache=cache)
        if second == 0:
            print(
                "\n=== passed alone, failed beside others; to be made steadier:",
                *failed,
                sep="\n  ",
                flush=True,
            )
        return second


def _pytest(*arguments: str, cache: str) -> int:
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the whole group was interrupted: pytest takes down what its tests started
            continue


def _failed(cache: Path) -> list[str]:
    found = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(found.read_text())) if found.exists() else []


def _repair_cluster() -> None:
    """Does nothing on a cluster that is whole. One that cannot be repaired fails the tests themselves."""
    subprocess.run([sys.executable, "-m", "hack.cluster", "up"], check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], _repair_cluster))
