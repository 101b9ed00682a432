"""When a body may be continued where an earlier transfer of it ended. Pure.

Source: RFC 9110, 8.8 (validators), 13.1.5 (If-Range), 14 (ranges), 15.3.7 (206).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from goldpool.worker.fetch.refusals import content_encoding

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_ETAG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_HEADER_LIMIT: Final = 1024
"""What is longer is not taken for a validator: records stay small."""


@dataclass(frozen=True)
class Version:
    """One state of what a URL names. ``etag`` and ``last_modified`` as the server gave them, maybe empty.

    ``validator`` is the one of them that a change of a single byte changes, for If-Range; empty when none does.
    """

    total: int | None
    etag: str = ""
    last_modified: str = ""
    validator: str = ""

    @property
    def resumable(self) -> bool:
        return self.total is not None and self.validator != ""


def version_of(headers: Mapping[str, str], total: int | None) -> Version:
    """What the headers of a full answer say of its body."""
    etag, last_modified = (_short(headers.get(name, "")) for name in ("ETag", "Last-Modified"))
    strong = etag if _ETAG.fullmatch(etag) else ""
    return Version(total, etag, last_modified, strong or _strong_date(last_modified, headers.get("Date", "")))


def range_headers(version: Version, received: int) -> dict[str, str]:
    """The rest, if the source is still the same; else all of it."""
    return {"Range": f"bytes={received}-", "If-Range": version.validator}


def objection(version: Version, received: int, status: int, headers: Mapping[str, str]) -> str | None:
    """Why an answer to ``range_headers`` is not the rest of this version; None when it is."""
    if status != 206:
        return f"answered {status}, not 206"
    if encoding := content_encoding(headers):
        return f"sent a range with Content-Encoding {encoding}"
    stated = headers.get("Content-Range", "").strip()
    if (match := _CONTENT_RANGE.fullmatch(stated)) is None:
        return f"sent the range {stated[:80]!r}"
    first, last, total = map(int, match.groups())
    if first != received or not first <= last < total:
        return f"sent the range {stated}, asked for from byte {received}"
    if total != version.total:
        return f"has {total} bytes now, had {version.total}"
    if headers.get("Content-Length", str(last - first + 1)).strip() != str(last - first + 1):
        return f"sent {headers['Content-Length'].strip()} bytes as the range {stated}"
    return _other_version(version, headers)


def _other_version(version: Version, headers: Mapping[str, str]) -> str | None:
    # A server may know ranges and not If-Range: the answer has to name the version itself. With a date as the
    # condition it need not repeat it (RFC 9110, 15.3.7); with an ETag it must.
    etag, last_modified = headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()
    if version.validator == version.etag != etag:
        return f"has the ETag {_short(etag)} now, had {version.etag}"
    if last_modified and version.last_modified and last_modified != version.last_modified:
        return f"was modified {_short(last_modified)}, no longer {version.last_modified}"
    return None


def _strong_date(last_modified: str, date: str) -> str:
    """A date proves something only if the second it names was over when the answer was sent (RFC 9110, 8.8.2.2)."""
    modified, sent = _parsed(last_modified), _parsed(date)
    if modified is None or sent is None or sent - modified < timedelta(seconds=1):
        return ""
    return last_modified


def _parsed(date: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo is not None else None


def _short(value: str) -> str:
    value = value.strip()
    return value if len(value) <= _HEADER_LIMIT and value.isprintable() else ""
