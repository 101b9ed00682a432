"""The worker as a process of its own, killed in mid-transfer."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from goldpool.contracts.operations import Batch, Fetch
from goldpool.contracts.report import Progress, Report
from tests.servers import misbehaving as web
from tests.servers.misbehaving import Server
from tests.unit.worker.builders import MIB, Pool, a_fetch, a_raw_disk

DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()


def worker(pool: Pool, operation: Fetch, log: Path) -> "subprocess.Popen[bytes]":
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "GOLDPOOL_BATCH": Batch(operations=(operation,), identities=(pool.identity,)).to_json(),
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
    assert Progress.from_fields(told["progress"]).total_bytes == len(DISK)
    assert reached.wait(30)
    process.send_signal(with_)
    process.communicate(timeout=30)
    assert list((pool.path / "templates").iterdir()) == []
    if with_ == signal.SIGTERM:
        assert process.returncode == 0
        report = Report.from_json(log.read_bytes())
        assert (report.done, report.failures) == ("0", ())  # unknown: asked again
        assert pool.unpublished() == []
    again = worker(pool, operation, log)
    again.communicate(timeout=60)
    assert again.returncode == 0
    report = Report.from_json(log.read_bytes())
    assert report.fetched is not None
    assert report.fetched.revision == REVISION
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert pool.unpublished() == []


BIG = a_raw_disk(96 * MIB)


@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGTERM])
def test_the_fetch_after_a_killed_one_goes_on_where_it_ended(
    pool: Pool, server: Server, tmp_path: Path, with_: signal.Signals
) -> None:
    """A kill may cost what was not durable yet, and nothing else."""
    gate = web.Gate()
    body = web.Body(BIG, etag='"v1"')
    operation = a_fetch(server.answer("/d", replace(body, gate=gate, gate_at=64 * MIB)))
    log = tmp_path / "termination-log"
    process = worker(pool, operation, log)
    assert gate.reached.wait(60)
    _wait_for(lambda: _recorded(pool) > 32 * MIB)
    before = _recorded(pool)
    process.send_signal(with_)
    process.communicate(timeout=60)
    assert list((pool.path / "templates").iterdir()) == []
    kept = _recorded(pool)
    assert (
        before <= kept <= 64 * MIB
    )  # the server sent so much; how much of it had arrived, only the worker knew
    server.answer("/d", body)
    again = worker(pool, operation, log)
    again.communicate(timeout=120)
    report = Report.from_json(log.read_bytes())
    assert report.fetched is not None
    assert report.fetched.revision == hashlib.sha256(BIG).hexdigest()
    assert (report.fetched.transferred_bytes, report.fetched.resumed_bytes) == (len(BIG), kept)
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == BIG
    assert [request.sent for request in server.requests_of("/d")][1:] == [len(BIG) - kept]
    assert pool.unpublished() == []


def _recorded(pool: Pool) -> int:
    for path in (pool.path / "tmp").glob("*/transfer.json"):
        with contextlib.suppress(FileNotFoundError):  # it is replaced now and then
            return int(json.loads(path.read_bytes())["received"])
    return 0


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
