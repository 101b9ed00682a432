"""The checks in their order, cheap to dear, and none that opens the image before all that read it have agreed.

Source: the advisories and the order of checks in the OpenStack, oVirt and QEMU projects' handling of foreign images.
"""

from collections.abc import Callable
from typing import Final

from goldpool.contracts.layout import ImageFormat
from goldpool.contracts.operations import FetchPolicy
from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate import iso, qemu_img, raw
from goldpool.worker.gate.detection import detected, wrong_format
from goldpool.worker.gate.image import Image
from goldpool.worker.gate.qcow2_header import read_header
from goldpool.worker.gate.qcow2_tables import check_tables


def admit(fd: int, declared: ImageFormat, policy: FetchPolicy) -> int:
    """The virtual size in bytes of an image that may become a parent.

    ``WrongFormat``, ``UnsafeImage`` and ``TooLarge`` are about the bytes, and so permanent; ``IOError`` is about
    this host. The image is only ever read.
    """
    image = Image.of(fd)
    if (objection := wrong_format(declared, detected(image.head, image.tail))) is not None:
        raise OperationFailed(FailureReason.WRONG_FORMAT, objection)
    return _EXAMINATION[declared](image, policy)


def _qcow2(image: Image, policy: FetchPolicy) -> int:
    header = read_header(image.head, image.length)
    _not_above(header.virtual_bytes, policy)
    check_tables(image, header)
    qemu_img.examine(image, header.virtual_bytes, policy)
    return header.virtual_bytes


def _raw(image: Image, policy: FetchPolicy) -> int:
    _not_above(image.length, policy)
    return raw.virtual_bytes(image)


def _iso(image: Image, policy: FetchPolicy) -> int:
    _not_above(image.length, policy)
    return iso.virtual_bytes(image)


_EXAMINATION: Final[dict[ImageFormat, Callable[[Image, FetchPolicy], int]]] = {
    ImageFormat.QCOW2: _qcow2,
    ImageFormat.RAW: _raw,
    ImageFormat.ISO: _iso,
}


def _not_above(virtual_bytes: int, policy: FetchPolicy) -> None:
    if virtual_bytes > policy.max_virtual_bytes:
        raise OperationFailed(
            FailureReason.TOO_LARGE,
            f"a virtual disk of {virtual_bytes} bytes, at most {policy.max_virtual_bytes} are allowed",
        )
