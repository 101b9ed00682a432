"""What the status and the headers of an answer say of its body. Pure."""

from collections.abc import Mapping

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import shortened
from goldpool.worker.fetch.policy import MirrorFailed


def refused(
    status: int,
    phrase: str | None,
    headers: Mapping[str, str],
    what: str = "the body",
    *,
    ranged: bool = False,
) -> MirrorFailed | None:
    """Why the body is not what was asked for; None when it is. ``ranged``: its first bytes are enough, but all of it will
    do. A busy server is unreachable, not refusing."""
    if ranged and status == 416:
        return MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"{what} is empty")
    if status != 200 and not (ranged and status == 206):
        return MirrorFailed(_reason(status), f"answered {status} {phrase or ''}".rstrip())
    if encoding := content_encoding(headers):
        message = f"sent {what} with Content-Encoding {shortened(encoding, 40)}"
        return MirrorFailed(FailureReason.SOURCE_REFUSED, message)
    return None


def content_encoding(headers: Mapping[str, str]) -> str:
    """Empty for a body as it is: nobody asked for another, and its bytes would not be the file's."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _reason(status: int) -> FailureReason:
    if status in {408, 425, 429} or status >= 500:
        return FailureReason.SOURCE_UNREACHABLE
    return FailureReason.SOURCE_REFUSED
