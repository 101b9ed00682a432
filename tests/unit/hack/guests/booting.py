"""QEMU alone, for guests that say something on their serial console and halt."""

import shutil
import subprocess
import threading
from collections.abc import Sequence

import pytest

QEMU = "qemu-system-x86_64"
MACHINE = f"{QEMU} -accel tcg -m 16 -nodefaults -no-user-config -display none -serial stdio"
STUCK_SECONDS = 600
"""A guest that has not come to its end by then never will. They take seconds on an idle machine, but not every one is."""

needs_qemu = pytest.mark.skipif(shutil.which(QEMU) is None, reason="needs QEMU")


def first_lines(arguments: Sequence[str], count: int = 1) -> list[str]:
    """What the guest says first; then QEMU is ended. Empty lines where it ended by itself."""
    command = [*MACHINE.split(), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as guest:
        assert guest.stdout is not None
        watchdog = threading.Timer(STUCK_SECONDS, guest.kill)
        watchdog.start()
        lines = [guest.stdout.readline().decode().strip() for _ in range(count)]
        watchdog.cancel()
        guest.kill()
    return lines
