from hypothesis import given
from hypothesis import strategies as st

from goldpool.kube.ratelimit import TokenBucket


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_burst_passes_and_then_the_rate_rules() -> None:
    bucket = TokenBucket(10.0, 3, clock=Now())
    assert [bucket.reserve() for _ in range(5)] == [0.0, 0.0, 0.0, 0.1, 0.2]


def test_idle_time_fills_no_more_than_the_burst() -> None:
    now = Now()
    bucket = TokenBucket(10.0, 2, clock=now)
    now.seconds += 1000
    assert [bucket.try_take() for _ in range(3)] == [True, True, False]


@given(
    rate=st.integers(1, 50),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_in_any_window_at_most_burst_plus_rate_times_its_length(
    rate: int, burst: int, pauses: list[float]
) -> None:
    now = Now()
    bucket = TokenBucket(rate, burst, clock=now)
    passed: list[float] = []
    for pause in pauses:
        now.seconds += pause
        passed.append(now.seconds + bucket.reserve())
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - start) + 1e-6
