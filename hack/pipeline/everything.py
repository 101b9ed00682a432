"""`make test`: sets up everything, runs every tier, and leaves the machine's cluster as it found it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.cluster import config
from hack.images import cache
from hack.pipeline import environment, report
from hack.pipeline.lanes import Lanes, Result, Step

# The limits end what hangs; on a busy machine a step takes several times as long as on a quiet one.
STEPS = (
    Step("debian packages", "packages"),
    Step("virtual environment", "venv", needs=("debian packages",)),
    # Mostly Go's compiler, when nothing is cached; lint and unit tests run beside it.
    Step("cluster", "cluster-up", needs=("debian packages",), background=True, timeout=3600),
    Step("lint", "lint", needs=("virtual environment",), timeout=1800),
    Step("images", "images", needs=("virtual environment",), background=True, timeout=2400),
    Step("load images", "load", needs=("cluster", "images"), background=True, timeout=1200),
    # After the cluster is up there is a helm, without which the chart's tests are skipped.
    Step("unit tests", "unit", needs=("virtual environment",), after=("cluster",), timeout=3600),
    Step("chart", "chart", needs=("load images",), timeout=1200),
    Step("cluster tests", "cluster", needs=("virtual environment", "chart"), timeout=3600),
    Step("e2e tests", "e2e", needs=("virtual environment", "chart"), timeout=9000),
)
_GRACE_SECONDS = 20
_POLL_SECONDS = 0.1
_TAIL_LINES = 200
_LAST_WORDS_LINES = 12


class Runner:
    """Runs make targets, each as a process group of its own, so that what it started ends with it.

    Only the thread that started a process ends it: any other could meet an id that is somebody else's by then.
    """

    def __init__(self, logs: Path) -> None:
        self.last_words: list[str] = []
        self._logs = logs
        self._stopping = threading.Event()
        self._running = 0
        self._changed = threading.Condition()

    def execute(self, step: Step) -> bool:
        """A background step's output is shown when it failed; a foreground step's at once."""
        print(f"\n=== {step.name}{' (in the background)' if step.background else ''}", flush=True)
        if not step.background:
            return self._run(step, None)
        log = self._logs / f"{step.target}.log"
        began = time.monotonic()
        passed = self._run(step, log)
        took = report.duration(time.monotonic() - began)
        print(f"\n=== {step.name}: {'done' if passed else 'failed'} after {took}", flush=True)
        if not passed and log.exists():
            lines = [f"    {line}" for line in log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]]
            print("\n".join(lines), flush=True)
            self.last_words += [f"{step.name} failed:", *lines[-_LAST_WORDS_LINES:], ""]
        return passed

    def stop(self) -> None:
        """Returns when nothing runs any more; nothing else will start."""
        with self._changed:
            self._stopping.set()
            self._changed.wait_for(lambda: self._running == 0)

    def _run(self, step: Step, log: Path | None) -> bool:
        with self._changed:
            if self._stopping.is_set():
                return False
            self._running += 1
        try:
            with contextlib.ExitStack() as stack:
                output = stack.enter_context(log.open("wb")) if log is not None else None
                process = subprocess.Popen(
                    ["make", "--no-print-directory", step.target],
                    cwd=cache.REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output is not None else None,
                    env=_own_environment(),
                    start_new_session=True,
                )
                return self._await(step, process)
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _await(self, step: Step, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + step.timeout
        try:
            while not _has_ended(process):
                if time.monotonic() > deadline:
                    print(f"\n=== {step.name}: no end after {report.duration(step.timeout)}", flush=True)
                    _end(process)
                    return False
                if self._stopping.wait(_POLL_SECONDS):
                    _end(process)
                    return False
            return process.wait() == 0
        except BaseException:
            _end(process)
            raise


def run_all() -> int:
    """0 when every step passed. The times are printed in any case."""
    if os.geteuid() != 0:
        raise RuntimeError("the development cluster needs root")
    signal.signal(signal.SIGTERM, _interrupt)
    layout = config.Layout.of(os.environ)
    was_up = environment.cluster_answers(layout)
    began = time.monotonic()
    with TemporaryDirectory(prefix="goldpool-test-") as logs:
        runner = Runner(Path(logs))
        lanes = Lanes(STEPS, runner.execute)
        outcomes = []
        try:
            outcomes = lanes.run()
        finally:
            runner.stop()
            if not was_up:
                print("\n=== cluster down", flush=True)
                subprocess.run(
                    [sys.executable, "-m", "hack.cluster", "down"], cwd=cache.REPOSITORY, check=False
                )
            # Once more: what a step in the background said stands far above, and of a long log often only the end is kept.
            print("", *runner.last_words, sep="\n", flush=True)
            print(f"{report.render(lanes.outcomes(), time.monotonic() - began)}", flush=True)
    return 0 if outcomes and all(outcome.result is Result.PASSED for outcome in outcomes) else 1


def _own_environment() -> dict[str, str]:
    """Without what the outer make hands to its children: a jobserver that these must not share."""
    return {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    }


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without collecting it: until then its id, and its group's, cannot be given to anybody else."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and what is left of its group. The interrupt comes first, so that pytest takes down what its tests
    made."""
    if process.returncode is not None:
        return
    for sent in (signal.SIGINT, signal.SIGTERM):
        os.killpg(process.pid, sent)
        deadline = time.monotonic() + _GRACE_SECONDS
        while not _has_ended(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
