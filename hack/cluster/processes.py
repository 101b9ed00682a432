"""Long-running processes that this program starts, and may therefore end.

A process is known by its id, its start time (clock ticks since boot) and the boot in which it ran: an id alone
is reused, the three together are not. The record is written by the starting process itself before it becomes
the daemon, so there is no moment in which a daemon runs unrecorded, whatever is killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DAEMON_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# $1 is the record, then the cgroup.procs files up to "--", then the command. Writing 0 moves the writer.
_LAUNCH = """
set -e
record=$1; shift
cat /proc/$$/stat /proc/sys/kernel/random/boot_id > "$record.new"
mv "$record.new" "$record"
while [ "$1" != -- ]; do echo 0 > "$1"; shift; done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Identity:
    """One process of one boot. `start_time` is in clock ticks since boot (proc(5), stat, field 22)."""

    pid: int
    start_time: int
    boot_id: str


def parse_stat(stat: str) -> tuple[int, int, str]:
    """(pid, start time, state letter) of a line of /proc/PID/stat. Raises ValueError when it is none.

    The name in field 2 may hold blanks and parentheses, so fields are counted from its last ')'.
    """
    head, _, tail = stat.rpartition(")")
    fields = tail.split()
    return int(head.split("(", 1)[0]), int(fields[19]), fields[0]


def parse_record(text: str) -> Identity | None:
    """None when the record is torn, which can only mean that the daemon never began."""
    lines = text.strip().splitlines()
    try:
        pid, start_time, _ = parse_stat(lines[0])
        return Identity(pid, start_time, lines[1].strip())
    except (IndexError, ValueError):
        return None


def current_boot() -> str:
    return BOOT_ID.read_text().strip()


def identify(pid: int) -> Identity | None:
    """Who has this id now; None for nobody, and for a zombie: it runs no more."""
    try:
        _, start_time, state = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, ValueError, IndexError):
        return None
    return None if state in "ZX" else Identity(pid, start_time, current_boot())


def is_alive(identity: Identity) -> bool:
    return identify(identity.pid) == identity


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signals exactly this process: the id is pinned by a pidfd before the identity is compared.

    False when it is gone.
    """
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        if identify(identity.pid) != identity:
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def wait_end(identity: Identity, timeout: float) -> bool:
    """True once the process has ended."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return True
    try:
        return not is_alive(identity) or bool(select.select([pidfd], [], [], timeout)[0])
    finally:
        os.close(pidfd)


def end(identities: Iterable[Identity], *, grace: float) -> list[Identity]:
    """Ends the processes: SIGTERM to all, and SIGKILL to those still there after `grace` seconds in all.
    Returns those that even SIGKILL did not end within 10 s."""
    living = [identity for identity in identities if is_alive(identity)]
    if grace > 0:
        living = [identity for identity in living if send(identity, signal.SIGTERM)]
        living = [identity for identity in living if not wait_end(identity, grace)]
    for identity in living:
        send(identity, signal.SIGKILL)
    return [identity for identity in living if not wait_end(identity, 10)]


class Registry:
    """The recorded processes, by name."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def names(self) -> list[str]:
        if not self._records.is_dir():
            return []
        return sorted(path.name for path in self._records.iterdir() if path.suffix != ".new")

    def recorded(self, name: str) -> Identity | None:
        try:
            return parse_record((self._records / name).read_text())
        except FileNotFoundError:
            return None

    def living(self, name: str) -> Identity | None:
        identity = self.recorded(name)
        return identity if identity is not None and is_alive(identity) else None

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def launch(self, name: str, argv: Sequence[str], *, cgroup_procs: Iterable[Path]) -> Identity:
        """Starts a daemon in the given cgroups unless it already runs. Raises RuntimeError when it did not
        get as far as its own first instruction."""
        if (running := self.living(name)) is not None:
            return running
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        record = self._records / name
        record.unlink(missing_ok=True)
        home = self._records.parent
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, "launch", str(record), *map(str, cgroup_procs), "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env={"PATH": DAEMON_PATH, "HOME": str(home), "LANG": "C.UTF-8"},
            )
        while not record.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.005)
                if not record.exists():
                    raise RuntimeError(f"{name} did not start: {self.tail(name)}")
        identity = self.recorded(name)
        if identity is None:
            raise RuntimeError(f"{name} left a torn record")
        # The daemon outlives this program; its end is read from /proc, not from this handle.
        child.returncode = 0
        return identity

    def end(self, names: Iterable[str], *, grace: float) -> list[Identity]:
        """Ends the named processes and forgets them. Returns those that would not end."""
        chosen = list(names)
        stuck = end([found for name in chosen if (found := self.living(name)) is not None], grace=grace)
        for name in chosen:
            identity = self.recorded(name)
            if identity not in stuck:
                (self._records / name).unlink(missing_ok=True)
        return stuck

    def tail(self, name: str, lines: int = 5) -> str:
        """The last lines of its log, for error messages."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"
