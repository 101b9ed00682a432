"""Child processes that cannot outlive the runtime."""

import asyncio
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
# Loaded once, here: after fork only async-signal-safe work is allowed, and dlopen is not.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


async def spawn(
    argv: Sequence[str], stdout: int | None, stderr: int | None, keep: Sequence[int] = ()
) -> Process:
    """The child dies with the thread that made it (call from the main thread) and gets no signal that is meant for
    the runtime's process group. Its stdin is empty; it gets the descriptors ``keep``. In a pod the end of PID 1 ends
    all the same; this is for every other place. ``QEMU -run-with`` has no such option, and setpriv(1) would be one more
    thing the image must bring.

    Raises OSError when the program cannot be run.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: nobody will tell us
            os._exit(1)

    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=tuple(keep),
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def kill(process: Process) -> None:
    """SIGKILL, unless it already ended."""
    if process.returncode is None:
        process.kill()
