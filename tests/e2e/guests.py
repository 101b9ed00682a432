"""The guests' own processes, seen from the machine: all nodes' processes are its own."""

import os
import signal
import threading
import time
from pathlib import Path


def processes_of(machine_uid: str) -> list[int]:
    """Ids of the QEMU processes of the machine, on whichever node; each of them may write."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"qemu-system-x86_64") and machine_uid.encode() in words:
            found.append(int(entry.name))
    return found


def kill(machine_uid: str) -> None:
    """The guest dies as if its host had run out of memory."""
    for process in processes_of(machine_uid):
        os.kill(process, signal.SIGKILL)


class WritersSeen:
    """Looks all the time how many processes of the machine there are, while it is entered."""

    def __init__(self, machine_uid: str) -> None:
        self.most = 0
        self.looks = 0
        self._uid = machine_uid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "WritersSeen":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.is_set():
            self.most = max(self.most, len(processes_of(self._uid)))
            self.looks += 1
            time.sleep(0.1)
