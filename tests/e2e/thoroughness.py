"""Cases that `make kill-matrix` tries, and of which every other run takes the first."""

import os
from typing import TypeVar

T = TypeVar("T")


def thorough(first: T, *others: T) -> list[T]:
    return [first, *others] if os.environ.get("GOLDPOOL_THOROUGH") else [first]
