"""One judgement of an answer's head, whoever asked: a transfer, a metalink's reader or a probe."""

import pytest

from goldpool.contracts.report import FailureReason as R
from goldpool.worker.fetch.refusals import content_encoding, refused


@pytest.mark.parametrize(
    ("status", "whole", "ranged"),
    [
        (200, None, None),
        (206, R.SOURCE_REFUSED, None),  # nobody asked for a part
        (204, R.SOURCE_REFUSED, R.SOURCE_REFUSED),
        (304, R.SOURCE_REFUSED, R.SOURCE_REFUSED),
        (401, R.SOURCE_REFUSED, R.SOURCE_REFUSED),
        (404, R.SOURCE_REFUSED, R.SOURCE_REFUSED),
        (408, R.SOURCE_UNREACHABLE, R.SOURCE_UNREACHABLE),
        (416, R.SOURCE_REFUSED, R.TRANSFER_INCOMPLETE),  # of an empty body no range is to be had
        (425, R.SOURCE_UNREACHABLE, R.SOURCE_UNREACHABLE),
        (429, R.SOURCE_UNREACHABLE, R.SOURCE_UNREACHABLE),
        (499, R.SOURCE_REFUSED, R.SOURCE_REFUSED),
        (500, R.SOURCE_UNREACHABLE, R.SOURCE_UNREACHABLE),
        (503, R.SOURCE_UNREACHABLE, R.SOURCE_UNREACHABLE),
    ],
)
def test_a_status_is_judged_by_what_was_asked_for(status: int, whole: R | None, ranged: R | None) -> None:
    answers = (refused(status, "So", {}), refused(status, "So", {}, ranged=True))
    assert tuple(answer and answer.reason for answer in answers) == (whole, ranged)


@pytest.mark.parametrize(
    ("status", "phrase", "headers", "what", "message"),
    [
        (404, "Not Found", {}, "the body", "answered 404 Not Found"),
        (404, None, {}, "the body", "answered 404"),
        (200, "OK", {"Content-Encoding": "gzip"}, "the metalink", "sent the metalink with Content-Encoding gzip"),
        (200, "OK", {"Content-Encoding": "x" * 99}, "the body", f"sent the body with Content-Encoding {'x' * 39}…"),
    ],
    ids=["with its phrase", "without one", "of a document", "cut short"],
)  # fmt: skip
def test_the_message_says_what_was_answered(
    status: int, phrase: str | None, headers: dict[str, str], what: str, message: str
) -> None:
    failure = refused(status, phrase, headers, what)
    assert failure is not None
    assert failure.message == message


@pytest.mark.parametrize(
    ("value", "encoding"),
    [(None, ""), ("", ""), ("identity", ""), (" Identity ", ""), ("GZIP", "gzip"), ("identity, br", "identity, br")],
)  # fmt: skip
def test_only_a_body_as_it_is_has_no_encoding(value: str | None, encoding: str) -> None:
    headers = {} if value is None else {"Content-Encoding": value}
    assert content_encoding(headers) == encoding
    assert (refused(200, "OK", headers) is None) is (encoding == "")


def test_a_range_in_another_encoding_is_refused_too() -> None:
    failure = refused(206, "Partial Content", {"Content-Encoding": "gzip"}, ranged=True)
    assert failure is not None
    assert failure.reason is R.SOURCE_REFUSED
