"""A raw disk: what nothing else claims, in whole sectors."""

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate.image import SECTOR, Image


def virtual_bytes(image: Image) -> int:
    """The file's own length. ``WrongFormat`` for what is no disk."""
    if image.length == 0 or image.length % SECTOR:
        raise OperationFailed(
            FailureReason.WRONG_FORMAT,
            f"a raw disk of {image.length} bytes is not a whole number of {SECTOR}-byte sectors; "
            "it may be cut off, or no disk image at all",
        )
    return image.length
