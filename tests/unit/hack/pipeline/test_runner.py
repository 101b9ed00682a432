"""What was started ends: after its time, and when the run is stopped."""

import os
import threading
import time
from pathlib import Path

import pytest

from hack.images import cache
from hack.pipeline.everything import Runner
from hack.pipeline.lanes import Step

MAKEFILE = """
long:
\t@sleep 60 & echo $$! >child; wait
quick:
\t@echo said
wrong:
\t@echo what is wrong; false
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    monkeypatch.setattr(cache, "REPOSITORY", tmp_path)
    return Runner(tmp_path)


def test_a_step_passes_by_its_exit_code(runner: Runner) -> None:
    assert runner.execute(Step("quick", "quick"))
    assert not runner.execute(Step("wrong", "wrong"))


def test_a_failed_step_in_the_background_shows_what_it_said(
    runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.execute(Step("quick", "quick", background=True))
    assert "said" not in capsys.readouterr().out
    assert not runner.execute(Step("wrong", "wrong", background=True))
    assert "what is wrong" in capsys.readouterr().out
    assert runner.last_words[:2] == ["wrong failed:", "    what is wrong"]


def test_a_step_that_takes_too_long_ends_with_all_it_started(runner: Runner, tmp_path: Path) -> None:
    assert not runner.execute(Step("long", "long", timeout=1))
    assert _is_gone(int((tmp_path / "child").read_text()))


def test_a_stop_ends_what_runs_and_lets_nothing_start(runner: Runner, tmp_path: Path) -> None:
    passed: list[bool] = []
    thread = threading.Thread(
        target=lambda: passed.append(runner.execute(Step("long", "long", background=True)))
    )
    thread.start()
    child = tmp_path / "child"
    while not (child.exists() and child.read_text().endswith("\n")):
        time.sleep(0.01)
    runner.stop()
    thread.join(10)
    assert passed == [False]
    assert _is_gone(int(child.read_text()))
    assert not runner.execute(Step("quick", "quick"))


def _is_gone(pid: int) -> bool:
    """Dead and perhaps not yet collected by init."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False
