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

STEPS = (
    Step("debian packages", "packages"),
    Step("virtual environment", "venv", needs=("debian packages",)),
    # Mostly Go's compiler, when nothing is cached; lint and unit tests run beside it.
    Step("cluster", "cluster-up", needs=("debian packages",), background=True, timeout=2400),
    Step("lint", "lint", needs=("virtual environment",), timeout=600),
    Step("images", "images", needs=("virtual environment",), background=True, timeout=1800),
    Step("load images", "load", needs=("cluster", "images"), background=True, timeout=600),
    # After the cluster is up there is a helm, without which the chart's tests are skipped.
    Step("unit tests", "unit", needs=("virtual environment",), after=("cluster",), timeout=1200),
    Step("chart", "chart", needs=("load images",), timeout=600),
    Step("cluster tests", "cluster", needs=("virtual environment", "chart"), timeout=1200),
    Step("e2e tests", "e2e", needs=("virtual environment", "chart"), timeout=2400),
)
_GRACE_SECONDS = 20
_TAIL_LINES = 200


class Runner:
    """Runs make targets, each as a process group of its own, so that what it started ends with it."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopping = False

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
            lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            print("\n".join(f"    {line}" for line in lines), flush=True)
        return passed

    def stop(self) -> None:
        """Ends what runs and lets nothing else start."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for process in running:
            _end(process)

    def _run(self, step: Step, log: Path | None) -> bool:
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("wb")) if log is not None else None
            with self._lock:
                if self._stopping:
                    return False
                process = subprocess.Popen(
                    ["make", "--no-print-directory", step.target],
                    cwd=cache.REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if output is not None else None,
                    env=_own_environment(),
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait(step.timeout) == 0
            except subprocess.TimeoutExpired:
                print(f"\n=== {step.name}: no end after {report.duration(step.timeout)}", flush=True)
                _end(process)
                return False
            except BaseException:  # interrupted: nobody else knows of this process any more
                _end(process)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)


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
            print(f"\n{report.render(lanes.outcomes(), time.monotonic() - began)}", flush=True)
    return 0 if outcomes and all(outcome.result is Result.PASSED for outcome in outcomes) else 1


def _own_environment() -> dict[str, str]:
    """Without what the outer make hands to its children: a jobserver that these must not share."""
    return {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            # Its group is its own pid, and was ours to make; poll() first, so the id is not somebody else's by now.
            if process.poll() is None:
                os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            return


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
