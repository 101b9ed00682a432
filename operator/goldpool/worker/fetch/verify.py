"""Digests of a stream, taken while it passes."""

import hashlib
from collections.abc import Iterable

from goldpool.contracts.operations import Checksum


class Digests:
    """The digests of all bytes given so far, from the first one: sha256 always, and every declared algorithm."""

    def __init__(self, declared: Iterable[Checksum] = ()) -> None:
        self._declared = tuple(declared)
        algorithms = {"sha256", *(checksum.algorithm for checksum in self._declared)}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in sorted(algorithms)}

    def update(self, data: bytes | memoryview) -> None:
        """May run in a thread of its own: what is longer than 2 KiB is hashed without the interpreter's lock."""
        for running in self._hashes.values():
            running.update(data)

    def revision(self) -> str:
        return self._hashes["sha256"].hexdigest()

    def mismatch(self) -> str | None:
        """The first declared digest that these bytes do not have, as text for people; None when all agree."""
        for checksum in self._declared:
            actual = self._hashes[checksum.algorithm].hexdigest()
            if actual != checksum.hex:
                return f"{checksum.algorithm} is {actual}, declared is {checksum.hex}"
        return None
