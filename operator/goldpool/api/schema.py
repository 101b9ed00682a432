"""Models become structural OpenAPI v3 schemas, or the conversion fails and says where.

The API server silently drops, or refuses as a whole, what pydantic's JSON schema says beyond the structural subset.
So nothing passes that is not known here: every construct is converted or is a :class:`SchemaError` with its path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_ANNOTATIONS: Final = ("description", "default")
_VALIDATIONS: Final = "x-kubernetes-validations"
_LIST_TYPE: Final = "x-kubernetes-list-type"
_LIST_KEYS: Final = "x-kubernetes-list-map-keys"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_STRING_LIMITS: Final = ("minLength", "maxLength", "pattern", "enum")
_FORMATS: Final = ("date-time", "int32", "int64")
_INT32: Final = range(-(1 << 31), 1 << 31)
_NOT_RE2: Final = re.compile(r"\(\?(?:[=!]|<[=!]|P=)|\\(?:[1-9]|Z)|[*+?}]\+")
"""Look-around, back references, ``\\Z`` and possessive quantifiers: Python knows them, the server's RE2 does not."""


class SchemaError(Exception):
    """A construct the API server would refuse, drop or misread. ``path`` leads to it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '<root>'}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True)
class _Place:
    """Where the conversion stands."""

    path: str
    definitions: Mapping[str, Schema]
    open_references: tuple[str, ...] = ()
    correlatable: bool = True
    """Whether the server can pair a value with its old one: not below lists that are no maps."""

    def at(self, step: str) -> "_Place":
        return replace(self, path=f"{self.path}{step}")

    def error(self, problem: str) -> SchemaError:
        return SchemaError(self.path, problem)


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of ``model``: no references, unions, titles or nulls, every field described.

    Defaults are the model's own, as the API server would store them. Raises SchemaError.
    """
    return convert(json_schema(model))


def json_schema(model: type[BaseModel]) -> Schema:
    """What pydantic says, in serialization mode: what serializers write (20Gi, 24h) is what users write too."""
    return model.model_json_schema(mode="serialization", by_alias=True)


def convert(schema: Mapping[str, Any]) -> Schema:
    """Like :func:`structural`, from a JSON schema with its ``$defs``."""
    return _convert(dict(schema), _Place("", schema.get("$defs", {})))


def _convert(schema: Schema, place: _Place) -> Schema:
    schema, place = _inline(schema, place)
    schema = {key: value for key, value in schema.items() if key not in ("title", "$defs")}
    if schema.get("default", ...) is None:
        del schema["default"]
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get(_INT_OR_STRING):
        converted = _int_or_string(schema, place)
    else:
        kind = schema.pop("type", None)
        if not isinstance(kind, str) or kind not in _CONVERTERS:
            raise place.error(
                f"type is {kind!r}, not one of {', '.join(_CONVERTERS)}; {_ADVICE.get(str(kind), _FREE)}"
            )
        converted = {"type": kind, **_CONVERTERS[kind](schema, place)}
    if schema:
        raise place.error(f"no structural counterpart: {', '.join(sorted(schema))}")
    if "default" in converted:
        converted["default"] = _default(converted["default"], converted, place)
    return converted


_FREE: Final = "free values would be pruned to {}: model them"
_ADVICE: Final[Mapping[str, str]] = {
    "number": "no floats in the API: use an integer, a quantity or a duration",
    "null": "absent is the only null",
}


def _inline(schema: Schema, place: _Place) -> tuple[Schema, _Place]:
    """Follows references and optionals to the one schema they mean; keywords beside them win."""
    while True:
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            if name in place.open_references:
                raise place.error(f"{name} contains itself: the server has no recursive schemas")
            if name not in place.definitions:
                raise place.error(f"unknown reference {name}")
            place = replace(place, open_references=(*place.open_references, name))
            schema = {**place.definitions[name], **_without(schema, "$ref")}
        elif "anyOf" in schema and not schema.get(_INT_OR_STRING):
            branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
            if len(branches) != 1:
                raise place.error("a union is not structural: one optional field per variant, and a CEL rule")
            if "default" not in schema:
                raise place.error("null is absent on the server: an optional field needs the default None")
            schema = {**branches[0], **_without(schema, "anyOf")}
        else:
            return schema, place


def _without(schema: Schema, key: str) -> Schema:
    return {k: v for k, v in schema.items() if k != key}


def _take(schema: Schema, *keys: str) -> Schema:
    """Moves keywords that need no conversion; what stays in ``schema`` at the end is an error."""
    return {key: schema.pop(key) for key in keys if key in schema}


def _annotations(schema: Schema, place: _Place) -> Schema:
    taken = _take(schema, *_ANNOTATIONS)
    if "description" in taken:
        taken["description"] = " ".join(
            taken["description"].split()
        )  # docstrings are folded, sentences are not
    return {**taken, **_rules(schema, place)}


def _rules(schema: Schema, place: _Place) -> Schema:
    rules = schema.pop(_VALIDATIONS, [])
    for rule in rules:
        if not rule["message"]:
            raise place.error(f"the rule {rule['rule']!r} has no message")
        if "oldSelf" in rule["rule"] and not place.correlatable:
            raise place.error(f"{rule['rule']!r}: the server cannot find oldSelf below a list that is no map")
    return (
        {_VALIDATIONS: [_take(dict(rule), "rule", "message", "fieldPath") for rule in rules]} if rules else {}
    )


