"""Fetches from a real NFS server on loopback."""

import hashlib
import itertools
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.network import AddressRules
from goldpool.contracts.operations import Fetch, ProbeSource
from goldpool.contracts.report import FailureReason, Progress
from goldpool.contracts.source import Source
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch import fetch
from goldpool.worker.fetch.answers import Answers
from goldpool.worker.fetch.progress import Reporter
from goldpool.worker.fetch.source_probe import Findings, probe_source
from goldpool.worker.pool import opened
from tests.servers.ganesha import Ganesha, ganesha, needs_ganesha
from tests.unit.worker.builders import MIB, Pool, a_checksum, a_fetch, a_policy, a_raw_disk
from tests.unit.worker.fetch.archives import zst
from tests.unit.worker.test_killed_fetch import worker

pytestmark = needs_ganesha
R = FailureReason
DISK = a_raw_disk()
REVISION = hashlib.sha256(DISK).hexdigest()
LARGE = 48 * MIB


@pytest.fixture(scope="module")
def files() -> Iterator[Ganesha]:
    with ganesha() as server:
        (server.export / "sub").mkdir()
        (server.export / "disk.raw").write_bytes(DISK)
        (server.export / "sub/disk.raw.zst").write_bytes(zst(DISK))
        (server.export / "empty").touch()
        yield server


@pytest.fixture
def large(files: Ganesha) -> Iterator[Path]:
    """So large that something can happen while it is read. Of a name of its own: the server goes on serving a file that
    is gone, to whoever asks by its name, as long as it thinks that a client has it open."""
    path = files.export / secrets.token_hex(4)
    path.write_bytes(os.urandom(MIB) * (LARGE // MIB))
    yield path
    path.unlink()


def tools(of: int | str = "self") -> list[int]:
    """Running nfs-cat processes that it started."""
    mine = Path(f"/proc/{of}/task").glob("*/children")
    pids = [int(pid) for children in mine for pid in children.read_text().split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "nfs-cat"]


def failure_of(pool: Pool, operation: Fetch, meanwhile: Callable[[], None] = lambda: None) -> tuple[R, str]:
    """Why it failed; ``meanwhile`` happens once, when the first bytes have come. Nothing is left, on the pool or
    of the tool."""
    happened: list[int] = []

    def tell(progress: Progress) -> None:
        if progress.done_bytes and not happened:
            happened.append(progress.done_bytes)
            meanwhile()

    clock = itertools.count(step=10)
    with opened(pool.path, pool.identity) as location, pytest.raises(OperationFailed) as caught:
        fetch(location, operation, Answers(), lambda: Reporter(tell, lambda: next(clock)))
    assert tools() == []
    assert pool.unpublished() == []
    assert list((pool.path / "templates").iterdir()) == []
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/disk.raw", "127.0.0.1"),
        ("/disk.raw", "localhost"),  # which may be ::1 first, where nobody listens
        ("/sub/disk.raw.zst", "127.0.0.1"),
    ],
)
def test_a_file_is_fetched(pool: Pool, files: Ganesha, path: str, host: str) -> None:
    url = f"nfs://{host}:{files.port}/images{path}"
    checksum = a_checksum(hashlib.sha256((files.export / path[1:]).read_bytes()).hexdigest())
    report = pool.run(a_fetch(url, checksums=(checksum,)))
    assert report.fetched is not None, report.failures
    assert (report.fetched.revision, report.fetched.mirror) == (REVISION, url)
    assert (pool.path / "templates/p-1/disk.raw").read_bytes() == DISK
    assert tools() == []


def test_it_is_one_mirror_among_others(pool: Pool, files: Ganesha) -> None:
    report = pool.run(a_fetch("http://127.0.0.1:1/x", files.url("/none"), files.url("/disk.raw")))
    assert report.fetched is not None
    assert report.fetched.mirror == files.url("/disk.raw")


