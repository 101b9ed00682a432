"""What a fetch decides without a socket: where it may go, what fits, what failures add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason, Progress
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.policy import MirrorFailed, forbidden, next_hop, origin
from goldpool.worker.fetch.progress import Reporter
from goldpool.worker.fetch.room import Room

R = FailureReason


@pytest.mark.parametrize(
    ("current", "location", "target"),
    [
        ("http://h/a/b", "c", "http://h/a/c"),
        ("http://h/a", "https://i/b", "https://i/b"),
        ("https://h/a", "//i/b", "https://i/b"),
        ("https://h/a", "http://h/a", None),
        ("http://h/a", "file:///etc/passwd", None),
        ("http://h/a", "http://u:p@h/", None),
        ("http://h/a", "http://[", None),
        ("http://h/a", None, None),
    ],
)
def test_where_a_redirect_may_lead(current: str, location: str | None, target: str | None) -> None:
    if target is not None:
        assert next_hop(current, location, 0, 10) == target
        return
    with pytest.raises(MirrorFailed) as refused:
        next_hop(current, location, 0, 10)
    assert refused.value.reason is R.SOURCE_REFUSED


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@h:8443/a/b?token=x#f", "https://h:8443/a/b"),
        ("http://[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a"),
        ("http://h:port/", "an invalid URL"),
    ],
)
def test_messages_show_neither_credentials_nor_queries(url: str, shown: str) -> None:
    assert origin(url) == shown


@given(st.text(max_size=60))
def test_any_text_is_judged_as_a_url_without_a_crash(text: str) -> None:
    forbidden(text)
    origin(text)


@pytest.mark.parametrize(
    ("free", "fits"),
    [(1000 + 64, True), (999 + 64, False), (0, False)],
)
def test_the_reserve_stays_free(free: int, fits: bool) -> None:
    room = Room(FetchPolicy(reserve_bytes=64), lambda: free)
    if fits:
        room.expect(1000)
        return
    with pytest.raises(OperationFailed) as full:
        room.expect(1000)
    assert full.value.reason is R.POOL_FULL


def test_progress_is_told_at_most_once_a_second() -> None:
    told: list[Progress] = []
    now = iter([0.0, 0.5, 0.99, 1.0, 1.5, 5.0])
    reporter = Reporter(told.append, lambda: next(now))
    for done in range(6):
        reporter.report(done, None, "m")
    assert [progress.done_bytes for progress in told] == [0, 3, 5]


@pytest.mark.parametrize(
    ("reports", "rates"),
    [
        ([(0, 0, "m"), (1, 100, "m"), (3, 500, "m")], [None, 100, 166]),
        ([(0, 7000, "m"), (2, 7100, "m")], [None, 50]),  # what was resumed came at no rate
        ([(0, 0, "m"), (1, 100, "m"), (2, 0, "m"), (3, 10, "m")], [None, 100, None, 10]),  # from zero again
        ([(0, 0, "m"), (1, 900, "m"), (2, 900, "n"), (4, 902, "n")], [None, 900, None, 1]),  # another mirror
        (
            [(0, 0, "m"), *((s, 1000, "m") for s in range(1, 14))],
            [None, 1000, 500, 333, 250, 200, 166, 142, 125, 111, 100, 0, 0, 0],
        ),
        ([(0, 0, "m"), (100, 5000, "m")], [None, 50]),  # nothing came for long
    ],
)
def test_the_rate_is_that_of_the_last_seconds_of_one_transfer(
    reports: list[tuple[float, int, str]], rates: list[int | None]
) -> None:
    told: list[Progress] = []
    now = iter([float(at) for at, *_ in reports])
    reporter = Reporter(told.append, lambda: next(now))
    for _, done, mirror in reports:
        reporter.report(done, None, mirror)
    assert [progress.rate for progress in told] == rates
