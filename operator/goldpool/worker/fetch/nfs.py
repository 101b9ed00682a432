"""One body from an NFS server, read by libnfs's own tool: nothing is mounted, and nothing needs a privilege.

The tool says neither how much comes nor which version it is, so that every try begins at the first byte.
"""

import contextlib
import fcntl
import os
import resource
import select
import socket
import subprocess
from collections.abc import Iterator
from typing import Final

from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.fetch.connection import seconds_left
from goldpool.worker.fetch.dialing import endpoints
from goldpool.worker.fetch.nfs_urls import NfsFile, parsed
from goldpool.worker.fetch.partial import Partial
from goldpool.worker.fetch.policy import MirrorFailed
from goldpool.worker.fetch.reading import Reader
from goldpool.worker.fetch.receiving import Told, Transfer, receive
from goldpool.worker.fetch.resume import Version

_PROGRAM: Final = "nfs-cat"
_ADDRESS_SPACE: Final = 256 << 20
"""The tool takes lengths from the server; it needs a few megabytes."""
_PIPE_BYTES: Final = 1 << 20
_SPOKEN_BYTES: Final = 4096
_SHOWN: Final = 200


def transfer(url: str, common: Transfer, told: Told) -> Partial:
    """All of the file is on the pool, and hashed; else ``MirrorFailed``, and nothing is kept of it."""
    partial = None
    try:
        with _opened(url, common.policy, common.deadline) as read:
            partial = common.partials.begin(url, Version(total=None), common.room)
            receive(read, partial, common, told)
            return partial
    except MirrorFailed:
        if partial is not None:
            common.partials.discard(partial)
        raise


def first_bytes(url: str, policy: FetchPolicy, deadline: float, most: int) -> bytes:
    """The file's beginning, to look at; fewer than ``most`` only if there are no more. ``MirrorFailed`` as a transfer."""
    data = bytearray(most)
    received = 0
    with _opened(url, policy, deadline) as read:
        while received < most and (count := read(memoryview(data)[received:])):
            received += count
            seconds_left(deadline, policy)
    return bytes(data[:received])


@contextlib.contextmanager
def _opened(url: str, policy: FetchPolicy, deadline: float) -> Iterator[Reader]:
    """Reads the file from its first byte. 0 is its end, and says that all of it came: the tool ended well.

    ``MirrorFailed``: Unsupported, AddressRefused, SourceUnreachable, SourceRefused, TransferIncomplete. Whatever happens,
    the tool has ended when the block is left.
    """
    file = parsed(url)
    if isinstance(file, str):
        raise MirrorFailed(FailureReason.UNSUPPORTED, file)
    address = _address(file, policy, min(policy.connect_seconds, seconds_left(deadline, policy)))
    process = _started(address, file)
    try:
        yield _reader(process, policy)
    finally:
        process.kill()
        process.communicate()  # reaps it, and closes the pipes


def _address(file: NfsFile, policy: FetchPolicy, seconds: float) -> str:
    """The address that the tool is given: resolved once, judged, and one that answers. The tool itself would wait for
    minutes for one that does not, and not say why."""
    failure = ""
    try:
        found = endpoints(file.host, file.port, policy.addresses, seconds)
    except (socket.gaierror, UnicodeError) as error:
        raise MirrorFailed(
            FailureReason.SOURCE_UNREACHABLE, f"{file.host} is not known: {_why(error)}"
        ) from error
    except TimeoutError as error:
        raise MirrorFailed(
            FailureReason.SOURCE_UNREACHABLE, f"{file.host} was not resolved in time"
        ) from error
    for endpoint in found:
        try:
            with socket.create_connection((endpoint.ip, file.port), timeout=seconds):
                return endpoint.ip
        except OSError as error:
            failure = "no connection in time" if isinstance(error, TimeoutError) else _why(error)
    raise MirrorFailed(FailureReason.SOURCE_UNREACHABLE, failure)


def _started(address: str, file: NfsFile) -> "subprocess.Popen[bytes]":
    # libnfs 4 takes an IPv6 address as it is, and the port as an argument. Version 4 needs no other port and no
    # portmapper; a server that knows only 3 is refused by the tool.
    url = f"nfs://{address}{file.path}?version=4&nfsport={file.port}"
    try:
        process = subprocess.Popen(
            (_PROGRAM, url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C"},
            bufsize=0,
        )
    except FileNotFoundError as error:
        raise MirrorFailed(FailureReason.UNSUPPORTED, f"there is no {_PROGRAM} here") from error
    with contextlib.suppress(OSError):  # it may have ended already
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    with contextlib.suppress(OSError):
        assert process.stdout is not None
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _reader(process: "subprocess.Popen[bytes]", policy: FetchPolicy) -> Reader:
    assert process.stdout is not None
    fd = process.stdout.fileno()
    received = 0

    def read(space: memoryview) -> int:
        nonlocal received
        patience = policy.idle_seconds if received else policy.connect_seconds + policy.idle_seconds
        if not select.select([fd], [], [], patience)[0]:
            raise MirrorFailed(
                FailureReason.TRANSFER_INCOMPLETE if received else FailureReason.SOURCE_UNREACHABLE,
                "no byte arrived in time",
            )
        count = os.readv(fd, [space])
        received += count
        if count == 0:
            _ended_well(process, policy, received)
        return count

    return read


def _ended_well(process: "subprocess.Popen[bytes]", policy: FetchPolicy, received: int) -> None:
    """Its output's end is only the file's if it says so itself: a tool that was killed ends its output, too."""
    try:
        status = process.wait(policy.idle_seconds)
    except subprocess.TimeoutExpired as error:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, f"{_PROGRAM} did not end") from error
    if status == 0:
        return
    assert process.stderr is not None
    lines = os.read(process.stderr.fileno(), _SPOKEN_BYTES).decode("utf-8", "replace").splitlines()
    # The first line says what failed, the last one only repeats the URL.
    said = lines[0][:_SHOWN] if lines else f"{_PROGRAM} ended with {status}"
    if received:
        raise MirrorFailed(FailureReason.TRANSFER_INCOMPLETE, said)
    mounted = "mount" not in said
    raise MirrorFailed(FailureReason.SOURCE_REFUSED if mounted else FailureReason.SOURCE_UNREACHABLE, said)


def _why(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
