"""Bytes through threads into a file: nothing is lost, doubled or reordered, and who fails is heard."""

import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.contracts.operations import Checksum, FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.checkpoints import STEP_BYTES, Checkpoints
from goldpool.worker.fetch.pipeline import CHUNK, Pipeline
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.room import Room
from goldpool.worker.fetch.sink import Sink, SparseFile
from goldpool.worker.fetch.speed import Bandwidth, MinimumSpeed
from goldpool.worker.fetch.verify import Digests
from tests.unit.worker.builders import a_checksum

R = FailureReason
BLOCK = 64 << 10
ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


@contextmanager
def a_file(directory: Path) -> Iterator[int]:
    fd = os.open(directory / "disk", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        yield fd
    finally:
        os.close(fd)


def checksums(content: bytes) -> list[Checksum]:
    return [a_checksum(hashlib.new(name, content).hexdigest(), name) for name in ALGORITHMS]


Run = tuple[bool, int]
"""Zeros or not, and how many bytes."""


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([1, 511, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 300_000])), max_size=12),
    st.lists(st.integers(1, 2 * CHUNK), min_size=1, max_size=8),
)  # fmt: skip
def test_any_body_in_any_pieces_is_hashed_and_written_once(
    tmp_path_factory: pytest.TempPathFactory, runs: list[Run], cuts: list[int]
) -> None:
    content = b"".join(bytes(length) if zeros else os.urandom(length) for zeros, length in runs)
    declared = checksums(content)
    digests = Digests(declared)
    with a_file(tmp_path_factory.mktemp("sink")) as fd, Sink(SparseFile(fd), digests) as sink:
        place = turn = 0
        while place < len(content):
            piece = content[place : place + cuts[turn % len(cuts)]]
            sink.write(piece)
            place, turn = place + len(piece), turn + 1
        sink.finish()
        assert sink.received == len(content) == os.fstat(fd).st_size
        assert os.pread(fd, len(content) + 1, 0) == content
        assert digests.revision() == hashlib.sha256(content).hexdigest()
        assert digests.mismatch(declared) is None


def test_a_run_of_zeros_is_a_hole_wherever_the_pieces_begin(tmp_path: Path) -> None:
    content = b"a" * 1000 + bytes(40 * BLOCK) + b"z"
    with a_file(tmp_path) as fd, Sink(SparseFile(fd), Digests()) as sink:
        sink.write(content)
        sink.finish()
        assert os.pread(fd, len(content), 0) == content
        assert os.fstat(fd).st_blocks * 512 <= 3 * BLOCK


def test_holes_are_counted_from_the_beginning_of_the_file(tmp_path: Path) -> None:
    pieces = [b"a" * 1000, b"a" * (BLOCK - 1000) + bytes(BLOCK) + b"z"]
    with a_file(tmp_path) as fd:
        file = SparseFile(fd)
        for piece in pieces:
            file.write(memoryview(piece))
        assert os.pread(fd, 3 * BLOCK, 0) == b"".join(pieces)
        assert os.fstat(fd).st_blocks * 512 < 2 * BLOCK


def test_each_declared_digest_counts() -> None:
    for wrong in ALGORITHMS:
        declared = [
            a_checksum(hashlib.new(name, b"x" if name == wrong else b"").hexdigest(), name)
            for name in ALGORITHMS
        ]
        found = Digests(declared).mismatch(declared)
        assert found is not None
        assert found.startswith(wrong)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_stage_meets_reaches_who_fills(place: int) -> None:
    seen: list[int] = []

    def fails(_: memoryview) -> None:
        raise OSError(28, "No space left on device")

    stages: list[Callable[[memoryview], None]] = [lambda data: seen.append(len(data))] * 3
    stages[place] = fails
    pipeline = Pipeline(stages)

    def fill() -> None:
        while True:  # ends only by the failure: more is filled than there are buffers
            pipeline.filled(len(pipeline.space()))

    with pytest.raises(OSError, match="No space left"):
        fill()
    pipeline.stop()
    with pytest.raises(OSError, match="No space left"):
        pipeline.drain()
    assert set(seen) <= {CHUNK}
    assert not pipeline.ended_well


def test_a_slow_stage_holds_the_source_back() -> None:
    go = threading.Event()

    def wait(_: memoryview) -> None:
        go.wait()

    pipeline = Pipeline((lambda _: None, wait))
    filled = threading.Semaphore(0)

    def fill() -> None:
        for _ in range(50):
            pipeline.filled(len(pipeline.space()))
            filled.release()

    filler = threading.Thread(target=fill)
    filler.start()
    for _ in range(6):
        assert filled.acquire(timeout=30)
    assert not filled.acquire(timeout=0.2)  # a seventh mebibyte has no memory to be in
    go.set()
    filler.join(30)
    pipeline.drain()


class _Interrupted(BaseException):
    pass


def test_no_thread_outlives_its_pipeline_even_if_a_signal_comes_while_it_ends() -> None:
    """What it wrote then would go to whatever has the descriptor's number by that time."""
    go, before = threading.Event(), threading.active_count()

    def interrupt(*_: object) -> None:
        threading.Timer(0.3, go.set).start()
        raise _Interrupted

    def wait(_: memoryview) -> None:
        go.wait()

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        pipeline = Pipeline((wait, lambda _: None))
        pipeline.filled(len(pipeline.space()))
        threading.Thread(target=_signal_when_joining, args=(threading.get_ident(),)).start()
        with pytest.raises(_Interrupted):
            pipeline.stop()
        assert go.is_set()
        assert pipeline.ended_well
    finally:
        signal.signal(signal.SIGUSR1, previous)
    while threading.active_count() > before:  # the timer's
        time.sleep(0.01)


