import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.operations import Batch
from goldpool.contracts.report import TERMINATION_MESSAGE_LIMIT, Failure, FailureReason, Report
from goldpool.contracts.source import MirrorResult
from goldpool.worker.__main__ import main
from goldpool.worker.failures import os_failure
from goldpool.worker.report import encoded
from tests.unit.worker.builders import Pool, a_blank

failures = st.builds(
    Failure, index=st.integers(0, 999), reason=st.sampled_from(FailureReason), message=st.text(max_size=512)
)
locations = st.builds(
    LocationFacts,
    location=st.from_regex(r"[a-z0-9]{1,253}", fullmatch=True),
    state=st.sampled_from(LocationState),
    message=st.text(max_size=600),
)

mirrors = st.builds(
    MirrorResult,
    mirror=st.text(max_size=200),
    reason=st.sampled_from(FailureReason),
    message=st.text(max_size=256),
    attempts=st.integers(0, 9),
)


@given(
    st.lists(failures, max_size=250),
    st.lists(locations, max_size=20),
    st.lists(mirrors, max_size=10),
    st.integers(0, 1 << 1000),
)
def test_a_report_always_fits_parses_and_counts_what_it_left_out(
    failed: list[Failure], found: list[LocationFacts], asked: list[MirrorResult], done: int
) -> None:
    report = Report(
        done=f"{done:x}", failures=tuple(failed), locations=tuple(found),
        mirrors=tuple(asked), mirrors_total=len(asked),
    )  # fmt: skip
    data = encoded(report)
    assert len(data) <= TERMINATION_MESSAGE_LIMIT
    parsed = Report.from_json(data)
    assert parsed.done == report.done
    assert len(parsed.failures) + parsed.omitted == len(failed)
    assert parsed.mirrors_total == len(asked)
    assert [one.mirror for one in parsed.mirrors] == [one.mirror for one in asked[: len(parsed.mirrors)]]
    assert [one.index for one in parsed.failures] == [one.index for one in failed[: len(parsed.failures)]]


def test_texts_go_before_failures() -> None:
    report = Report(
        failures=tuple(Failure(index=i, reason=FailureReason.IO_ERROR, message="x" * 500) for i in range(50))
    )
    parsed = Report.from_json(encoded(report))
    assert len(parsed.failures) == 50
    assert parsed.omitted == 0


def test_of_a_fetch_the_one_sentence_stays_and_every_mirror_keeps_its_reason() -> None:
    reason = FailureReason.SOURCE_REFUSED
    told = MirrorResult(mirror="http://h/" + "p" * 191, reason=reason, message="m" * 256)
    failure = Failure(index=0, reason=reason, message="s" * 512)
    parsed = Report.from_json(encoded(Report(failures=(failure,), mirrors=(told,) * 10, mirrors_total=30)))
    assert parsed.failures == (failure,)
    assert [(one.mirror, one.reason) for one in parsed.mirrors] == [(told.mirror, reason)] * 10


def test_mirrors_go_before_what_failed() -> None:
    reason = FailureReason.SOURCE_REFUSED
    told = MirrorResult(mirror="\N{GRINNING FACE}" * 200, reason=reason)
    failure = Failure(index=0, reason=reason, message="s" * 512)
    parsed = Report.from_json(encoded(Report(failures=(failure,), mirrors=(told,) * 10, mirrors_total=30)))
    assert [one.reason for one in parsed.failures] == [reason]
    assert (parsed.mirrors, parsed.mirrors_total) == ((told,) * len(parsed.mirrors), 30)
    assert 0 < len(parsed.mirrors) < 10


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, FailureReason.POOL_FULL),
        (errno.EDQUOT, FailureReason.POOL_FULL),
        (errno.EIO, FailureReason.IO_ERROR),
        (errno.EROFS, FailureReason.IO_ERROR),
        (errno.ESTALE, FailureReason.IO_ERROR),
        (errno.EACCES, FailureReason.IO_ERROR),
    ],
)
def test_what_the_kernel_says(code: int, reason: FailureReason) -> None:
    failed = os_failure(OSError(code, os.strerror(code), "disk.raw"))
    assert failed.reason is reason
    assert "disk.raw" in failed.message


def test_a_directory_that_cannot_be_made_durable_takes_its_operations_back(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("goldpool.worker.batch.pool.synced", fails)
    report = pool.run(a_blank("v-1"), a_blank("v-2"))
    assert report.done == "0"
    assert [failure.reason for failure in report.failures] == [FailureReason.IO_ERROR] * 2


@pytest.mark.parametrize(
    "batch", ["", "{", '{"operations": [], "version": 2}', '{"operations": [], "surprise": 1}']
)
def test_a_batch_that_is_not_understood_is_not_begun(tmp_path: Path, batch: str) -> None:
    log = tmp_path / "log"
    assert main({"GOLDPOOL_BATCH": batch, "GOLDPOOL_TERMINATION_LOG": str(log)}) == 2
    assert not log.exists()


def test_the_worker_reports_and_ends_with_zero_even_if_all_failed(pool: Pool, tmp_path: Path) -> None:
    (pool.path / "volumes/v-1").write_text("taken")
    log = tmp_path / "log"
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "GOLDPOOL_BATCH": Batch(operations=(a_blank(),), identities=(pool.identity,)).to_json(),
        "GOLDPOOL_POOLS": str(pool.root),
        "GOLDPOOL_TERMINATION_LOG": str(log),
    }
    subprocess.run([sys.executable, "-m", "goldpool.worker"], env=environment, check=True)
    report = Report.from_json(log.read_bytes())
    assert report.failures[0].reason is FailureReason.VOLUME_CONFLICT
    assert report.locations[0].state is LocationState.OK


def test_the_room_brings_no_kubernetes_along() -> None:
    code = "import sys, goldpool.worker.__main__, goldpool.worker.fetch; print(*sys.modules)"
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    names = set(loaded.stdout.split())
    assert not {"kopf", "kubernetes", "goldpool.api", "goldpool.kube"} & names
