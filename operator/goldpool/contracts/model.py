"""The base of everything that crosses a process boundary."""

from typing import Annotated, Any, Final, Self, dataclass_transform

import msgspec
from msgspec import Meta

CONTRACT_VERSION: Final = 1
"""Raised when an old worker could misread what a new operator writes. A pod carries the version it was
started with, so that an operator never reads a result it cannot understand."""

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class Misread(ValueError):
    """What arrived is not what it should be. The text names the place in it, and of its content only a field that nobody
    knows, a word that is none of a closed set's, or a network that is none."""


class _KeywordsOnly(msgspec.StructMeta):
    """``kw_only`` is the one setting that msgspec's structs do not inherit."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> "_KeywordsOnly":
        return super().__new__(cls, name, bases, namespace, **{"kw_only": True, **config})


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Contract(msgspec.Struct, metaclass=_KeywordsOnly, frozen=True, forbid_unknown_fields=True):
    """Frozen; unknown fields are refused, because an operation half understood is a way to lose data.

    Types and limits are checked where something is read, not where it is made.
    """

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises ``Misread``."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (ValueError, RecursionError) as error:
            raise Misread(str(error)) from error

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Of JSON that was read already, or for the checks. Raises ``Misread``."""
        try:
            return msgspec.convert(fields, cls)
        except (ValueError, RecursionError) as error:
            raise Misread(str(error)) from error

    def to_json(self, *, indent: int | None = None) -> str:
        data = msgspec.json.encode(self)
        return (data if indent is None else msgspec.json.format(data, indent=indent)).decode()

    def replace(self, **changes: Any) -> Self:
        return msgspec.structs.replace(self, **changes)
