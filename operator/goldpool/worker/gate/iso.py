"""An ISO 9660 medium: its volume descriptors, and that what they name lies inside the file.

A medium is read by a guest only, through a read-only device; what is asked here is that it is one, and whole.
Source: ECMA-119, 7.2 to 8.4.
"""

import struct
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate.image import SECTOR, Image

_BLOCK: Final = 2048
_FIRST_DESCRIPTOR: Final = 16
_DESCRIPTORS: Final = 100
"""Real media have three to six; without an end marker among this many it is none."""
_PRIMARY, _TERMINATOR = 1, 255
_SPACE, _BLOCK_SIZE, _PATH_TABLE_BYTES, _ROOT_EXTENT, _ROOT_BYTES = 80, 128, 132, 158, 166
_PATH_TABLE: Final = 140


def virtual_bytes(image: Image) -> int:
    """The file's length in whole sectors. ``WrongFormat`` when it is no medium, or not all of one."""
    primary = _primary(image)
    block = _both(primary, _BLOCK_SIZE, "H", "block size")
    if block not in {512, 1024, _BLOCK}:
        raise _refused(f"its logical blocks have {block} bytes; 512, 1024 and 2048 are valid")
    space = _both(primary, _SPACE, "I", "volume size") * block
    if not 0 < space <= image.length:
        raise _refused(
            f"it says it has {space} bytes, the file has {image.length}: it was cut off; publish the whole file"
        )
    (path_table,) = struct.unpack_from("<I", primary, _PATH_TABLE)
    _inside(
        "path table", path_table * block, _both(primary, _PATH_TABLE_BYTES, "I", "path table size"), space
    )
    root = _both(primary, _ROOT_EXTENT, "I", "root directory") * block
    _inside("root directory", root, _both(primary, _ROOT_BYTES, "I", "root directory's size"), space)
    return -(-image.length // SECTOR) * SECTOR


def _primary(image: Image) -> bytes:
    found = b""
    for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + _DESCRIPTORS):
        descriptor = image.read(number * _BLOCK, _BLOCK)
        if len(descriptor) < _BLOCK or descriptor[1:6] != b"CD001":
            break
        if descriptor[0] == _PRIMARY and not found:
            found = descriptor
        if descriptor[0] == _TERMINATOR:
            if found:
                return found
            raise _refused("it has no primary volume descriptor")
    raise _refused("its list of volume descriptors has no end: it was cut off, or is no medium")


def _both(descriptor: bytes, offset: int, code: str, what: str) -> int:
    """A number that stands there in both byte orders."""
    little, big = (struct.unpack_from(order + code, descriptor, offset + at) for order, at in
                   (("<", 0), (">", struct.calcsize(code))))  # fmt: skip
    if little != big:
        raise _refused(f"its {what} is {little[0]} in one byte order and {big[0]} in the other")
    return int(little[0])


def _inside(what: str, offset: int, length: int, space: int) -> None:
    if not offset or not length or offset + length > space:
        raise _refused(f"its {what} ({length} bytes at {offset}) lies outside its {space} bytes")


def _refused(objection: str) -> OperationFailed:
    return OperationFailed(FailureReason.WRONG_FORMAT, f"ISO image refused: {objection}")
