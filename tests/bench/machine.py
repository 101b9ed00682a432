"""The machine that a run was made on: how big it is, and how busy others keep it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, Any]:
    """Nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "memoryGiB": round(memory / 2**30),
    }


def load() -> float:
    """Mean number of runnable processes over the last minute, everybody's."""
    return os.getloadavg()[0]


def cpu_seconds(pid: int) -> float:
    """What the process has used since it began, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> tuple[float, float]:
    """(now, at most so far)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines) if name in _RSS}
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024


_RSS = {"VmRSS", "VmHWM"}
