"""A transfer's figures in the status, and that they concern nobody else."""

from typing import Any

import pytest

from goldpool.contracts.report import Progress
from goldpool.controllers.parent.progress import but_for_progress, sentence, shown

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("progress", "text", "eta", "says"),
    [
        (Progress(done_bytes=0, total_bytes=GIB), "0%", None, "0 B of 1.0 GiB fetched"),
        (Progress(done_bytes=GIB // 2, total_bytes=GIB, rate=212 * MIB), "50% 212Mi/s", "2s", "512 MiB of 1.0 GiB fetched"),
        (Progress(done_bytes=0, total_bytes=GIB, rate=0), "0% 0/s", None, "0 B of 1.0 GiB fetched"),
        (Progress(done_bytes=1, total_bytes=100 * GIB, rate=20 * MIB), "0% 20.0Mi/s", "1h25m", "1 B of 100 GiB fetched"),
        (Progress(done_bytes=GIB, total_bytes=3 * GIB, rate=20 * MIB), "33% 20.0Mi/s", "1m42s",
         "1.0 GiB of 3.0 GiB fetched"),
        # Nobody said how much there is: no percentage, no end in sight.
        (Progress(done_bytes=1288490189, rate=MIB), "1.2Gi 1.0Mi/s", None, "1.2 GiB fetched"),
        (Progress(done_bytes=0), "0", None, "0 B fetched"),
        (Progress(done_bytes=9, total_bytes=0), "9", None, "9 B fetched"),
        (Progress(done_bytes=9, total_bytes=8, rate=1), "100% 1/s", None, "9 B of 8 B fetched"),  # more than it said
    ],
)  # fmt: skip
def test_progress_as_people_read_it(progress: Progress, text: str, eta: str | None, says: str) -> None:
    found = shown(progress)
    assert (found["progress"], found["eta"], sentence(progress)) == (text, eta, says)


def a_parent(message: str = "", reason: str = "Fetching", **status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {
        "metadata": {"name": "p", "resourceVersion": message},
        "spec": {"template": "t"},
        "status": {"state": "Fetching", "conditions": [ready], **status},
    }


@pytest.mark.parametrize(
    ("after", "same"),
    [
        (a_parent("2 MiB", progress="2%", done="2Mi", rate="1Mi", eta="9s", mirror="https://m"), True),
        (a_parent("2 MiB", state="Ready"), False),
        (a_parent("2 MiB", children=3), False),
        (a_parent("2 MiB", reason="WaitingForHost"), False),
    ],
)
def test_the_figures_of_a_transfer_wake_nobody(after: dict[str, Any], same: bool) -> None:
    assert (but_for_progress(a_parent("1 MiB", progress="1%", done="1Mi")) == but_for_progress(after)) is same
