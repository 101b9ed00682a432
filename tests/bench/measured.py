"""The operator as a process of this machine, from this tree, with the settings it is delivered with: what it costs."""

import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.bench import machine
from tests.e2e.operator_process import OperatorProcess

_WRITES: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class MeasuredOperator(OperatorProcess):
    """CPU, memory and counters of the one process that runs."""

    def __init__(self, log: Path, kubeconfig: Path) -> None:
        super().__init__(log, kubeconfig, times={})

    def await_caches(self, timeout: float = 120) -> float:
        """The moment (monotonic seconds) at which its caches were first seen to be full."""
        return self._await(lambda: self._page("readyz") is not None, "ready", timeout)

    def await_leading(self, timeout: float = 60) -> None:
        self._await(lambda: self._sum("leader_election_master_status") > 0, "leading", timeout)

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self._pid)

    def resident_mib(self) -> tuple[float, float]:
        """(now, at most so far)"""
        return machine.resident_mib(self._pid)

    def writes(self) -> int:
        """Requests since it began that change something, answered or not. Renewals of its Lease are among them."""
        return sum(self.requests()[method] for method in _WRITES)

    def requests(self) -> Counter[str]:
        """By method, since it began."""
        counts: Counter[str] = Counter()
        for labels, value in self._samples("rest_client_requests_total"):
            counts[labels["method"]] += int(value)
        return counts

    def passes_of(self, controller: str = "") -> int:
        """Passes since it began, of one controller or of all."""
        return int(self._sum("controller_runtime_reconcile_total", controller))

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _sum(self, name: str, controller: str = "") -> float:
        found = self._samples(name)
        return sum(value for labels, value in found if controller in {"", labels.get("controller")})

    def _samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        families = text_string_to_metric_families(self._page("metrics") or "")
        return [(s.labels, s.value) for f in families for s in f.samples if s.name == name]

    def _page(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def _await(self, seen: Callable[[], bool], what: str, timeout: float) -> float:
        end = time.monotonic() + timeout
        while not seen():
            if time.monotonic() > end:
                raise RuntimeError(f"the operator is not {what}; its log ends:\n{self.tail(limit=4000)}")
            time.sleep(0.02)
        return time.monotonic()
