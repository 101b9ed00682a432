"""What an answer of the API server means for the caller: decided here, once, and nowhere else.

Source of the table: api-server.md §1 and §2. The Status body's ``reason`` decides; the HTTP code only where there is
no Status (a plain-text 404 of a CRD not served yet, a plain-text 429 of priority and fairness).
"""

import json
from collections.abc import Mapping
from typing import Any

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

_BY_REASON: Mapping[str, type[KubeError]] = {
    "NotFound": NotFound,
    "AlreadyExists": AlreadyExists,
    "Conflict": Conflict,
    "Invalid": Invalid,
    "BadRequest": Invalid,
    "MethodNotAllowed": Invalid,
    "NotAcceptable": Invalid,
    "UnsupportedMediaType": Invalid,
    "RequestEntityTooLarge": Invalid,
    "Forbidden": Forbidden,
    "Expired": Expired,
    "Gone": Expired,
}

_BY_STATUS: Mapping[int, type[KubeError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    406: Invalid,
    409: Conflict,
    410: Expired,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}

_NEVER_WITH_500 = ("failed to create typed patch object", "duplicate entries for key")
"""Schema errors of server-side apply come as 500 without a reason; trying them again would never end."""


def classify(status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> KubeError:
    """The exception for an answer of 400 and above. ``retry_after`` is in seconds."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return from_status(_status_object(text), http_status=status, headers=headers, text=text)


def from_status(
    answer: Mapping[str, Any],
    *,
    http_status: int = 0,
    headers: Mapping[str, str] | None = None,
    text: str = "",
) -> KubeError:
    """The exception for a ``v1.Status``; also for the one inside a watch's ERROR event."""
    status = int(answer.get("code") or http_status or 0)
    reason = str(answer.get("reason") or "")
    message = str(answer.get("message") or text.strip() or f"HTTP {status}")
    details = answer.get("details") or {}
    if status >= 500 and any(mark in message for mark in _NEVER_WITH_500):
        return Invalid(message, status=status, reason=reason)
    if reason == "Invalid" and _names_another_uid(details):
        # Server-side apply says 422, not 409, when the name is another object's now.
        return Conflict(message, status=status, reason=reason)
    error = _BY_REASON.get(reason) or _BY_STATUS.get(status)
    if error is not None:
        return error(message, status=status, reason=reason)
    return Unavailable(message, status=status, reason=reason, retry_after=_retry_after(details, headers))


def _status_object(text: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _names_another_uid(details: Mapping[str, Any]) -> bool:
    return any(cause.get("field") == "metadata.uid" for cause in details.get("causes") or ())


def _retry_after(details: Mapping[str, Any], headers: Mapping[str, str] | None) -> float | None:
    named = (headers or {}).get("Retry-After") or details.get("retryAfterSeconds")
    try:
        return float(named) if named else None
    except ValueError:
        return None  # an HTTP date: no API server sends one
