"""Which answers continue a body: RFC 9110's rules, as a table."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.worker.fetch.resume import Version, objection, range_headers, version_of

ETAG = '"v1"'
MONDAY = "Mon, 02 Jan 2023 10:00:00 GMT"
TUESDAY = "Tue, 03 Jan 2023 10:00:00 GMT"
BY_ETAG = Version(1000, ETAG, MONDAY, ETAG)
BY_DATE = Version(1000, "", MONDAY, MONDAY)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": ETAG}, ETAG),
        ({"ETag": ETAG, "Last-Modified": MONDAY, "Date": TUESDAY}, ETAG),
        ({"ETag": f"W/{ETAG}"}, ""),  # the same ETag for bytes that differ
        ({"ETag": f"W/{ETAG}", "Last-Modified": MONDAY, "Date": TUESDAY}, MONDAY),
        ({"ETag": "v1"}, ""),
        ({"ETag": '"a"b"'}, ""),
        ({"ETag": f'"{"x" * 2000}"'}, ""),
        ({"Last-Modified": MONDAY, "Date": TUESDAY}, MONDAY),
        ({"Last-Modified": MONDAY, "Date": MONDAY}, ""),  # it may be changed again within the same second
        ({"Last-Modified": MONDAY}, ""),
        ({"Last-Modified": "yesterday", "Date": TUESDAY}, ""),
        ({}, ""),
    ],
)
def test_a_validator_is_what_every_change_of_the_bytes_changes(
    headers: dict[str, str], validator: str
) -> None:
    version = version_of(headers, 1000)
    assert version.validator == validator
    assert version.resumable == bool(validator)
    assert not version_of(headers, None).resumable


def test_the_rest_is_asked_for_on_condition() -> None:
    assert range_headers(BY_ETAG, 400) == {"Range": "bytes=400-", "If-Range": ETAG}
    assert range_headers(BY_DATE, 1) == {"Range": "bytes=1-", "If-Range": MONDAY}


GOOD = {"Content-Range": "bytes 400-999/1000", "Content-Length": "600", "ETag": ETAG, "Last-Modified": MONDAY}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"Content-Length": None}, None),  # chunked
        ({"Last-Modified": None}, None),
        ({"Content-Range": "bytes 400-799/1000", "Content-Length": "400"}, None),  # less than was asked for
        ({"Content-Range": None}, "range ''"),
        ({"Content-Range": "bytes 400-999/*"}, "range"),
        ({"Content-Range": "bytes 0-999/1000", "Content-Length": "1000"}, "from byte 400"),
        ({"Content-Range": "bytes 401-999/1000", "Content-Length": "599"}, "from byte 400"),
        ({"Content-Range": "bytes 400-1000/1000", "Content-Length": "601"}, "from byte 400"),
        ({"Content-Range": "bytes 400-399/1000", "Content-Length": "0"}, "from byte 400"),
        ({"Content-Range": "bytes 400-999/1001"}, "has 1001 bytes now"),
        ({"Content-Range": "items 400-999/1000"}, "range"),
        ({"Content-Range": "bytes 400-999/1000, bytes 0-9/1000"}, "range"),
        ({"Content-Range": f"bytes 400-999/{'9' * 5000}"}, "range"),
        ({"Content-Length": "599"}, "599 bytes"),
        ({"ETag": '"v2"'}, "ETag"),
        ({"ETag": None}, "ETag"),
        ({"ETag": f"W/{ETAG}"}, "ETag"),
        ({"Last-Modified": TUESDAY}, "modified"),
        ({"Content-Encoding": "gzip"}, "Content-Encoding gzip"),
    ],
)
def test_a_partial_answer_is_verified(changes: dict[str, str | None], says: str | None) -> None:
    headers = {name: value for name, value in (GOOD | changes).items() if value is not None}
    found = objection(BY_ETAG, 400, 206, headers)
    assert found is None if says is None else found is not None and says in found


@pytest.mark.parametrize("status", [200, 204, 304, 404, 416, 500])
def test_only_206_is_a_partial_answer(status: int) -> None:
    assert objection(BY_ETAG, 400, status, GOOD) is not None


@pytest.mark.parametrize(
    ("headers", "continues"),
    [
        ({}, True),  # RFC 9110, 15.3.7: it need not repeat what the client named in If-Range
        ({"Last-Modified": MONDAY}, True),
        ({"Last-Modified": TUESDAY}, False),
    ],
)
def test_with_a_date_as_the_condition_it_need_not_be_repeated(
    headers: dict[str, str], continues: bool
) -> None:
    given_headers = {"Content-Range": "bytes 400-999/1000"} | headers
    assert (objection(BY_DATE, 400, 206, given_headers) is None) == continues


@given(st.dictionaries(st.sampled_from([*GOOD, "Date", "Content-Encoding"]), st.text(max_size=60)))
def test_whatever_a_server_says_it_is_judged_without_a_crash(headers: dict[str, Any]) -> None:
    version = version_of(headers, 1000)
    objection(version, 400, 206, headers)
    assert objection(BY_ETAG, 400, 206, headers | {"Content-Range": "bytes 0-999/1000"}) is not None
