"""One row for each construct that is converted, and one for each that is refused."""

from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from goldpool.api.model import (
    DURATION_PATTERN,
    QUANTITY_PATTERN,
    ApiModel,
    Bytes,
    Duration,
    ListAtomic,
    ListMap,
    ListSet,
    Rule,
)
from goldpool.api.schema import Schema, SchemaError, convert, structural

REQUIRED = ...


class Colour(StrEnum):
    """What a type says of itself."""

    RED = "Red"
    BLUE = "Blue"


class Point(ApiModel):
    """A point."""

    x: int = Field(default=0, description="Across.")
    y: int | None = Field(default=None, description="Down.")


class Named(ApiModel):
    """An item with a key."""

    name: str = Field(description="The key.")
    host: str = Field(default="", description="A key that may be empty.")
    size: int | None = Field(default=None, description="No key: it may be absent.")


class Ruled(ApiModel):
    """An item with a rule."""

    rules: ClassVar = (Rule("self.x > 0", "x: use a number above 0"),)

    x: int = Field(default=1, description="Across.")


class Immutable(ApiModel):
    """An item that compares itself with its past."""

    rules: ClassVar = (Rule("self.name == oldSelf.name", "name is immutable"),)

    name: str = Field(description="The key.")


class Silent(ApiModel):
    """An item whose rule says nothing."""

    rules: ClassVar = (Rule("self.name == ''", ""),)

    name: str = Field(description="The key.")


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid")
    x: int = Field(default=0, description="Across.")


class Open(BaseModel):
    """Takes what it does not know."""

    model_config = ConfigDict(extra="allow")
    x: int = Field(default=0, description="Across.")


class Undescribed(BaseModel):
    x: int = 0


class Tree(BaseModel):
    """A node."""

    children: Annotated[list["Tree"], ListAtomic(), Field(max_length=2)] = Field(
        default=[], description="Its children."
    )


class Mixed(Enum):
    ONE = 1
    TWO = "two"


def a_model(annotation: Any, default: Any = REQUIRED, **field: Any) -> type[BaseModel]:
    return create_model(
        "Example",
        __doc__="An example.",
        value=(annotation, Field(default, description="A value.", **field)),
    )


def the_field(annotation: Any, default: Any = REQUIRED, **field: Any) -> Schema:
    """The schema of a field of that type, without its description."""
    schema: Schema = structural(a_model(annotation, default, **field))["properties"]["value"]
    assert schema.pop("description") == "A value."
    return schema


