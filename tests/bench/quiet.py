"""Each measurement begins on a quiet machine: kubelets go on taking pods away long after the API server knows of none."""

import os
import time
from pathlib import Path
from typing import Final

QUIET: Final = 0.15
"""Of all cores: a cluster with nothing to do uses less, the removal of pods more."""
_WINDOW_SECONDS: Final = 1.0
_LIMIT_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def await_quiet() -> None:
    """Returns after a second in which hardly anything ran, or after a minute: others may never rest."""
    give_up = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < give_up:
        before, began = _busy_seconds(), time.monotonic()
        time.sleep(_WINDOW_SECONDS)
        if _busy_seconds() - before < QUIET * (os.cpu_count() or 1) * (time.monotonic() - began):
            return


def _busy_seconds() -> float:
    """CPU time that all cores have spent on something (proc(5): the first line of /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS
