"""What a pod's state means for its Job."""

from datetime import UTC, datetime
from typing import Any

import pytest

from goldpool.contracts.report import FailureReason, Progress
from goldpool.dispatch.pods import Executing, PodState, Starting, Stopped, Unscheduled, has_stopped, read_pod
from goldpool.dispatch.progress import read_progress
from goldpool.dispatch.settings import DispatchSettings
from goldpool.dispatch.watch import Watched
from tests.unit.dispatch.builders import a_pod, a_report, terminated

REPORT = a_report(3, failed={1: FailureReason.POOL_FULL})
SETTINGS = DispatchSettings(image="i", start_seconds=20, schedule_seconds=30, host_lost_seconds=60)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (a_pod(node="", conditions=[{"type": "PodScheduled", "message": "0/3 nodes"}]), Unscheduled("0/3 nodes")),
        (a_pod(), Starting("", "")),
        (a_pod(state={"waiting": {"reason": "ContainerCreating"}}), Starting("ContainerCreating", "")),
        (a_pod(state={"running": {}}, phase="Running"), Executing()),
        # terminated comes 1.1 s before the phase (jobs.md §1)
        (a_pod(state=terminated(REPORT.to_json()), phase="Pending"), Stopped(REPORT)),
        # a report counts whatever the exit code
        (a_pod(state=terminated(REPORT.to_json(), code=1, reason="Error")), Stopped(REPORT)),
        (a_pod(state=terminated(code=137, reason="Error")), Stopped(None, "Error: exit code 137, no report")),
        (a_pod(phase="Failed", reason="OutOfpods"), Stopped(None, "OutOfpods")),
    ],
)  # fmt: skip
def test_a_pods_state(pod: dict[str, Any], expected: PodState) -> None:
    assert read_pod(pod) == expected


@pytest.mark.parametrize("message", [REPORT.to_json()[1:], "{}garbage", '{"version": 2}', '{"done": "x"}'])
def test_a_report_that_cannot_be_trusted_is_none(message: str) -> None:
    state = read_pod(a_pod(state=terminated(message)))
    assert isinstance(state, Stopped)
    assert state.report is None
    assert state.why


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (a_pod(state=terminated()), True),
        (a_pod(state={"running": {}}), False),
        (a_pod(state={"running": {}}, deleted="2026-01-01T00:00:00Z"), False),  # a lost host runs on
        (a_pod(), False),
        (a_pod(node=""), False),  # it may still be scheduled
        (a_pod(node="", deleted="2026-01-01T00:00:00Z"), True),
    ],
)
def test_which_pods_cannot_write_any_more(pod: dict[str, Any], expected: bool) -> None:
    assert has_stopped(pod) is expected


def watched(pod: dict[str, Any]) -> Watched:
    watched = Watched("slot-x-0", "j-1", since=0.0)
    watched.sees(pod, 0.0)
    return watched


WAITING = {"waiting": {"reason": "ContainerCreating"}}
NO_IMAGE = {"waiting": {"reason": "ErrImageNeverPull", "message": "absent"}}
MOUNT = "MountVolume.SetUp failed: /srv/none is not a directory"


@pytest.mark.parametrize(
    ("pod", "obstacle", "seconds", "reason"),
    [
        (a_pod(state=WAITING), MOUNT, 19.9, None),
        (a_pod(state=WAITING), MOUNT, 20.0, FailureReason.NOT_MOUNTED),
        (a_pod(state=WAITING), "", 20.0, None),  # nobody says why: it may just be slow
        (a_pod(state=WAITING), "", 60.0, FailureReason.NOT_MOUNTED),
        (a_pod(state=NO_IMAGE), "", 20.0, FailureReason.LOST),
        (a_pod(node=""), "", 29.9, None),
        (a_pod(node=""), "", 30.0, FailureReason.LOST),
        (a_pod(state={"running": {}}), "", 1e6, None),
        (a_pod(state=terminated()), "", 1e6, None),
    ],
)
def test_when_a_pod_is_too_late(
    pod: dict[str, Any], obstacle: str, seconds: float, reason: FailureReason | None
) -> None:
    late = watched(pod).late(obstacle, SETTINGS, seconds)
    assert (late.reason if late else None) == reason
    assert late is None or not obstacle or obstacle in late.message


def test_the_time_counts_from_the_last_step() -> None:
    seen = watched(a_pod(node=""))
    seen.sees(a_pod(state=WAITING), 25.0)
    seen.sees(a_pod(state=WAITING), 30.0)
    assert seen.due_at(SETTINGS) == 45.0


def test_a_pod_of_an_earlier_job_of_that_name_says_nothing() -> None:
    seen = watched(a_pod(job_uid="j-0", state=terminated()))
    assert seen.state is None


@pytest.mark.parametrize(
    ("pod", "lost"),
    [
        (a_pod(state={"running": {}}, deleted="2026-01-01T12:00:00Z"), True),
        (a_pod(state={"running": {}}, deleted="2026-01-01T12:00:01Z"), False),
        (a_pod(state={"running": {}}), False),
        (a_pod(state=terminated(), deleted="2026-01-01T12:00:00Z"), False),
    ],
)
def test_a_pod_that_outlives_its_deletion_is_on_a_lost_host(pod: dict[str, Any], lost: bool) -> None:
    wall = datetime(2026, 1, 1, 12, 1, 0, tzinfo=UTC)
    assert (watched(pod).host_lost(SETTINGS, wall) is not None) is lost


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"progress": {"done_bytes":1,"total_bytes":2,"mirror":"m"}}', Progress(done_bytes=1, total_bytes=2, mirror="m")),
        ('{"progress": {"done_bytes":1}}', Progress(done_bytes=1)),
        ('{"progress": {"done_bytes":"x"}}', None),
        ('{"progress": 3}', None),
        ('["progress"]', None),
        ('"progress" torn', None),
        ("2026 INFO started", None),
    ],
)  # fmt: skip
def test_progress_lines(line: str, expected: Progress | None) -> None:
    assert read_progress(line) == expected
