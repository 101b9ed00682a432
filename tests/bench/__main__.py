"""python3 -m tests.bench [--only PART...] [--json FILE] [--check] | --calibrate FILE..."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import figures, imports, machine, machines, passes, planner, startup, volumes
from tests.bench.figures import Figure
from tests.bench.stage import Stage, standing

THRESHOLDS: Final = Path(__file__).with_name("thresholds.json")
ON_THE_CLUSTER: Final[Mapping[str, Callable[[Stage], list[Figure]]]] = {
    "machines": machines.measure,
    "volumes": volumes.measure,
    "passes": passes.measure,
    "startup": startup.measure,
}
BY_ITSELF: Final[Mapping[str, Callable[[], list[Figure]]]] = {
    "planner": planner.measure,
    "fetch": imports.measure,
}
PARTS: Final = (*BY_ITSELF, *ON_THE_CLUSTER)


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.calibrate:
        return _calibrate(arguments.calibrate)
    found, loads = _run(arguments.only or PARTS)
    print(figures.table(found))
    print(f"\nload of the machine: {', '.join(f'{part} {load:.1f}' for part, load in loads.items())}")
    if arguments.json:
        arguments.json.write_text(figures.as_json(found, machine.facts() | {"load": loads}) + "\n")
    if arguments.check:
        worse = figures.regressions(found, json.loads(THRESHOLDS.read_text())["thresholds"])
        print("\n".join(worse) if worse else "no figure is above its threshold")
        return 1 if worse else 0
    return 0


def _run(parts: tuple[str, ...]) -> tuple[list[Figure], dict[str, float]]:
    found: list[Figure] = []
    loads: dict[str, float] = {}

    def note(part: str, measure: Callable[[], list[Figure]]) -> None:
        loads[part] = round(machine.load(), 1)
        began = time.monotonic()
        measured = measure()
        found.extend(measured)
        took = time.monotonic() - began
        print(f"--- {part}: {took:.0f} s, load {loads[part]} at its start\n{figures.table(measured)}\n",
              file=sys.stderr, flush=True)  # fmt: skip

    for part in parts:
        if part in BY_ITSELF:
            note(part, BY_ITSELF[part])
    if on_the_cluster := [part for part in parts if part in ON_THE_CLUSTER]:
        with standing() as stage:
            for part in on_the_cluster:
                note(part, partial(ON_THE_CLUSTER[part], stage))
    return found, loads


def _calibrate(files: list[Path]) -> int:
    runs = [figures.from_json(file.read_text()) for file in files]
    content = {"machine": machine.facts(), "runs": len(runs), "thresholds": figures.thresholds(runs)}
    THRESHOLDS.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description="What Goldpool costs.")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts only")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--check", action="store_true", help="fail if a figure is above its threshold")
    parser.add_argument(
        "--calibrate", nargs="+", type=Path, metavar="FILE", help="make the thresholds from these runs' JSON"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
