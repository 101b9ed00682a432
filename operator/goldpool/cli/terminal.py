"""The user's terminal while it belongs to somebody else's machine."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

ESCAPE: Final = b"\x1d"
"""Ctrl-], as telnet and virsh have it."""
_CHUNK: Final = 4096


@contextmanager
def raw(fd: int) -> Iterator[None]:
    """Every key, Ctrl-C too, is the guest's for the block. The terminal is as before afterwards, whatever happens.
    What is no terminal is left alone."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@dataclass(frozen=True)
class Typed:
    """``left`` once the escape was among it: then ``data`` is what came before."""

    data: bytes
    left: bool = False


def read(chunk: bytes, *, terminal: bool) -> Typed:
    """What a chunk of input means. Only a person leaves by a key: a file may hold any byte."""
    before, escape, _ = chunk.partition(ESCAPE)
    return Typed(before, left=True) if terminal and escape else Typed(chunk)


async def keys(fd: int) -> AsyncIterator[Typed]:
    """What is typed, until the escape or the end of the input. Works for terminals, pipes and files alike."""
    terminal = os.isatty(fd)
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

    def arrived() -> None:
        loop.remove_reader(fd)  # until this is taken: the guest sets the pace
        chunks.put_nowait(os.read(fd, _CHUNK))

    while True:
        try:
            loop.add_reader(fd, arrived)
            chunk = await chunks.get()
        except PermissionError:  # epoll takes no regular files; they never block either
            chunk = os.read(fd, _CHUNK)
        finally:
            loop.remove_reader(fd)
        if not chunk:
            return
        typed = read(chunk, terminal=terminal)
        yield typed
        if typed.left:
            return


def show(data: bytes, *, error: bool = False) -> None:
    """At once, and as it is."""
    out = sys.stderr if error else sys.stdout
    out.buffer.write(data)
    out.buffer.flush()
