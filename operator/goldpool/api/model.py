"""The base of the API's models, the scalars they share, and what the CRD generator needs to know of a kind.

Python validators do not run on the API server, so every rule a user can break is written as schema or CEL;
the models only read what the server has already accepted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

GROUP: Final = "goldpool.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


@dataclass(frozen=True)
class Rule:
    """One CEL rule. ``message`` names the field and the remedy; it is what ``kubectl apply`` prints."""

    rule: str
    message: str
    field_path: str = ""

    def to_schema(self) -> dict[str, str]:
        """An element of ``x-kubernetes-validations``."""
        schema = {"rule": self.rule, "message": self.message}
        return {**schema, "fieldPath": self.field_path} if self.field_path else schema


@dataclass(frozen=True)
class ListMap:
    """The list is a map by these keys, so that server-side apply merges it per element."""

    keys: tuple[str, ...]

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            **handler(core),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }


@dataclass(frozen=True)
class ListSet:
    """The list is a set of scalars."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "x-kubernetes-list-type": "set"}


@dataclass(frozen=True)
class ListAtomic:
    """The list has one owner and is replaced as a whole. Said of lists of objects, which would else be maps."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "x-kubernetes-list-type": "atomic"}


@dataclass(frozen=True)
class QuantitySchema:
    """A Kubernetes quantity: an integer or a string."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        handler(core)
        # minimum counts for integers, pattern and maxLength for strings; maxLength also bounds the cost of CEL.
        return {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": 32,
            "pattern": QUANTITY_PATTERN,
        }


@dataclass(frozen=True)
class DurationSchema:
    """A Go duration. JSON schema's own format ``duration`` is ISO 8601, which Kubernetes does not read."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        handler(core)
        return {"type": "string", "maxLength": 32, "pattern": DURATION_PATTERN}


@dataclass(frozen=True)
class Column:
    """A printer column; ``priority`` 1 shows only with ``-o wide``."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Crd:
    """What makes a model a kind."""

    kind: str
    plural: str
    short: str
    namespaced: bool
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = field(default=())


def _with_rules(schema: JsonSchemaValue, model: type[Any]) -> None:
    """CEL rules go into the schema at the level of the model that declares them."""
    if model.rules:
        schema["x-kubernetes-validations"] = [rule.to_schema() for rule in model.rules]


class ApiModel(BaseModel):
    """Frozen, camelCase outside, ignores what a newer version of the API may have added."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_enum_values=False,
        json_schema_extra=_with_rules,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the API server stores it: aliases, no nulls (a null in a list map is owned by nobody)."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(ApiModel):
    """The part of metadata that Goldpool reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class Kind(ApiModel):
    """A root object. Subclasses set ``crd`` and have ``spec`` and ``status``."""

    crd: ClassVar[Crd]

    metadata: ObjectMeta

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Self:
        """From a raw object of the API server. Raises pydantic's ValidationError when it is older than the schema."""
        return cls.model_validate(obj)

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None


def positive(field_name: str, path: str, *, optional: bool = False) -> Rule:
    """The quantity ``self.<field_name>`` is above zero; the pattern alone also takes ``0Gi``."""
    above = f"quantity(string(self.{field_name})).isGreaterThan(quantity('0'))"
    return Rule(
        f"!has(self.{field_name}) || {above}" if optional else above,
        f"{path} must be more than 0: write a quantity like 20Gi",
        f".{field_name}",
    )


_QUANTITY = re.compile(r"^([0-9]+)(?:\.([0-9]+))?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E|m)?$")
_UNITS: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}  # fmt: skip
QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"
DURATION_PATTERN: Final = r"^([0-9]+(ms|s|m|h))+$"


def parse_quantity(value: object) -> int:
    """Bytes (or operations) of a Kubernetes quantity, rounded up to a whole number. Raises ValueError."""
    if isinstance(value, int):
        return value
    match = _QUANTITY.match(str(value))
    if match is None or match[3] == "m":
        raise ValueError(f"{value!r} is not a quantity like 20Gi")
    unit = _UNITS[match[3] or ""]
    fraction = match[2] or ""
    whole = int(match[1] + fraction) * unit
    scale: int = 10 ** len(fraction)
    return -(-whole // scale)


def format_quantity(value: int) -> str:
    """The shortest binary form that loses nothing: ``21474836480`` is ``20Gi``."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if value and value % _UNITS[suffix] == 0:
            return f"{value // _UNITS[suffix]}{suffix}"
    return str(value)


def human_bytes(value: int) -> str:
    """For people only: at most one decimal, binary units."""
    amount = float(value)
    for suffix in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or suffix == "TiB":
            return f"{amount:.0f} {suffix}" if amount >= 100 or suffix == "B" else f"{amount:.1f} {suffix}"
        amount /= 1024
    raise AssertionError("unreachable")


def short_bytes(value: int) -> str:
    """The same for a narrow column: ``1.2Gi``."""
    return human_bytes(value).replace(" ", "").removesuffix("B")


def short_seconds(value: float) -> str:
    """For people only: two units at most, like ``1m20s``; parts that nobody waits for are left out."""
    seconds = max(0, round(value))
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{seconds % 60}s" if minutes else f"{seconds}s"


_DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def parse_duration(value: object) -> float:
    """Seconds of a Go duration like ``1h30m``. Raises ValueError."""
    if isinstance(value, int | float):
        return float(value)
    if re.match(DURATION_PATTERN, str(value)) is None:
        raise ValueError(f"{value!r} is not a duration like 24h")
    return sum(int(n) * _DURATION_UNITS[u] for n, u in re.findall(r"([0-9]+)(ms|s|m|h)", str(value)))


def format_duration(value: float) -> str:
    seconds = int(value)
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Bytes = Annotated[
    int, BeforeValidator(parse_quantity), PlainSerializer(format_quantity, when_used="json"), QuantitySchema()
]
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    DurationSchema(),
]
"""Seconds in Python; ``^([0-9]+(ms|s|m|h))+$`` outside."""

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
"""Of names that need not fit a label, like a PriorityClass's."""
Name = Annotated[str, StringConstraints(max_length=63, pattern=NAME_PATTERN)]
"""The name of another object: a DNS label."""
LABEL_NAME: Final = Rule(
    f"self.metadata.name.matches('{NAME_PATTERN}')",
    "metadata.name: lower-case letters, digits and -, no dots; others refer to it by a DNS label",
)
Tag = Annotated[str, StringConstraints(max_length=63, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
Time = Annotated[str, StringConstraints(max_length=32)]
"""RFC 3339, UTC, whole seconds."""
