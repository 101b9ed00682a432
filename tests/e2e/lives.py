"""Operators that are killed right after a write: the API server has carried it out, and nobody hears of it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.e2e import leadership
from tests.e2e.api import Api
from tests.e2e.nodes import ROOT
from tests.e2e.operator_process import TIMES
from tests.e2e.proxy import ApiProxy, Request

Dies = Callable[[int], bool]
"""Whether whoever made the write of this number, over all lives, ends with it. The first one is 1."""


class Lives:
    """One operator at a time. One that ends is followed by the next, whose Lease is freed: its holder is known dead.

    ``writes`` are all that were counted, over all lives. Events are not: nothing depends on them. While ``dies`` is
    None, nobody dies.
    """

    def __init__(self, api: Api, kubeconfig: Path, directory: Path) -> None:
        self._api = api
        self._proxy = ApiProxy(kubeconfig, directory / "proxy")
        self._log = directory / "lives.log"
        self._lock = threading.RLock()
        self.dies: Dies | None = None
        self.writes: list[Request] = []
        self.deaths: list[Request] = []
        self.lives = 0
        self._child = 0
        self._stopping = False
        self._proxy.faults.committed = self._count
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GOLDPOOL_")}
        environment |= {f"GOLDPOOL_{name}": value for name, value in TIMES.items()}
        environment |= {
            "KUBECONFIG": str(self._proxy.kubeconfig),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}",
            "GOLDPOOL_HEALTH_PORT": "0",
            "GOLDPOOL_POD_NAME": "lives",
            "GOLDPOOL_LOG_FORMAT": "json",
        }
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.nursery"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("ab"),
            text=True,
        )
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def begin(self, dies: Dies | None) -> None:
        """A new life begins, from which on is counted."""
        with self._lock:
            self.dies = dies
            self.writes, self.deaths, self.lives = [], [], 0
            self._kill()

    # --- what a site wants of an operator

    def start(self) -> None:
        """It is always there."""

    def mark(self) -> int:
        return self._log.stat().st_size

    def tail(self, since: int = 0, limit: int = 30_000) -> str:
        return self._log.read_bytes()[since:].decode(errors="replace")[-limit:]

    def end(self) -> None:
        with self._lock:
            self._stopping = True
            self._kill()
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(30)
        self._thread.join(30)
        leadership.free(self._api)
        self._proxy.close()

    # --- inside

    def _live(self) -> None:
        ask, told = self._nursery.stdin, self._nursery.stdout
        assert ask is not None
        assert told is not None
        while True:
            with self._lock:
                if self._stopping:
                    return
                leadership.free(self._api)
                ask.write("\n")
                ask.flush()
                child = told.readline().strip()
                if not child:
                    return
                self._child = int(child)
                self.lives += 1
            told.readline()
            with self._lock:
                self._child = 0

    def _count(self, request: Request) -> None:
        if request.part == "events":
            return
        with self._lock:
            self.writes.append(request)
            if self.dies is not None and self.dies(len(self.writes)):
                self.deaths.append(request)
                self._kill()

    def _kill(self) -> None:
        """The nursery collects a dead child only when the next is asked for: its id cannot be another's by now."""
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self._child = 0