def _signal_when_joining(main: int) -> None:
    """Once the main thread waits for another one to end."""
    while True:
        frame: FrameType | None = sys._current_frames()[main]
        while frame is not None and frame.f_code.co_name != "join":
            frame = frame.f_back
        if frame is not None:
            signal.pthread_kill(main, signal.SIGUSR1)
            return
        time.sleep(0.01)


def test_a_body_that_was_left_in_the_middle_counts_up_to_there(tmp_path: Path) -> None:
    written: list[int] = []
    with a_file(tmp_path) as fd:
        sink = Sink(SparseFile(fd), digests := Digests(), written=written.append)

        def receive() -> None:
            with sink:
                sink.write(b"a" * (CHUNK + 5))
                raise MirrorFailed(R.TRANSFER_INCOMPLETE, "lost")

        with pytest.raises(MirrorFailed):
            receive()
        assert sink.intact
        assert written[-1] == sink.received == CHUNK + 5
        assert digests.revision() == hashlib.sha256(b"a" * (CHUNK + 5)).hexdigest()
        assert os.pread(fd, 2 * CHUNK, 0) == b"a" * (CHUNK + 5)


@pytest.mark.parametrize(
    ("policy", "free", "reason"),
    [
        ({"max_bytes": 5}, 1 << 40, R.TOO_LARGE),
        ({"reserve_bytes": 64}, 63, None),  # looked at each 64 MiB, and before the first byte
    ],
)
def test_limits_are_counted_while_bytes_arrive(
    tmp_path: Path, policy: dict[str, int], free: int, reason: FailureReason | None
) -> None:
    room = Room(FetchPolicy.from_fields(policy), lambda: free)
    with a_file(tmp_path) as fd, Sink(SparseFile(fd), Digests(), room) as sink:
        if reason is None:
            with pytest.raises(OperationFailed) as full:
                sink.write(bytes(66 * CHUNK))
            assert full.value.reason is R.POOL_FULL
            assert sink.received == 64 * CHUNK
            return
        sink.write(b"12345")
        with pytest.raises(MirrorFailed) as large:
            sink.write(b"6")
        assert large.value.reason is reason


def test_checkpoints_vouch_for_what_was_written_before_them(tmp_path: Path) -> None:
    told: list[int] = []
    heard = threading.Event()

    def durable(offset: int) -> None:
        told.append(offset)
        heard.set()

    def failed(error: BaseException) -> None:
        raise AssertionError(error)

    with a_file(tmp_path) as fd:
        with Checkpoints(fd, 0, durable, failed) as checkpoints:
            checkpoints.written(5)  # too little to hurry: after a second
            assert heard.wait(30)
            heard.clear()
            checkpoints.written(5 + STEP_BYTES)
            assert heard.wait(30)
        checkpoints.written(1 << 40)
    assert told == [5, 5 + STEP_BYTES]


def test_a_disk_that_cannot_keep_what_it_took_is_heard_of() -> None:
    met: list[BaseException] = []
    heard = threading.Event()

    def failed(error: BaseException) -> None:
        met.append(error)
        heard.set()

    reading, writing = os.pipe()  # no fdatasync(2) there
    try:
        with Checkpoints(writing, 0, lambda _: None, failed) as checkpoints:
            checkpoints.written(STEP_BYTES)
            assert heard.wait(30)
    finally:
        os.close(reading)
        os.close(writing)
    assert isinstance(met[0], OSError)


@pytest.mark.parametrize(
    ("reads", "slow"),
    [
        ([(1.0, 100)] * 9, False),  # the window is not over
        ([(1.0, 100)] * 10, False),  # just as fast as wanted
        ([(1.0, 99)] * 10, True),
        ([(9.9, 0), (0.1, 999)], True),
        ([(9.9, 0), (0.1, 1000)], False),
        ([(0.0, 1)] * 1000, False),  # all time was ours
        ([(1.0, 1000)] * 10 + [(1.0, 0)] * 10, True),  # a fast beginning is no credit
    ],
)
def test_a_slow_mirror_is_given_up(reads: list[tuple[float, int]], slow: bool) -> None:
    speed = MinimumSpeed(100, 10.0)
    found = [speed.too_slow(*read) for read in reads]
    assert any(found) == slow


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 1 << 20)), min_size=1), st.integers(1, 1 << 30))
def test_bandwidth_is_kept_over_any_time(reads: list[tuple[float, int]], limit: int) -> None:
    bandwidth = Bandwidth(limit)
    now, total = 0.0, 0
    for idle, received in reads:
        now += idle
        before = now
        pause = bandwidth.pause(now, received)
        now += pause
        total += received
        # Never more since the beginning than the limit allows, but for the credit of a quarter of a second.
        assert total <= limit * (now + 0.25) * (1 + 1e-6) + 1
        assert pause <= received / limit * (1 + 1e-6) + 1e-6 or before == 0.0


def test_no_bandwidth_is_no_pause() -> None:
    assert Bandwidth(0).pause(0.0, 1 << 40) == 0