POINT = {
    "type": "object",
    "properties": {
        "x": {"type": "integer", "description": "Across.", "default": 0, "format": "int64"},
        "y": {"type": "integer", "description": "Down.", "format": "int64"},
    },
}
STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        pytest.param(str, REQUIRED, STRING, id="a string"),
        pytest.param(str, "a", {"type": "string", "default": "a"}, id="a default is the server's"),
        pytest.param(str | None, None, STRING, id="optional means absent, and no default is null"),
        pytest.param(
            Annotated[str, StringConstraints(max_length=9, min_length=1, pattern="^a+$")],
            REQUIRED,
            {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a+$"},
            id="limits of a string",
        ),
        pytest.param(datetime, REQUIRED, {"type": "string", "format": "date-time"}, id="a format it knows"),
        pytest.param(bool, False, {"type": "boolean", "default": False}, id="a boolean"),
        pytest.param(int, REQUIRED, {"type": "integer", "format": "int64"}, id="an integer"),
        pytest.param(
            Annotated[int, Field(ge=1, le=100)],
            REQUIRED,
            {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100},
            id="an integer whose bounds fit 32 bits",
        ),
        pytest.param(
            Annotated[int, Field(ge=0, le=1 << 40)],
            REQUIRED,
            {"type": "integer", "format": "int64", "minimum": 0, "maximum": 1 << 40},
            id="an integer whose bounds do not",
        ),
        pytest.param(
            Annotated[int, Field(gt=0, lt=9)],
            REQUIRED,
            {
                "type": "integer",
                "format": "int32",
                "minimum": 0,
                "exclusiveMinimum": True,
                "maximum": 9,
                "exclusiveMaximum": True,
            },
            id="exclusive bounds are flags",
        ),
        pytest.param(
            Bytes,
            1 << 30,
            {
                "default": "1Gi",
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
                "minimum": 0,
                "maxLength": 32,
                "pattern": QUANTITY_PATTERN,
            },
            id="a quantity",
        ),
        pytest.param(
            Duration,
            86400.0,
            {"type": "string", "default": "24h", "maxLength": 32, "pattern": DURATION_PATTERN},
            id="a duration is Go's",
        ),
        pytest.param(
            Colour,
            Colour.RED,
            {"type": "string", "default": "Red", "enum": ["Red", "Blue"]},
            id="an enum, inlined",
        ),
        pytest.param(Literal["a"], REQUIRED, {"type": "string", "enum": ["a"]}, id="a constant"),
        pytest.param(Literal["a", "b"], REQUIRED, {"type": "string", "enum": ["a", "b"]}, id="a choice"),
        pytest.param(Point, REQUIRED, POINT, id="a model, inlined"),
        pytest.param(Point | None, None, POINT, id="an optional model"),
        pytest.param(
            Point, Point(x=2), {**POINT, "default": {"x": 2}}, id="a default of a model has no nulls"
        ),
        pytest.param(
            Strict,
            REQUIRED,
            {
                "type": "object",
                "properties": {
                    "x": {"type": "integer", "description": "Across.", "default": 0, "format": "int64"}
                },
            },
            id="extra=forbid is left to pruning and strict validation",
        ),
        pytest.param(
            Annotated[dict[str, str], Field(max_length=3)],
            {},
            {"type": "object", "default": {}, "maxProperties": 3, "additionalProperties": STRING},
            id="a dictionary",
        ),
        pytest.param(
            Annotated[list[str], Field(max_length=3)],
            [],
            {
                "type": "array",
                "default": [],
                "maxItems": 3,
                "x-kubernetes-list-type": "atomic",
                "items": STRING,
            },
            id="a list of scalars is atomic",
        ),
        pytest.param(
            Annotated[list[str], ListSet(), Field(max_length=3)],
            REQUIRED,
            {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": STRING},
            id="a list that is a set",
        ),
        pytest.param(
            Annotated[set[str], Field(max_length=3)],
            REQUIRED,
            {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": STRING},
            id="a set",
        ),
        pytest.param(
            Annotated[list[Point], ListAtomic(), Field(max_length=3)],
            REQUIRED,
            {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "atomic",
                "items": {**POINT, "description": "A point."},
            },
            id="a list of objects that is replaced as a whole",
        ),
    ],
)
def test_it_is_converted(annotation: Any, default: Any, expected: Schema) -> None:
    assert the_field(annotation, default) == expected


def test_a_list_map_names_its_keys() -> None:
    schema = the_field(Annotated[list[Named], ListMap(("name", "host")), Field(max_length=3)], [])
    assert schema["x-kubernetes-list-type"] == "map"
    assert schema["x-kubernetes-list-map-keys"] == ["name", "host"]
    assert schema["items"]["required"] == ["name"]


def test_a_field_explains_itself_better_than_its_type() -> None:
    schema = structural(a_model(Colour, Colour.RED))
    assert schema["properties"]["value"]["description"] == "A value."


def test_rules_stand_at_the_level_of_the_model_that_declares_them() -> None:
    schema = structural(a_model(Ruled))
    assert "x-kubernetes-validations" not in schema
    assert schema["properties"]["value"]["x-kubernetes-validations"] == [
        {"rule": "self.x > 0", "message": "x: use a number above 0"}
    ]


def test_a_rule_may_point_at_a_field() -> None:
    assert Rule("r", "m", ".spec.size").to_schema() == {
        "rule": "r",
        "message": "m",
        "fieldPath": ".spec.size",
    }


def test_items_of_a_list_map_may_look_at_their_past() -> None:
    schema = the_field(Annotated[list[Immutable], ListMap(("name",)), Field(max_length=3)])
    assert schema["items"]["x-kubernetes-validations"][0]["rule"] == "self.name == oldSelf.name"


def test_docstrings_become_one_line() -> None:
    assert structural(create_model("Example", __doc__="One\n    sentence."))["description"] == "One sentence."


def test_a_field_may_be_called_title() -> None:
    model = create_model("Example", title=(str, Field(description="A title.", title="Noise")))
    assert structural(model)["properties"] == {"title": {"type": "string", "description": "A title."}}


def test_no_titles_definitions_or_nulls_are_left() -> None:
    text = str(structural(a_model(Point | None, None)))
    assert not any(word in text for word in ("title", "$defs", "$ref", "null", "None"))


@pytest.mark.parametrize(
    ("annotation", "default", "problem"),
    [
        pytest.param(float, REQUIRED, "no floats", id="a float"),
        pytest.param(str | None, REQUIRED, "needs the default None", id="required and null"),
        pytest.param(None, REQUIRED, "absent is the only null", id="null"),
        pytest.param(int | str, REQUIRED, "union", id="a union of scalars"),
        pytest.param(Point | Named, REQUIRED, "union", id="a union of objects"),
        pytest.param(Any, REQUIRED, "pruned", id="anything"),
        pytest.param(Mixed, REQUIRED, "type is None", id="an enum of several types"),
        pytest.param(Annotated[dict[str, Any], Field(max_length=1)], REQUIRED, "pruned", id="free values"),
        pytest.param(dict[str, str], REQUIRED, "no maxProperties", id="an unbounded dictionary"),
        pytest.param(list[str], REQUIRED, "no maxItems", id="an unbounded list"),
        pytest.param(tuple[int, str], REQUIRED, "tuple", id="a tuple"),
        pytest.param(timedelta, REQUIRED, "use Duration", id="an ISO 8601 duration"),
        pytest.param(
            Annotated[str, Field(json_schema_extra={"format": "uri-reference"})],
            REQUIRED,
            "format uri-reference",
            id="a format it does not know",
        ),
        pytest.param(
            Annotated[str, StringConstraints(pattern="a+")], REQUIRED, "not anchored", id="an open pattern"
        ),
        *(
            pytest.param(
                Annotated[str, Field(json_schema_extra={"pattern": pattern})], REQUIRED, "RE2", id=pattern
            )
            for pattern in ("^(?=a)b$", "^(?!a)b$", "^(?<=a)b$", "^(?<!a)b$", r"^(a)\1$", r"^a\Z$", "^a++$")
        ),
        pytest.param(Open, REQUIRED, "not both", id="fields and free keys"),
        pytest.param(Undescribed, REQUIRED, "no description", id="a field without description"),
        pytest.param(Tree, REQUIRED, "contains itself", id="recursion"),
        pytest.param(
            Annotated[list[Point], Field(max_length=1)],
            REQUIRED,
            "must say what it is",
            id="a list of objects that does not say what it is",
        ),
        pytest.param(
            Annotated[list[str], ListMap(("name",)), Field(max_length=1)],
            REQUIRED,
            "only a list of objects",
            id="a map of scalars",
        ),
        pytest.param(
            Annotated[list[Point], ListSet(), Field(max_length=1)],
            REQUIRED,
            "only a list of scalars",
            id="a set of objects",
        ),
        pytest.param(
            Annotated[list[Named], ListMap(()), Field(max_length=1)], REQUIRED, "needs keys", id="no keys"
        ),
        pytest.param(
            Annotated[list[Named], ListMap(("id",)), Field(max_length=1)],
            REQUIRED,
            "id is no field",
            id="an unknown key",
        ),
        pytest.param(
            Annotated[list[Named], ListMap(("size",)), Field(max_length=1)],
            REQUIRED,
            "required or have a default",
            id="a key that may be absent",
        ),
        pytest.param(
            Annotated[list[Immutable], ListAtomic(), Field(max_length=1)],
            REQUIRED,
            "oldSelf",
            id="a past below an atomic list",
        ),
        pytest.param(Silent, REQUIRED, "no message", id="a rule without a message"),
        pytest.param(int, "one", "does not fit", id="a default of another type"),
        pytest.param(Colour, "Green", "does not fit", id="a default outside the enum"),
        *(
            pytest.param(Annotated[str, Field(**keyword)], REQUIRED, problem, id=problem)
            for keyword, problem in (
                ({"examples": ["a"]}, "examples"),
                ({"deprecated": True}, "deprecated"),
                ({"json_schema_extra": {"readOnly": True}}, "readOnly"),
                ({"json_schema_extra": {"if": {}}}, "if"),
                ({"json_schema_extra": {"allOf": [{}]}}, "allOf"),
                ({"json_schema_extra": {"oneOf": [{}]}}, "oneOf"),
                ({"json_schema_extra": {"not": {}}}, "not"),
                ({"json_schema_extra": {"discriminator": {}}}, "discriminator"),
            )
        ),
    ],
)
@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # pydantic cannot encode the bad defaults, which is the point
def test_it_is_refused_with_its_path(annotation: Any, default: Any, problem: str) -> None:
    with pytest.raises(SchemaError) as refused:
        structural(a_model(annotation, default))
    assert problem in str(refused.value)
    assert refused.value.path.startswith("value")


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": ["string", "null"]}, "type is"),
        ({"$ref": "#/$defs/Nobody"}, "unknown reference"),
        ({"type": "object", "additionalProperties": True}, "pruned"),
        ({"type": "object", "additionalProperties": False}, "pruned"),
        ({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1,
          "propertyNames": {}}, "propertyNames"),
        ({"type": "array", "maxItems": 1}, "without items"),
        ({"type": "object", "properties": {"a": {"type": "integer", "description": "A."}}, "required": ["a"],
          "default": {}}, "the default lacks a"),
    ],
)  # fmt: skip
def test_what_pydantic_does_not_say_today_is_refused_too(schema: Schema, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        convert(schema)


def test_the_path_leads_through_fields_lists_and_dictionaries() -> None:
    class Deep(BaseModel):
        inner: Annotated[dict[str, Annotated[list[float], Field(max_length=1)]], Field(max_length=1)] = Field(
            description="Something deep."
        )

    with pytest.raises(SchemaError) as refused:
        structural(a_model(Deep))
    assert refused.value.path == "value.inner[*][]"
