"""The bench's own arithmetic."""

import pytest

from tests.bench.figures import Figure, as_json, from_json, regressions, table, thresholds


def a_figure(value: float, name: str = "wall", **changes: object) -> Figure:
    return Figure("volumes", name, value, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [(1.5, 1.5, True), (1.51, 1.5, False), (3.0, None, None)],
)
def test_a_goal_is_met_up_to_itself(value: float, goal: float | None, met: bool | None) -> None:
    assert a_figure(value, goal=goal).met is met


@pytest.mark.parametrize(
    ("values", "threshold"),
    [
        ([1.0] * 5, 1.2),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.6),
        ([0.01234] * 6, 0.0149),  # 0.014808: rounded up, never down
        ([1001.0] * 5, 1210.0),
        ([0.0] * 5, 0.0),
    ],
)
def test_a_threshold_is_the_mean_of_the_runs_and_a_fifth(values: list[float], threshold: float) -> None:
    assert thresholds([[a_figure(value)] for value in values]) == {"volumes: wall": pytest.approx(threshold)}


def test_four_runs_are_no_calibration() -> None:
    with pytest.raises(ValueError, match="needs 5 runs"):
        thresholds([[a_figure(1.0)]] * 4)


def test_only_what_every_run_measured_gets_a_threshold() -> None:
    both = [a_figure(1.0), a_figure(2.0, "Jobs")]
    assert thresholds([both] * 4 + [both[:1]]) == {"volumes: wall": 1.2}


@pytest.mark.parametrize(("value", "is_one"), [(1.2, False), (1.21, True)])
def test_a_regression_is_above_the_threshold(value: float, is_one: bool) -> None:
    assert bool(regressions([a_figure(value)], {"volumes: wall": 1.2})) is is_one


def test_a_figure_without_a_threshold_is_no_regression() -> None:
    assert regressions([a_figure(9.0, "new")], {"volumes: wall": 1.2}) == []


def test_a_run_is_read_back_as_it_was_written() -> None:
    run = [a_figure(1.25, unit="s", goal=2.0, detail="2 s / 1.6 s"), a_figure(3, "Jobs")]
    assert from_json(as_json(run, {"cores": 4})) == run


def test_the_table_says_which_goals_were_missed() -> None:
    lines = table(
        [a_figure(1.0, goal=2.0), a_figure(3.0, "Jobs", goal=2.0), a_figure(7.0, "free")]
    ).splitlines()
    assert [("met" in line, "missed" in line) for line in lines[1:]] == [
        (True, False),
        (False, True),
        (False, False),
    ]
