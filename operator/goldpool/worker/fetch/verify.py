"""Digests of a stream, taken while it passes."""

import hashlib
from collections.abc import Callable, Iterable

from goldpool.contracts.operations import Checksum


class Digests:
    """The digests of all bytes given so far, from the first one: sha256 always, and every declared algorithm."""

    def __init__(self, declared: Iterable[Checksum] = ()) -> None:
        algorithms = {"sha256", *(checksum.algorithm for checksum in declared)}
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in sorted(algorithms)}

    def covers(self, other: "Digests") -> bool:
        """These have all algorithms of the other ones."""
        return self._hashes.keys() >= other._hashes.keys()

    def stages(self) -> tuple[Callable[[memoryview], None], ...]:
        """What must see all bytes, in order. Each may run in a thread of its own: what is longer than 2 KiB is hashed
        without the interpreter's lock."""
        return tuple(running.update for running in self._hashes.values())

    def revision(self) -> str:
        return self._hashes["sha256"].hexdigest()

    def mismatch(self, declared: Iterable[Checksum]) -> str | None:
        """The first declared digest that these bytes do not have, as text for people; None when all agree."""
        for checksum in declared:
            actual = self._hashes[checksum.algorithm].hexdigest()
            if actual != checksum.hex:
                return f"{checksum.algorithm} is {actual}, declared is {checksum.hex}"
        return None
