"""On shared storage a host sees another host's changes late: NFS caches names and attributes for seconds.

What is missing or stale there may be there in a moment, so it is looked for again before it is believed.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from goldpool.contracts.layout import LocationIdentity
from goldpool.contracts.operations import Initialize, Operation
from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed

_LATE: Final = frozenset({errno.ENOENT, errno.ESTALE})
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


@dataclass
class Patience:
    """What one batch may wait in all: a share that is gone must not cost each of its operations the whole time."""

    seconds: float
    pause: Callable[[float], None]
    _next: float = _FIRST_PAUSE

    def bears(self) -> bool:
        """Waits, a little longer each time; False at once when the time is used up."""
        if self.seconds <= 0:
            return False
        wait = min(self._next, self.seconds)
        self.seconds -= wait
        self._next = min(2 * self._next, _LONGEST_PAUSE)
        self.pause(wait)
        return True


def is_shared(identity: LocationIdentity | None) -> bool:
    """A location that belongs to no Node is one that all hosts see."""
    return identity is not None and not identity.node


def may_pass(error: OSError | OperationFailed, operation: Operation) -> bool:
    """Whether it may be another host's change that this one does not see yet."""
    for each in (error, error.__cause__):
        if isinstance(each, OSError) and each.errno in _LATE:
            return True
    # An identity that is missing is why most operations fail; for one that writes it, it is the beginning.
    missing = isinstance(error, OperationFailed) and error.reason is FailureReason.NOT_MOUNTED
    return missing and not isinstance(operation, Initialize)
