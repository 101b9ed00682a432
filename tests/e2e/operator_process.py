"""The operator as a process of this machine, so that it can be killed at any moment."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.nodes import ROOT

_SHORT: Final = {
    "RETRY_BASE_SECONDS": "0.5",
    "RETRY_CAP_SECONDS": "4",
    "PROBE_SECONDS": "60",
    "PROBE_FAILED_SECONDS": "2",
    "RESTART_CAP_SECONDS": "2",
    "SWEEP_SECONDS": "20",
}
"""So that what waits for time to pass is seen in a test; every rule is the same."""

_PATIENT: Final = {
    "START_DEADLINE_SECONDS": "300",
    "UNSCHEDULABLE_SECONDS": "120",
    "JOB_START_SECONDS": "60",
    "FETCH_CONNECT_SECONDS": "15",
    "FETCH_IDLE_SECONDS": "60",
    "LEASE_SECONDS": "30",
    "LEASE_RENEW_SECONDS": "20",
}
"""After which something counts as failed. No test waits for one of these: a machine that stands still for seconds must not
make the operator give up a host, a Job or its Lease, for a test would see another host, a second Job, a second download."""

TIMES: Final = {
    **_SHORT,
    **_PATIENT,
    # One more than there are hosts: what fails on each of them once still waits for a change.
    "MAX_PLANS": "4",
}


class OperatorProcess:
    """Started anew whenever it ends by itself, as a kubelet would (``restarts``). After ``kill`` and ``stop`` it stays
    away until each one who ended it calls ``start``: several tests may do that at once, and none may find it alive too
    early. ``times`` are settings. ``after_death`` is called when it was killed."""

    def __init__(
        self,
        log: Path,
        kubeconfig: Path,
        *,
        name: str = "e2e",
        times: Mapping[str, str] = TIMES,
        restarts: bool = True,
        after_death: Callable[[], None] = lambda: None,
    ) -> None:
        self._log, self._kubeconfig, self._name = log, kubeconfig, name
        self._times, self._restarts, self._after_death = times, restarts, after_death
        self._process: subprocess.Popen[bytes] | None = None
        self._unwanted_by: set[str] = {"nobody started it yet"}
        self._lock = threading.RLock()
        self._port = _free_port()
        threading.Thread(target=self._supervise, daemon=True).start()

    def start(self, who: str = "") -> None:
        with self._lock:
            self._unwanted_by -= {who, "nobody started it yet"}
            if not self._unwanted_by and (self._process is None or self._process.poll() is not None):
                self._spawn()

    def kill(self, who: str = "") -> None:
        """SIGKILL: it does nothing more, not even give its Lease back."""
        with self._lock:
            self._unwanted_by.add(who)
            if self._process is not None:
                self._process.kill()
                self._process.wait()
        self._after_death()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing, knows nothing of it, and its connections stand."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ended(self) -> int | None:
        """Its exit code, if it has ended."""
        assert self._process is not None
        with self._lock:
            return self._process.poll()

    def stop(self, who: str = "") -> None:
        """SIGTERM, as a kubelet stops it."""
        with self._lock:
            self._unwanted_by.add(who)
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(120)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()

    def await_ready(self, timeout: float = 300) -> None:
        """Its caches are full; it may still wait for the Lease."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"the operator is not ready; {self.tail()}")

    def role(self) -> str:
        """``leading`` or ``standby``; empty while it is not ready, or not there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                return str(answer.read().decode().removeprefix("ok: ").strip())
        except OSError:
            return ""

    def passes(self, controller: str) -> float:
        """How many passes the controller made since the process began."""
        return self.metric(f'controller_runtime_reconcile_total{{controller="{controller}"')

    def metric(self, begin: str) -> float:
        """The sum of all series that begin like this."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(begin))

    def mark(self) -> int:
        """Where its log is now."""
        return self._log.stat().st_size if self._log.exists() else 0

    def tail(self, since: int = 0, limit: int = 30_000) -> str:
        """The end of its log, or what it wrote since a mark."""
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[since:].decode(errors="replace")[-limit:]

    def _spawn(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GOLDPOOL_")}
        environment |= {f"GOLDPOOL_{name}": value for name, value in self._times.items()}
        environment |= {
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "GOLDPOOL_HEALTH_PORT": str(self._port),
            "GOLDPOOL_POD_NAME": self._name,
            "GOLDPOOL_LOG_FORMAT": "json",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "goldpool.app"], env=environment, stdout=log, stderr=log, cwd=ROOT
            )

    def _supervise(self) -> None:
        while True:
            time.sleep(0.5)
            with self._lock:
                if (
                    self._restarts
                    and not self._unwanted_by
                    and self._process is not None
                    and self._process.poll() is not None
                ):
                    self._spawn()


@dataclass(frozen=True)
class Operator:
    """What one test does with the operator that it shares with others."""

    process: OperatorProcess
    who: str

    def start(self) -> None:
        self.process.start(self.who)

    def kill(self) -> None:
        self.process.kill(self.who)

    def stop(self) -> None:
        self.process.stop(self.who)

    def await_ready(self) -> None:
        self.process.await_ready()

    def passes(self, controller: str) -> float:
        return self.process.passes(controller)

    def mark(self) -> int:
        return self.process.mark()

    def tail(self, since: int = 0) -> str:
        return self.process.tail(since)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
