"""The base of everything that crosses a process boundary."""

from typing import Final

from pydantic import BaseModel, ConfigDict

CONTRACT_VERSION: Final = 1
"""Raised when an old worker could misread what a new operator writes. A pod carries the version it was
started with, so that an operator never reads a result it cannot understand."""


class Contract(BaseModel):
    """Frozen; unknown fields are refused, because an operation half understood is a way to lose data."""

    model_config = ConfigDict(frozen=True, extra="forbid")
