"""The worker as a process of its own, killed in mid-transfer."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from goldpool.contracts.operations import Batch, Fetch, Progress, Report
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Server
from tests.unit.worker.builders import MIB, Pool, a_fetch, a_raw_disk

DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()


def worker(pool: Pool, operation: Fetch, log: Path) -> "subprocess.Popen[bytes]":
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "GOLDPOOL_BATCH": Batch(operations=(operation,), identities=(pool.identity,)).model_dump_json(),
        "GOLDPOOL_POOLS": str(pool.root),
        "GOLDPOOL_TERMINATION_LOG": str(log),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "goldpool.worker"], env=environment, stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("sent", [0, 1, 1 * MIB, len(DISK) - 1])
@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_fetch_publishes_nothing_and_the_next_one_publishes_all(
    pool: Pool, server: Server, tmp_path: Path, sent: int, with_: signal.Signals
) -> None:
    reached = threading.Event()

    def hang(request: web.Exchange) -> None:
        request.head(200, Content_Length=str(len(DISK)))
        request.wfile.write(DISK[:sent])
        request.wfile.flush()
        reached.set()
        request.server.released.wait()

    operation = a_fetch(server.answer("/d", web.in_turn(hang, web.body(DISK))))
    log = tmp_path / "termination-log"
    process = worker(pool, operation, log)
    assert process.stdout is not None
    told = json.loads(
        process.stdout.readline()
    )  # the worker has the head of the response: it is in mid-fetch
    assert Progress.model_validate(told["progress"]).total_bytes == len(DISK)
    assert reached.wait(30)
    process.send_signal(with_)
    process.communicate(timeout=30)
    assert list((pool.path / "templates").iterdir()) == []
    if with_ == signal.SIGTERM:
        assert process.returncode == 0
        report = Report.model_validate_json(log.read_bytes())
        assert (report.done, report.failures) == ("0", ())  # unknown: asked again
        assert pool.unpublished() == []
    again = worker(pool, operation, log)
    again.communicate(timeout=60)
    assert again.returncode == 0
    report = Report.model_validate_json(log.read_bytes())
    assert report.fetched is not None
    assert report.fetched.revision == REVISION
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert pool.unpublished() == []
