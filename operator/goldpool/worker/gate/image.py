"""The bytes under examination, read by position: what is checked is what was hashed, whatever happens to its name."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Final

SECTOR: Final = 512
HEAD_BYTES: Final = 2 << 20
"""The largest first cluster of a qcow2 image: every extension of its header lies within."""


@dataclass(frozen=True)
class Image:
    """``length`` is the file's length, ``fd`` is not closed here."""

    fd: int
    length: int

    @classmethod
    def of(cls, fd: int) -> "Image":
        return cls(fd, os.fstat(fd).st_size)

    @cached_property
    def head(self) -> bytes:
        return self.read(0, HEAD_BYTES)

    @cached_property
    def tail(self) -> bytes:
        return self.read(max(0, self.length - SECTOR), SECTOR)

    def read(self, offset: int, length: int) -> bytes:
        """As many bytes as there are: one pread(2) may stop early on NFS."""
        data = b""
        while len(data) < length and (chunk := os.pread(self.fd, length - len(data), offset + len(data))):
            data = data + chunk if data else chunk
        return data
