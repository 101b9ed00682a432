"""What a run measured: each figure with its goal, as a table for people and as JSON for the regression check."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

MARGIN: Final = 1.2
"""A figure may be this much above the mean of the calibration's runs."""
LEAST_RUNS: Final = 5


@dataclass(frozen=True)
class Figure:
    """One number; less is better. ``goal`` is the most it should be, None where none was set."""

    part: str
    name: str
    value: float
    unit: str = ""
    goal: float | None = None
    detail: str = ""

    @property
    def key(self) -> str:
        return f"{self.part}: {self.name}"

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.value <= self.goal


def table(figures: Iterable[Figure]) -> str:
    """One line for each figure: what, how much, the goal and whether it was met, and what it was made of."""
    rows = [("figure", "value", "goal", "", "of")]
    rows += [(f.key, _number(f.value, f.unit), _goal(f), _verdict(f.met), f.detail) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]
        ).rstrip()
        for row in rows
    )


def as_json(figures: Sequence[Figure], facts: Mapping[str, Any]) -> str:
    return json.dumps({"machine": dict(facts), "figures": [asdict(f) for f in figures]}, indent=2)


def from_json(text: str) -> list[Figure]:
    return [Figure(**entry) for entry in json.loads(text)["figures"]]


def thresholds(runs: Sequence[Sequence[Figure]]) -> dict[str, float]:
    """Per figure that every run has: the mean times the margin, rounded up to three digits. Raises ValueError for fewer
    than five runs: the mean of a few says little on a machine that others use."""
    if len(runs) < LEAST_RUNS:
        raise ValueError(f"a calibration needs {LEAST_RUNS} runs, got {len(runs)}")
    values = [{figure.key: figure.value for figure in run} for run in runs]
    common = [key for key in values[0] if all(key in run for run in values)]
    return {key: _rounded_up(fmean(run[key] for run in values) * MARGIN) for key in common}


def regressions(figures: Iterable[Figure], limits: Mapping[str, float]) -> list[str]:
    """One sentence for each figure above its threshold. A figure that has none is new, and no regression."""
    return [
        f"{f.key}: {_number(f.value, f.unit)} is above its threshold {_number(limits[f.key], f.unit)}"
        for f in figures
        if f.key in limits and f.value > limits[f.key]
    ]


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return round(math.ceil(value / step - 1e-9) * step, 12)


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip() if value < 1000 else f"{value:,.0f} {unit}".rstrip()


def _goal(figure: Figure) -> str:
    return "" if figure.goal is None else f"<= {_number(figure.goal, figure.unit)}"


def _verdict(met: bool | None) -> str:
    return {None: "", True: "met", False: "missed"}[met]
