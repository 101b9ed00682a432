"""The table at the end: what ran, how it ended, how long it took."""

from __future__ import annotations

from collections.abc import Sequence

from hack.cluster.status import table
from hack.pipeline.lanes import Outcome, Result


def duration(seconds: float) -> str:
    """12.3 s below a minute, 4 min 05 s above."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def render(outcomes: Sequence[Outcome], total: float) -> str:
    rows = [("STEP", "RESULT", "TIME", "")]
    for outcome in outcomes:
        time = "-" if outcome.result is Result.SKIPPED else duration(outcome.seconds)
        rows.append(
            (outcome.step.name, outcome.result, time, "in the background" if outcome.step.background else "")
        )
    failed = sum(outcome.result is not Result.PASSED for outcome in outcomes)
    rows.append(("all", Result.FAILED if failed else Result.PASSED, duration(total), ""))
    return table(rows)
