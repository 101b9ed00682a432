"""qemu-img's own opinion of a qcow2 image, asked for in a confined process and under limits.

Only images whose header our own reading has accepted come here: qemu-img then has nothing to follow out of the
file, and what its parser may still be led to do ends at the walls of ``confine.py``.
"""

import contextlib
import errno
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed, shortened
from goldpool.worker.gate.confine import NOT_CONFINED
from goldpool.worker.gate.image import Image

_CONFINE: Final = Path(__file__).with_name("confine.py")
_OUTPUT_LIMIT: Final = 256 << 10
"""Bytes kept of what a tool says; a broken image may have a complaint for each of its clusters."""
_REPAIR: Final = "write it anew with qemu-img convert -O qcow2"
_LEAKS: Final = 3
_OF_THE_WALLS: Final = "for OFD lock probing: Operation not permitted"
"""What QEMU says of /dev/null where it may open nothing for writing; it goes on with locks of another kind."""
_NO_THREAD: Final = os.strerror(errno.EAGAIN)
"""QEMU aborts when the host's limit of processes is reached, which says nothing about the image."""


@dataclass(frozen=True)
class _Said:
    code: int
    out: str
    complaints: list[str]

    def answer(self, command: str) -> dict[str, Any]:
        try:
            found = json.loads(self.out)
        except ValueError as error:
            raise OperationFailed(
                FailureReason.IO_ERROR, f"qemu-img {command} gave no answer we understand"
            ) from error
        if not isinstance(found, dict):
            raise OperationFailed(FailureReason.IO_ERROR, f"qemu-img {command} gave no answer we understand")
        return found


def examine(image: Image, virtual_bytes: int, policy: FetchPolicy) -> None:
    """qemu-img reads the image as one that stands alone, has the size we read, and is without fault.

    ``UnsafeImage`` or ``TooLarge``; ``IOError`` where this host could not say: a host without qemu-img admits
    no qcow2 image.
    """
    deadline = time.monotonic() + policy.check_seconds
    with _read_only(image) as fd:
        _check_info(_asked("info", fd, policy, deadline), virtual_bytes)
        _check_unpacked(_asked("measure", fd, policy, deadline), image, policy)
        _check_tables(_asked("check", fd, policy, deadline))


def _check_info(said: _Said, virtual_bytes: int) -> None:
    if said.code:
        raise _unsafe(f"qemu-img cannot open it: {_first(said)}; {_REPAIR}")
    info = said.answer("info")
    specific = info.get("format-specific", {}).get("data", {})
    for what, found in (
        ("a backing file", info.get("backing-filename") or info.get("full-backing-filename")),
        ("an external data file", specific.get("data-file") or specific.get("data-file-raw")),
        ("internal snapshots", info.get("snapshots")),
        ("encryption", info.get("encrypted") or specific.get("encrypt")),
        ("bitmaps", specific.get("bitmaps")),
        ("the mark of corruption", specific.get("corrupt")),
    ):
        if found:
            raise _unsafe(f"qemu-img finds {what} in it")
    if info.get("format") != "qcow2" or info.get("virtual-size") != virtual_bytes:
        raise _unsafe(
            f"qemu-img takes it for a {info.get('format')} disk of {info.get('virtual-size')} bytes, "
            f"its header says {virtual_bytes}"
        )


def _check_unpacked(said: _Said, image: Image, policy: FetchPolicy) -> None:
    """Much virtual space in a small file is what images are for; much data out of little is a bomb."""
    if said.code:
        raise _unsafe(f"qemu-img measure ended with {said.code}: {_first(said)}; {_REPAIR}")
    required = int(said.answer("measure").get("required", -1))
    if not 0 <= required <= policy.max_bytes:
        raise OperationFailed(
            FailureReason.TOO_LARGE,
            f"its {image.length} bytes unpack to {required}, at most {policy.max_bytes} are allowed",
        )


def _check_tables(said: _Said) -> None:
    if said.code == 0:
        return
    if said.code == _LEAKS:
        leaks = said.answer("check").get("leaks", "some")
        raise _unsafe(
            f"qemu-img check finds {leaks} clusters that nothing uses; qemu-img check -r leaks removes them"
        )
    raise _unsafe(f"qemu-img check ended with {said.code}: {_first(said)}; {_REPAIR}")


_COMMANDS: Final = {
    "info": ("info", "--output=json", "-f", "qcow2"),
    "measure": ("measure", "--output=json", "-O", "qcow2", "-f", "qcow2"),
    "check": ("check", "--output=json", "-f", "qcow2"),
}


def _asked(command: str, fd: int, policy: FetchPolicy, deadline: float) -> _Said:
    program = shutil.which("qemu-img")
    if program is None:
        raise OperationFailed(
            FailureReason.IO_ERROR, "qemu-img is missing, so no qcow2 image can be admitted"
        )
    limits = (str(fd), str(policy.check_cpu_seconds), str(policy.check_memory_bytes))
    arguments = (*_COMMANDS[command], f"/proc/self/fd/{fd}")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_CONFINE), *limits, program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(fd,),
        # An arena for each thread would use up the address space that is meant for the image's tables.
        env={"LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1"},
    )
    try:
        out, complaints = _heard(process, deadline)
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise OperationFailed(
            FailureReason.IO_ERROR, f"qemu-img {command} took over {policy.check_seconds:g} s"
        ) from error
    finally:
        # Also when SIGTERM ends the worker in here: nobody is left behind.
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    said = _Said(code, out.decode(errors="replace"), complaints.decode(errors="replace").splitlines())
    _ended_by_itself(said, command, policy)
    return said


def _heard(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bytes]:
    """(stdout, stderr), each up to a limit; what comes after it is read and dropped, so that the tool can end."""
    assert process.stdout is not None
    assert process.stderr is not None
    kept = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    out, complaints = kept
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                kept[key.fd] += data[: max(0, _OUTPUT_LIMIT - len(kept[key.fd]))]
    return kept[out], kept[complaints]


def _ended_by_itself(said: _Said, command: str, policy: FetchPolicy) -> None:
    """Failures that are no opinion of the image, and ends by its limits, which are one."""
    if said.code == NOT_CONFINED:
        raise OperationFailed(FailureReason.IO_ERROR, _first(said))
    if said.code == -signal.SIGKILL:
        raise OperationFailed(
            FailureReason.IO_ERROR, f"qemu-img {command} was killed from outside (out of memory?)"
        )
    if said.code == -signal.SIGABRT and any(_NO_THREAD in line for line in said.complaints):
        raise OperationFailed(FailureReason.IO_ERROR, f"qemu-img {command} got no thread from this host")
    if said.code < 0:
        raise _unsafe(
            f"qemu-img {command} was ended by {_signal(said.code)}: the image needs more than "
            f"{policy.check_cpu_seconds} s of CPU time or {policy.check_memory_bytes >> 20} MiB of memory; {_REPAIR}"
        )


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextlib.contextmanager
def _read_only(image: Image) -> Iterator[int]:
    """Another view of the same file: what a tool inherits must not be able to write."""
    fd = os.open(f"/proc/self/fd/{image.fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _first(said: _Said) -> str:
    """The first complaint says what is wrong; those that follow, that it went on being so."""
    lines = [line.strip() for line in said.complaints if line.strip()]
    text = next((line for line in lines if not line.endswith(_OF_THE_WALLS)), "no message")
    return shortened(text.removeprefix("qemu-img: ").replace("/proc/self/fd/", "fd "), 200)


def _unsafe(objection: str) -> OperationFailed:
    return OperationFailed(FailureReason.UNSAFE_IMAGE, f"qcow2 image refused: {objection}")
