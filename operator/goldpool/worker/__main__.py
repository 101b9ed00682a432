"""``python -m goldpool.worker``: a Batch from the environment, a Report to the termination message."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from goldpool.contracts.layout import POOLS_ROOT
from goldpool.contracts.model import CONTRACT_VERSION, Misread
from goldpool.contracts.operations import BATCH_ENV, Batch
from goldpool.worker.batch import Host, run
from goldpool.worker.failures import Terminated
from goldpool.worker.log import log
from goldpool.worker.report import encoded

POOLS_ENV: Final = "GOLDPOOL_POOLS"
TERMINATION_LOG_ENV: Final = "GOLDPOOL_TERMINATION_LOG"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """0 whenever a report was written, whatever it says; 2 when the batch could not be understood; 143 on SIGTERM."""
    try:
        batch = Batch.from_json(environment.get(BATCH_ENV, ""))
    except Misread as error:
        log("batch refused", problem=str(error))
        return 2
    if batch.version != CONTRACT_VERSION:
        log("batch refused", version=batch.version, understood=CONTRACT_VERSION)
        return 2
    signal.signal(signal.SIGTERM, _terminate)
    try:
        report = run(batch, Host(pools=Path(environment.get(POOLS_ENV, str(POOLS_ROOT)))))
    except Terminated:
        return 128 + signal.SIGTERM  # it came after the last operation: all is asked again, and found done
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # In one write: a reader must never see half of it. The kubelet made the file, so it is not replaced.
    target = Path(environment.get(TERMINATION_LOG_ENV, "/dev/termination-log"))
    target.write_bytes(encoded(report))
    return 0


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    # Once: what follows is the way out, and it must not be cut short by a second signal.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
