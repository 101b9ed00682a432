"""``python -m goldpool.runtime.console``: run beside QEMU in the machine's pod, it joins its stdin and stdout to the
guest's serial port. QEMU keeps writing the pod's log meanwhile.
"""

import argparse
import errno
import fcntl
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from goldpool.contracts.machine import ConsoleExit
from goldpool.runtime.environment import from_variables

STDIN: Final = 0
STDOUT: Final = 1
_CHUNK: Final = 1 << 16
_KEPT_BYTES: Final = 1 << 18
"""What a reader may be behind. QEMU waits for whoever is connected and the guest waits for QEMU, so a terminal that has
fallen asleep loses lines instead."""
_TAKE_SECONDS: Final = 10.0


class Refused(Exception):
    """The console is not to be had; the text says why, ``status`` is the exit code."""

    def __init__(self, status: ConsoleExit, why: str) -> None:
        super().__init__(why)
        self.status = status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m goldpool.runtime.console", description=__doc__)
    parser.add_argument("--take", action="store_true", help="end whoever is at the console")
    arguments = parser.parse_args()
    place = from_variables(os.environ)
    try:
        with held(place.run / "console.lock", take=arguments.take):
            signal.signal(signal.SIGTERM, _taken)
            with connected(place.serial) as port:
                return join(port)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.status


@contextmanager
def held(lock: Path, *, take: bool) -> Iterator[None]:
    """The console is this process's for the block: two people typing into one serial port is nobody's command.

    The lock is the kernel's, so whoever ends, in whatever way, has given it back. Raises Refused.
    """
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _TAKE_SECONDS
    try:
        while not _locked(file):
            holder = os.pread(file, 32, 0).decode()
            if not take:
                raise Refused(ConsoleExit.TAKEN, "somebody else is at the console; --take ends their session")
            if time.monotonic() > deadline:
                raise Refused(ConsoleExit.TAKEN, f"process {holder} does not let go of the console")
            if holder.isdecimal():  # not between being locked and being written
                _end(int(holder))
            time.sleep(0.05)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """Raises Refused while there is no QEMU."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as port:
        try:
            port.connect(str(path))
        except OSError as error:
            raise Refused(
                ConsoleExit.NO_GUEST, f"the guest has no serial port yet, or not any more: {error.strerror}"
            ) from error
        port.setblocking(False)
        yield port


def join(port: socket.socket) -> ConsoleExit:
    """Copies both ways until the guest is off or nobody types any more. stdin waits while the guest takes nothing;
    stdout never makes the guest wait."""
    typed, said, lost = b"", bytearray(), 0
    os.set_blocking(STDOUT, False)
    with selectors.DefaultSelector() as ready:
        while True:
            _watch(ready, STDIN, selectors.EVENT_READ if not typed else 0)
            _watch(ready, port.fileno(), selectors.EVENT_READ | (selectors.EVENT_WRITE if typed else 0))
            _watch(ready, STDOUT, selectors.EVENT_WRITE if said else 0)
            events = {key.fd: mask for key, mask in ready.select()}
            if events.get(STDIN) and not (typed := os.read(STDIN, _CHUNK)):
                return ConsoleExit.LEFT
            try:
                if typed:
                    typed = typed[_sent(port, typed) :]
                if events.get(port.fileno(), 0) & selectors.EVENT_READ:
                    if not (chunk := port.recv(_CHUNK)):
                        _show_rest(said)
                        return ConsoleExit.GUEST_ENDED
                    room = max(_KEPT_BYTES - len(said), 0)
                    said += chunk[:room]
                    lost += len(chunk[room:])
            except ConnectionError:
                _show_rest(said)
                return ConsoleExit.GUEST_ENDED
            if said and events.get(STDOUT):
                try:
                    del said[: os.write(STDOUT, said)]
                except BrokenPipeError:
                    return ConsoleExit.LEFT
                if lost and not said:
                    said += f"\r\n[{lost} bytes were not shown: the terminal was too slow]\r\n".encode()
                    lost = 0


def _watch(ready: selectors.BaseSelector, fd: int, events: int) -> None:
    known = ready.get_map().get(fd)
    if known is not None and known.events == events:
        return
    if known is not None:
        ready.unregister(fd)
    if events:
        ready.register(fd, events)


def _sent(port: socket.socket, data: bytes) -> int:
    try:
        return port.send(data)
    except BlockingIOError:
        return 0


def _show_rest(said: bytearray) -> None:
    os.set_blocking(STDOUT, True)
    while said:
        try:
            del said[: os.write(STDOUT, said)]
        except BrokenPipeError:
            return


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno != errno.EWOULDBLOCK:
            raise
        return False
    return True


def _end(holder: int) -> None:
    try:
        os.kill(holder, signal.SIGTERM)
    except ProcessLookupError:
        return


def _taken(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Refused(ConsoleExit.TAKEN, "the console was taken by somebody else")


if __name__ == "__main__":
    sys.exit(main())
