"""The digests that are understood, and which of them says most."""

from collections.abc import Iterable
from typing import Final

from goldpool.contracts.operations import Checksum

HEX_DIGITS: Final = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
"""By algorithm, the weakest first."""
_STRENGTH: Final = tuple(HEX_DIGITS)


def strongest(checksums: Iterable[Checksum]) -> str:
    """The algorithm that says most of bytes that have all of these digests; empty when there is none."""
    return max((one.algorithm for one in checksums), key=_STRENGTH.index, default="")
