"""For every write of a path a run that dies right after it, and the same end each time."""

import os
import time
from collections.abc import Callable
from functools import partial

from tests.e2e.lives import Lives
from tests.matrix.canonical import State

FIRST = int(os.environ.get("GOLDPOOL_MATRIX_FROM", "1"))
STEP = int(os.environ.get("GOLDPOOL_MATRIX_STEP", "1"))
"""A run of part of the matrix: every STEPth write, beginning with FIRST."""
SPACING = int(os.environ.get("GOLDPOOL_MATRIX_SPACING", "0"))
"""0: one death per run, so as many runs as there are writes. Else so many runs, and in each a death after every
SPACINGth write, from another one on: each write is somebody's last one as well, in a tenth of the time."""


def every_write(lives: Lives, what: str, run: Callable[[State | None], State]) -> None:
    """Runs without a death, then with one after each write, until a run has no such write any more."""
    lives.begin(None)
    expected = run(None)
    total = len(lives.writes)
    print(f"\n{what}: {total} writes without a death", flush=True)
    began, runs, deaths, k = time.monotonic(), 0, 0, FIRST
    while not SPACING or k <= SPACING:
        started = time.monotonic()
        lives.begin(partial(dies_after, k))
        run(expected)
        if not lives.deaths:
            break
        runs, deaths = runs + 1, deaths + len(lives.deaths)
        print(
            f"{what}: died after write {k}, {', '.join(map(str, lives.deaths))}; "
            f"{len(lives.writes)} writes, {lives.lives} lives, {time.monotonic() - started:.0f} s",
            flush=True,
        )
        k += STEP
    took = time.monotonic() - began
    print(f"{what}: {runs} runs, {deaths} deaths, the same end each time; {took:.0f} s", flush=True)
    assert deaths >= (total - FIRST) // STEP // 2, "hardly any run died"


def dies_after(k: int, write: int) -> bool:
    return write >= k and (write - k) % SPACING == 0 if SPACING else write == k
