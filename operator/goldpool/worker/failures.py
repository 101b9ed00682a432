"""Why an operation failed: the one exception of the room, and the one place that classifies what the kernel says."""

import errno
from typing import Final

from goldpool.contracts.report import FailureReason

MESSAGE_LIMIT: Final = 512
"""``Failure.message`` holds no more characters than this."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class OperationFailed(Exception):
    """An operation ended without success and left nothing published. ``message`` names the numbers and the remedy."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = shortened(message)


class Terminated(BaseException):
    """SIGTERM arrived. No ``Exception``, so that nothing on the way takes it for a failure of the work itself."""


def os_failure(error: OSError) -> OperationFailed:
    """Full (ENOSPC, EDQUOT) is the pool's state and passes; everything else of the kernel's is ``IOError``."""
    reason = FailureReason.POOL_FULL if error.errno in _FULL else FailureReason.IO_ERROR
    where = f" ({error.filename})" if error.filename is not None else ""
    return OperationFailed(reason, f"{error.strerror or error}{where}")


def shortened(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """At most ``limit`` characters that a report can hold: a name on disk need not be UTF-8, and is read with surrogates
    in it (PEP 383), which JSON cannot have."""
    told = message.encode(errors="replace").decode()
    return told if len(told) <= limit else told[: limit - 1] + "…"