def test_the_tool_gets_an_address_and_nothing_else(
    pool: Pool, files: Ganesha, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One resolution: whatever the name means a moment later, the tool never hears it."""
    seen = tmp_path / "seen"
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin/nfs-cat"
    stand_in.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}; env >> {seen}\nPATH=/usr/bin exec nfs-cat "$@"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("A_SECRET", "secret")
    assert pool.one(a_fetch(f"nfs://localhost:{files.port}/images/disk.raw")) is None
    argument, *environment = seen.read_text().splitlines()
    assert argument == f"nfs://127.0.0.1/images/disk.raw?version=4&nfsport={files.port}"
    assert {line.partition("=")[0] for line in environment} <= {"PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD"}


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("/none", R.SOURCE_REFUSED, "NOENT"),
        ("/sub", R.SOURCE_REFUSED, "ISDIR"),
        ("/empty", R.TRANSFER_INCOMPLETE, "empty"),
    ],
)
def test_what_is_no_file_says_so(pool: Pool, files: Ganesha, path: str, reason: R, words: str) -> None:
    found, message = failure_of(pool, a_fetch(files.url(path)))
    assert found is reason
    assert words in message
    assert files.url(path) in message


@pytest.mark.parametrize(
    ("url", "policy", "reason"),
    [
        ("nfs://127.0.0.1:1/images/disk.raw", {}, R.SOURCE_UNREACHABLE),
        ("nfs://no.such.host.invalid/images/disk.raw", {}, R.SOURCE_UNREACHABLE),
        ("nfs://127.0.0.1:PORT/images/disk.raw", {"addresses": AddressRules()}, R.ADDRESS_REFUSED),
        ("nfs://localhost:PORT/images/disk.raw", {"addresses": AddressRules()}, R.ADDRESS_REFUSED),
        ("nfs://127.0.0.1:PORT/images/../disk.raw", {}, R.UNSUPPORTED),
        ("nfs://127.0.0.1:PORT/images/disk.raw?uid=0", {}, R.UNSUPPORTED),
        ("nfs://127.0.0.1:PORT/images/disk.raw", {"max_bytes": MIB}, R.TOO_LARGE),
    ],
)
def test_where_nothing_is_fetched_from(
    pool: Pool, files: Ganesha, url: str, policy: dict[str, Any], reason: R
) -> None:
    operation = a_fetch(url.replace("PORT", str(files.port)), policy=a_policy(**policy))
    assert failure_of(pool, operation)[0] is reason


def slowly(rate: int = 16 * MIB, **changes: Any) -> dict[str, Any]:
    """At a rate that leaves time for something to happen."""
    return {"policy": a_policy(attempts=1, max_bytes_per_second=rate, **changes)}


def test_a_server_that_falls_silent_is_given_up(pool: Pool, files: Ganesha, large: Path) -> None:
    silence = files.silent()
    try:
        found = failure_of(
            pool,
            a_fetch(files.url(f"/{large.name}"), **slowly(idle_seconds=0.5, connect_seconds=60)),
            meanwhile=silence.__enter__,
        )
    finally:
        silence.__exit__(None, None, None)
    assert found[0] is R.TRANSFER_INCOMPLETE
    assert "no byte" in found[1]


def test_a_server_that_never_speaks_is_unreachable(pool: Pool, files: Ganesha) -> None:
    with files.silent():
        policy = a_policy(attempts=1, idle_seconds=60, connect_seconds=0.3)
        found = failure_of(pool, a_fetch(files.url("/disk.raw"), policy=policy))
    assert found[0] is R.SOURCE_UNREACHABLE


def test_a_tool_that_was_killed_has_not_brought_all(pool: Pool, files: Ganesha, large: Path) -> None:
    """Its output ends like that of a good one."""

    def kill() -> None:
        for pid in tools():
            os.kill(pid, signal.SIGKILL)

    assert (
        failure_of(pool, a_fetch(files.url(f"/{large.name}"), **slowly()), meanwhile=kill)[0]
        is R.TRANSFER_INCOMPLETE
    )


def test_a_file_that_shrinks_is_given_up(pool: Pool, files: Ganesha, large: Path) -> None:
    """The tool asks for the missing bytes for ever."""

    def shrink() -> None:
        os.truncate(large, 17 * MIB)

    found = failure_of(
        pool,
        a_fetch(files.url(f"/{large.name}"), **slowly(idle_seconds=0.5, connect_seconds=60)),
        meanwhile=shrink,
    )
    assert found[0] is R.TRANSFER_INCOMPLETE


def test_no_transfer_outlives_its_time(pool: Pool, files: Ganesha, large: Path) -> None:
    found, message = failure_of(pool, a_fetch(files.url(f"/{large.name}"), **slowly(MIB, total_seconds=2)))
    assert found is R.TRANSFER_INCOMPLETE
    assert "within 2 s" in message


@pytest.mark.parametrize("with_", [signal.SIGTERM, signal.SIGKILL])
def test_the_tool_does_not_outlive_the_worker(
    pool: Pool, files: Ganesha, large: Path, tmp_path: Path, with_: signal.Signals
) -> None:
    """Terminated, the worker ends it; killed, it leaves a pipe that nobody reads."""
    process = worker(pool, a_fetch(files.url(f"/{large.name}"), **slowly(MIB)), tmp_path / "log")
    assert process.stdout is not None
    while not Progress.from_fields(json.loads(process.stdout.readline())["progress"]).done_bytes:
        pass
    (tool,) = tools(process.pid)
    process.send_signal(with_)
    process.communicate(timeout=60)
    end = time.monotonic() + 60
    while Path(f"/proc/{tool}").exists():
        assert time.monotonic() < end, "the tool is still there"
        time.sleep(0.02)
    assert list((pool.path / "templates").iterdir()) == []
    if with_ is signal.SIGTERM:
        assert pool.unpublished() == []


# --- asked without being fetched


def probed(url: str) -> Findings:
    asked = ProbeSource(
        id="probe-1",
        template="debian",
        template_uid="t-1",
        format=ImageFormat.QCOW2,
        source=Source(urls=(url,)),
        policy=a_policy(),
    )
    return probe_source(asked, time.monotonic() + 60)


def test_a_probe_looks_at_the_first_bytes(files: Ganesha) -> None:
    disk = (
        b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + (5 << 30).to_bytes(8, "big") + os.urandom(4 * MIB)
    )
    (files.export / "disk.qcow2").write_bytes(disk)
    said = probed(files.url("/disk.qcow2")).probed
    assert said is not None
    assert (said.format, said.virtual_bytes, said.size) == ("qcow2", 5 << 30, None)
    assert tools() == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", R.SOURCE_REFUSED),
        ("/empty", R.TRANSFER_INCOMPLETE),
        ("/disk.raw", R.WRONG_FORMAT),
        ("/a?b", R.UNSUPPORTED),
    ],
)
def test_a_probe_says_what_a_fetch_would_meet(files: Ganesha, path: str, reason: R) -> None:
    found = probed(files.url(path))
    assert found.probed is None
    assert [result.reason for result in found.mirrors] == [reason]
    assert tools() == []
