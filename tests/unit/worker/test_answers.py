"""What the failures of mirrors add up to, and what is told of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.report import PERMANENT, FailureReason
from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.metalink import Skipped
from goldpool.worker.fetch.policy import MirrorFailed

R = FailureReason
A, B, C, DOCUMENT = "http://a/d", "http://b/d", "http://c/d", "http://m/d.meta4"


def failed(reason: R, digest: str = "") -> MirrorFailed:
    return MirrorFailed(reason, f"said {reason}", digest)


def wrong(digest: str, reason: R = R.CHECKSUM_MISMATCH) -> MirrorFailed:
    return failed(reason, digest)


LOST, DOWN, GONE = failed(R.TRANSFER_INCOMPLETE), failed(R.SOURCE_UNREACHABLE), failed(R.SOURCE_REFUSED)


@pytest.mark.parametrize(
    ("tries", "reason"),
    [
        # Full bodies, each mirror its own wrong digest again: the source itself is wrong.
        ({A: [wrong("1"), wrong("1"), wrong("1")]}, R.CHECKSUM_MISMATCH),
        ({A: [wrong("1"), wrong("1")], B: [wrong("2"), wrong("2")]}, R.CHECKSUM_MISMATCH),
        # What came from the middle of a partial file says nothing about the mirror.
        ({A: [wrong("1"), LOST, wrong("1")]}, R.CHECKSUM_MISMATCH),
        ({A: [wrong("1"), LOST, LOST]}, R.TRANSFER_INCOMPLETE),
        # Digests that differ were spoilt on the way.
        ({A: [wrong("1"), wrong("2"), wrong("1")]}, R.TRANSFER_INCOMPLETE),
        ({A: [wrong("1")]}, R.TRANSFER_INCOMPLETE),
        ({A: [wrong("1"), wrong("1")], B: [wrong("1"), wrong("2")]}, R.TRANSFER_INCOMPLETE),
        # A mirror that could not be asked may have the good bytes.
        ({A: [wrong("1"), wrong("1")], B: [DOWN, DOWN]}, R.SOURCE_UNREACHABLE),
        ({A: [wrong("1"), wrong("1")], B: [GONE, GONE]}, R.SOURCE_REFUSED),
        ({A: [GONE, GONE], B: [DOWN, DOWN], C: [LOST, LOST]}, R.TRANSFER_INCOMPLETE),
        # The same of other things that are wrong with full bodies.
        ({A: [wrong("1", R.SIZE_MISMATCH)] * 2}, R.SIZE_MISMATCH),
        ({A: [wrong("1", R.SIZE_MISMATCH), wrong("2", R.CHECKSUM_MISMATCH)]}, R.TRANSFER_INCOMPLETE),
        ({A: [wrong("1", R.REVISION_MISMATCH)] * 2}, R.REVISION_MISMATCH),
        ({DOCUMENT: [wrong("1", R.METALINK_INVALID)] * 2}, R.METALINK_INVALID),
        ({DOCUMENT: [wrong("1", R.METALINK_INVALID), wrong("2", R.METALINK_INVALID)]}, R.TRANSFER_INCOMPLETE),
        # What would be said again is said once.
        ({A: [failed(R.UNSUPPORTED)]}, R.UNSUPPORTED),
        ({A: [failed(R.UNSUPPORTED)], B: [wrong("1"), wrong("1")]}, R.CHECKSUM_MISMATCH),
        ({A: [failed(R.TOO_LARGE)], B: [failed(R.WRONG_FORMAT)]}, R.TOO_LARGE),
        ({A: [failed(R.WRONG_FORMAT)], B: [DOWN]}, R.SOURCE_UNREACHABLE),
    ],
)  # fmt: skip
def test_only_what_every_mirror_repeats_is_permanent(tries: dict[str, list[MirrorFailed]], reason: R) -> None:
    answers = Answers()
    for url, failures in tries.items():
        for one in failures:
            answers.failed(url, one)
    conclusion = answers.conclusion()
    assert conclusion.reason is reason
    for url, failures in tries.items():
        assert f"{url}: {failures[-1].message}" in conclusion.message


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(list(R)), st.sampled_from(["", "a", "b"])), min_size=1), min_size=1
    )
)
def test_a_conclusion_is_permanent_only_if_every_mirror_is_hopeless(tries: list[list[tuple[R, str]]]) -> None:
    answers = Answers()
    for place, mine in enumerate(tries):
        for reason, digest in mine:
            answers.failed(f"http://h/{place}", failed(reason, digest))
    verdict = answers.conclusion()
    if any(all(reason not in PERMANENT for reason, _ in mine) for mine in tries):
        assert verdict.reason not in PERMANENT
    assert len(verdict.message) <= 512


def test_a_metalink_that_was_read_in_the_end_is_no_reason_against_its_mirrors() -> None:
    answers = Answers()
    answers.failed(DOCUMENT, DOWN)
    answers.read(DOCUMENT, ())
    answers.failed(A, wrong("1"))
    answers.failed(A, wrong("1"))
    assert answers.conclusion().reason is R.CHECKSUM_MISMATCH
    answers.failed(DOCUMENT, DOWN)
    assert answers.conclusion().reason is R.SOURCE_UNREACHABLE


def told(answers: Answers) -> list[tuple[str, str, int]]:
    results, total = answers.results()
    assert total >= len(results)
    return [(one.mirror, one.reason, one.attempts) for one in results]


def test_every_mirror_is_told_with_its_last_answer_and_how_often_it_was_asked() -> None:
    answers = Answers()
    answers.failed(DOCUMENT, DOWN)
    answers.read(DOCUMENT, [Skipped("ftp://x/d", "not supported")])
    answers.failed(f"{A}?token=secret", GONE)
    answers.failed(B, wrong("1"))
    answers.read(DOCUMENT, [Skipped("ftp://x/d", "not supported")])
    answers.failed(f"{A}?token=secret", DOWN)
    answers.delivered(B)
    assert told(answers) == [
        (DOCUMENT, "SourceUnreachable", 1),
        (A, "SourceUnreachable", 2),
        (B, "", 2),
        ("ftp://x/d", "Unsupported", 0),
    ]


def test_of_many_mirrors_the_first_are_told_and_the_one_that_delivered() -> None:
    answers = Answers()
    for place in range(30):
        answers.failed(f"http://h/{place}", GONE)
    answers.delivered("http://good/")
    results, total = answers.results()
    assert (len(results), total) == (10, 31)
    assert [one.mirror for one in results] == [*(f"http://h/{place}" for place in range(9)), "http://good/"]
    assert (results[-1].reason, results[-1].attempts) == ("", 1)


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_whatever_a_mirror_is_called_and_says_is_bounded(path: str, message: str) -> None:
    answers = Answers()
    answers.failed(f"http://h/{path}", MirrorFailed(R.SOURCE_REFUSED, message))
    ((result,), _) = answers.results()
    assert len(result.mirror) <= 200
    assert len(result.message) <= 256
