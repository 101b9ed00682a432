"""Answers as a real API server 1.34 gave them (api-server.md §1, §2), and what each means to a caller."""

import json
from typing import Any

import pytest

from goldpool.kube.errors import classify, from_status
from goldpool.kube.port import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Unavailable,
)


def status(code: int, reason: str = "", message: str = "", **details: Any) -> str:
    body = {"kind": "Status", "status": "Failure", "code": code, "message": message, "details": details}
    return json.dumps(body | ({"reason": reason} if reason else {}))


UID_CAUSE = {"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"}
SIZE_CAUSE = {"reason": "FieldValueInvalid", "message": "must be positive", "field": "spec.size"}


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (404, status(404, "NotFound"), NotFound),
        (404, "404 page not found\n", NotFound),  # a CRD that is not served yet
        (409, status(409, "AlreadyExists"), AlreadyExists),
        (409, status(409, "Conflict", "the object has been modified"), Conflict),
        (409, status(409, "Conflict", "uid mismatch: ... no existing object was found"), Conflict),
        (422, status(422, "Invalid", causes=[UID_CAUSE]), Conflict),  # the name is another object's now
        (422, status(422, "Invalid", causes=[SIZE_CAUSE]), Invalid),
        (422, status(422, "Invalid"), Invalid),
        (400, status(400, "BadRequest"), Invalid),
        (415, status(415, "UnsupportedMediaType"), Invalid),
        (413, status(413, "RequestEntityTooLarge"), Invalid),
        (413, "too large", Invalid),
        (403, status(403, "Forbidden"), Forbidden),
        (401, status(401, "Unauthorized"), Unavailable),  # a token that rotates
        (410, status(410, "Expired"), Expired),
        (410, status(410, "Gone"), Expired),
        (429, "Too many requests, please try again later.\n", Unavailable),  # priority and fairness
        (429, status(429, "TooManyRequests", "storage is (re)initializing"), Unavailable),
        (500, status(500, "InternalError"), Unavailable),
        (
            500,
            status(
                500,
                "",
                "failed to create typed patch object (a/b; c/v1, Kind=D): .spec.x: field not declared",
            ),
            Invalid,
        ),
        (500, status(500, "", '.status.poolRefs: duplicate entries for key [host="",pool="p2"]'), Invalid),
        (503, status(503, "ServiceUnavailable"), Unavailable),
        (504, status(504, "Timeout", "Too large resource version: 9, current: 5"), Unavailable),
        (502, "<html>bad gateway</html>", Unavailable),
        (418, "", Unavailable),
    ],
)
def test_the_class_of_an_answer(code: int, body: str, expected: type[KubeError]) -> None:
    error = classify(code, body.encode())
    assert type(error) is expected
    assert error.status == code
    assert error.message


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"Retry-After": "1"}, "Too many requests", 1.0),
        ({}, status(429, "TooManyRequests", retryAfterSeconds=3), 3.0),
        ({}, "Too many requests", None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "", None),
    ],
)
def test_the_time_the_server_asked_for(headers: dict[str, str], body: str, expected: float | None) -> None:
    error = classify(429, body, headers)
    assert isinstance(error, Unavailable)
    assert error.retry_after == expected


def test_an_error_inside_a_watch() -> None:
    event = {
        "kind": "Status",
        "message": "too old resource version: 5 (53455)",
        "reason": "Expired",
        "code": 410,
    }
    assert type(from_status(event)) is Expired


def test_the_message_is_the_servers_own() -> None:
    assert classify(422, status(422, "Invalid", "spec.size: too small")).message == "spec.size: too small"
