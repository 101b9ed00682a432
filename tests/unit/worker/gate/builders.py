"""Asking the gate about files."""

import os
from pathlib import Path
from typing import Any

import pytest

from goldpool.contracts.layout import ImageFormat
from goldpool.worker.failures import OperationFailed
from goldpool.worker.gate import admit
from tests.unit.worker.builders import a_policy


def admitted(path: Path, declared: ImageFormat = ImageFormat.QCOW2, **policy: Any) -> int:
    """The virtual size; the file is open for reading and writing, as it is in a fetch."""
    fd = os.open(path, os.O_RDWR)
    try:
        return admit(fd, declared, a_policy(**policy))
    finally:
        os.close(fd)


def refused(path: Path, declared: ImageFormat = ImageFormat.QCOW2, **policy: Any) -> OperationFailed:
    with pytest.raises(OperationFailed) as failed:
        admitted(path, declared, **policy)
    return failed.value