def _object(schema: Schema, place: _Place) -> Schema:
    if "properties" not in schema:
        return _dictionary(schema, place)
    if schema.pop("additionalProperties", False) is not False:
        raise place.error("an object has fields or free keys, not both: extra='allow' is not structural")
    head = _annotations(schema, place)
    properties = {}
    for name, field in schema.pop("properties").items():
        inner = place.at(f".{name}" if place.path else name)
        # Its own sentence, or that of its type: pydantic leaves out the one that repeats the other.
        properties[name] = _convert(dict(field), inner)
        if not properties[name].get("description"):
            raise inner.error("no description; it is the text of kubectl explain")
    return {**_without(head, _VALIDATIONS), "properties": properties, **_take(schema, "required"),
            **_take(head, _VALIDATIONS)}  # fmt: skip


def _dictionary(schema: Schema, place: _Place) -> Schema:
    values = schema.pop("additionalProperties", None)
    if not isinstance(values, dict) or not values:
        raise place.error(f"additionalProperties is {values!r}; {_FREE}")
    if "maxProperties" not in schema:
        raise place.error("no maxProperties: nothing in the API is unbounded")
    return {
        **_annotations(schema, place),
        **_take(schema, "minProperties", "maxProperties"),
        "additionalProperties": _convert(values, place.at("[*]")),
    }


def _array(schema: Schema, place: _Place) -> Schema:
    if "items" not in schema:
        raise place.error("an array without items; a tuple is not structural")
    if "maxItems" not in schema:
        raise place.error("no maxItems: nothing in the API is unbounded")
    if schema.pop("uniqueItems", False):
        schema[_LIST_TYPE] = "set"
    list_type = schema.pop(_LIST_TYPE, None)
    inner = place.at("[]")
    items = _convert(schema.pop("items"), inner if list_type == "map" else replace(inner, correlatable=False))
    keys = schema.pop(_LIST_KEYS, [])
    match list_type, items.get("type"):
        case "map", "object":
            _check_keys(keys, items, place)
        case "map", _:
            raise place.error("only a list of objects can be a map")
        case "set", "object" | "array":
            raise place.error("only a list of scalars can be a set")
        case None, "object":
            raise place.error("a list of objects must say what it is: ListMap(keys) or ListAtomic")
        case _:
            pass
    return {
        **_annotations(schema, place),
        **_take(schema, "minItems", "maxItems"),
        _LIST_TYPE: list_type or "atomic",
        **({_LIST_KEYS: keys} if keys else {}),
        "items": items,
    }


def _check_keys(keys: list[str], items: Schema, place: _Place) -> None:
    if not keys:
        raise place.error("a list map needs keys")
    for key in keys:
        field = items.get("properties", {}).get(key)
        if field is None:
            raise place.error(f"the key {key} is no field of its items")
        if field.get("type") not in ("string", "integer", "boolean"):
            raise place.error(f"the key {key} is no scalar")
        if key not in items.get("required", []) and "default" not in field:
            raise place.error(f"the key {key} must be required or have a default")


def _string(schema: Schema, place: _Place) -> Schema:
    head = _annotations(schema, place)
    text_format = schema.pop("format", None)
    if text_format == "duration":
        raise place.error("format duration is ISO 8601 in JSON schema and Go's in Kubernetes: use Duration")
    if text_format is not None and text_format not in _FORMATS:
        raise place.error(f"format {text_format} is unknown to the server")
    _check_pattern(schema.get("pattern"), place)
    return {**head, **_take(schema, *_STRING_LIMITS), **({"format": text_format} if text_format else {})}


def _check_pattern(pattern: str | None, place: _Place) -> None:
    if pattern is None:
        return
    if unknown := _NOT_RE2.search(pattern):
        raise place.error(f"the pattern's {unknown[0]!r} is unknown to RE2")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise place.error(f"the pattern {pattern} is not anchored: it would accept any text around a match")


def _integer(schema: Schema, place: _Place) -> Schema:
    head = _annotations(schema, place)
    limits = _take(schema, *_BOUNDS, "enum", "multipleOf")
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in limits:
            # OpenAPI 3.0: a number and a flag, where JSON schema has one number.
            limits[bound], limits[exclusive] = limits[exclusive], True
    low, high = limits.get("minimum"), limits.get("maximum")
    small = low is not None and high is not None and low in _INT32 and high in _INT32
    return {**head, "format": "int32" if small else "int64", **limits}


def _boolean(schema: Schema, place: _Place) -> Schema:
    return {**_annotations(schema, place), **_take(schema, "enum")}


def _int_or_string(schema: Schema, place: _Place) -> Schema:
    del schema[_INT_OR_STRING]
    _check_pattern(schema.get("pattern"), place)
    head = _annotations(schema, place)
    return {
        **_without(head, _VALIDATIONS),
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        _INT_OR_STRING: True,
        **_take(schema, *_BOUNDS, "maxLength", "pattern"),
        **_take(head, _VALIDATIONS),
    }


_CONVERTERS: Final = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
}

_PYTHON_TYPES: Final = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def _default(value: Any, schema: Schema, place: _Place) -> Any:
    """The default as the server must get it: without nulls, and of the schema's own shape."""
    if schema.get(_INT_OR_STRING):
        if isinstance(value, int | str):
            return value
    elif isinstance(value, _PYTHON_TYPES[schema["type"]]):
        if "properties" in schema and isinstance(value, dict):
            return _default_object(value, schema, place)
        if "enum" not in schema or value in schema["enum"]:
            return value
    raise place.error(f"the default {value!r} does not fit the field")


def _default_object(value: Schema, schema: Schema, place: _Place) -> Schema:
    fields = {name: given for name, given in value.items() if given is not None}
    if missing := [name for name in schema.get("required", []) if name not in fields]:
        # The server checks a default before it fills it with the defaults of what is inside.
        raise place.error(f"the default lacks {', '.join(missing)}")
    return {
        name: _default(given, schema["properties"][name], place.at(f".{name}"))
        for name, given in fields.items()
    }
