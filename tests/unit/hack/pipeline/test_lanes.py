"""What runs beside what, what a failure takes with it, and what is told at the end."""

import threading

import pytest

from hack.pipeline.everything import STEPS
from hack.pipeline.lanes import Lanes, Outcome, Result, Step
from hack.pipeline.report import duration, render


def results(steps: list[Step], failing: set[str]) -> dict[str, Result]:
    def execute(step: Step) -> bool:
        return step.name not in failing

    return {outcome.step.name: outcome.result for outcome in Lanes(steps, execute).run()}


def test_a_failure_takes_only_those_with_it_that_need_it() -> None:
    steps = [
        Step("a", "a"),
        Step("b", "b", needs=("a",)),
        Step("c", "c", after=("a",)),
        Step("d", "d", needs=("b",)),
    ]
    assert results(steps, {"a"}) == {
        "a": Result.FAILED, "b": Result.SKIPPED, "c": Result.PASSED, "d": Result.SKIPPED,
    }  # fmt: skip


def test_a_step_that_raises_has_failed_and_holds_up_nobody() -> None:
    def execute(step: Step) -> bool:
        raise OSError(step.name)

    steps = [Step("a", "a", background=True), Step("b", "b", needs=("a",))]
    assert [o.result for o in Lanes(steps, execute).run()] == [Result.FAILED, Result.SKIPPED]


def test_the_lanes_run_side_by_side() -> None:
    """Each of the two waits for the other: one after the other would never end."""
    both = threading.Barrier(2)

    def execute(step: Step) -> bool:
        both.wait(10)
        return True

    steps = [Step("behind", "x", background=True), Step("in front", "y")]
    assert [o.result for o in Lanes(steps, execute).run()] == [Result.PASSED, Result.PASSED]


def test_the_steps_of_make_test_come_to_an_end_in_both_lanes() -> None:
    """A step waits only for steps listed before it, so no two lanes can wait for each other."""
    seen: set[str] = set()
    for step in STEPS:
        assert {*step.needs, *step.after} <= seen, step.name
        seen.add(step.name)
    assert set(results(list(STEPS), set()).values()) == {Result.PASSED}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.97, "1 min 00 s"), (245, "4 min 05 s")]
)
def test_times_are_short_to_read(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_table_ends_with_the_verdict() -> None:
    outcomes = [
        Outcome(Step("lint", "lint"), Result.PASSED, 3),
        Outcome(Step("unit", "unit"), Result.SKIPPED),
    ]
    assert render(outcomes, 65).splitlines() == [
        "STEP  RESULT   TIME",
        "lint  passed   3.0 s",
        "unit  skipped  -",
        "all   failed   1 min 05 s",
    ]
