"""Steps in two lanes: one shows its output as it comes, the other works in the background on what takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Step:
    """`needs` must have passed, `after` only have ended; both name steps. `timeout` is in seconds."""

    name: str
    target: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    background: bool = False
    timeout: float = 1800


@dataclass(frozen=True)
class Outcome:
    step: Step
    result: Result
    seconds: float = 0


Execute = Callable[[Step], bool]
"""Runs a step to its end and says whether it passed."""


class Lanes:
    """Runs each lane's steps in their order, and each step once those it waits for have ended.

    A failed step takes only those with it that need it, so that one run shows all that is wrong.
    """

    def __init__(self, steps: Sequence[Step], execute: Execute) -> None:
        self._steps = steps
        self._execute = execute
        self._ended = {step.name: threading.Event() for step in steps}
        self._outcomes: dict[str, Outcome] = {}

    def run(self) -> list[Outcome]:
        """All outcomes, in the order of the steps. Foreground steps run on the calling thread."""
        behind = threading.Thread(target=self._lane, args=(True,), daemon=True)
        behind.start()
        self._lane(False)
        behind.join()
        return self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """What is known so far: for a run that was interrupted, too."""
        return [self._outcomes[step.name] for step in self._steps if step.name in self._outcomes]

    def _lane(self, background: bool) -> None:
        for step in self._steps:
            if step.background is background:
                self._one(step)

    def _one(self, step: Step) -> None:
        for name in (*step.needs, *step.after):
            self._ended[name].wait()
        began = time.monotonic()
        try:
            if any(self._outcomes[name].result is not Result.PASSED for name in step.needs):
                result = Result.SKIPPED
            else:
                result = Result.PASSED if self._execute(step) else Result.FAILED
        except (
            Exception
        ) as error:  # a thread that dies in silence would leave the other lane waiting for ever
            print(f"{step.name}: {error}", flush=True)
            result = Result.FAILED
        self._outcomes[step.name] = Outcome(step, result, time.monotonic() - began)
        self._ended[step.name].set()
