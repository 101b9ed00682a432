"""The six kinds as CustomResourceDefinitions of ``apiextensions.k8s.io/v1``."""

import re
from collections.abc import Mapping
from typing import Any, Final

from goldpool.api.model import GROUP, VERSION, Kind
from goldpool.api.parent import Parent
from goldpool.api.schema import Schema, SchemaError, convert, json_schema
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume

KINDS: Final[tuple[type[Kind], ...]] = (
    StoragePool, Template, VirtualMachine, Volume, StorageLocation, Parent,
)  # fmt: skip

LABELS: Final[Mapping[str, str]] = {
    "app.kubernetes.io/name": "goldpool",
    "app.kubernetes.io/part-of": "goldpool",
    "app.kubernetes.io/component": "crd",
}

MAX_SELECTABLE_FIELDS: Final = 8

_TYPE_META: Final[Mapping[str, Schema]] = {
    "apiVersion": {"type": "string", "description": "Versioned schema of this representation of an object."},
    "kind": {"type": "string", "description": "The REST resource this object represents."},
    # Types inside metadata are the server's own; rules of the root may read its name and nothing else.
    "metadata": {"type": "object"},
}

_CONDITION_FILTER: Final = re.compile(r"\[\?\(@\.[A-Za-z]+==\"[A-Za-z]+\"\)\]")


def name_of(kind: type[Kind]) -> str:
    """The CRD's own name."""
    return f"{kind.crd.plural}.{GROUP}"


def definition(kind: type[Kind]) -> dict[str, Any]:
    """The CRD of ``kind``. Raises SchemaError when the server would not take it or a column would stay empty."""
    try:
        return _definition(kind)
    except SchemaError as error:
        raise SchemaError(f"{kind.crd.kind}.{error.path}", error.problem) from error


def _definition(kind: type[Kind]) -> dict[str, Any]:
    crd = kind.crd
    schema = root_schema(kind)
    names = {
        "kind": crd.kind,
        "listKind": f"{crd.kind}List",
        "plural": crd.plural,
        "singular": crd.kind.lower(),
        "shortNames": [crd.short],
        "categories": ["goldpool"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": _columns(kind, schema),
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    if crd.selectable:
        version["selectableFields"] = _selectable(kind, schema)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name_of(kind), "labels": dict(LABELS)},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if crd.namespaced else "Cluster",
            "versions": [version],
        },
    }


def root_schema(kind: type[Kind]) -> Schema:
    """The schema of a whole object: the models' spec and status, the server's own metadata."""
    # Inherited from Kind, ObjectMeta is what we read; its schema is the server's business.
    raw = json_schema(kind)
    fields = {name: field for name, field in raw["properties"].items() if name != "metadata"}
    required = [name for name in raw["required"] if name != "metadata"]
    schema = convert({**raw, "properties": fields, "required": required})
    # -1 is no generation: until the operator's first write, kstatus sees an object that nobody has looked at.
    schema["properties"]["status"]["default"] = {"observedGeneration": -1}
    schema["properties"] = {**_TYPE_META, **schema["properties"]}
    return schema


def _columns(kind: type[Kind], schema: Schema) -> list[dict[str, Any]]:
    columns = []
    for column in kind.crd.columns:
        if column.path != ".metadata.creationTimestamp":
            field_at(schema, column.path)
        shown = {"name": column.name, "type": column.type, "jsonPath": column.path}
        if column.description:
            shown["description"] = column.description
        columns.append({**shown, "priority": column.priority} if column.priority else shown)
    return columns


def _selectable(kind: type[Kind], schema: Schema) -> list[dict[str, str]]:
    if len(kind.crd.selectable) > MAX_SELECTABLE_FIELDS:
        raise SchemaError("", f"more than {MAX_SELECTABLE_FIELDS} selectable fields")
    for path in kind.crd.selectable:
        if field_at(schema, path).get("type") not in ("string", "integer", "boolean"):
            raise SchemaError(path, "only strings, integers and booleans are selectable")
    return [{"jsonPath": path} for path in kind.crd.selectable]


def field_at(schema: Schema, path: str) -> Schema:
    """The schema of the field a simple JSON path leads to; ``[?(@.type=="Ready")]`` goes into a list.

    Raises SchemaError: the server takes a path that leads nowhere, and prints nothing for ever.
    """
    here = schema
    for step in _CONDITION_FILTER.sub(".[]", path).removeprefix(".").split("."):
        here = here.get("items", {}) if step == "[]" else here.get("properties", {}).get(step, {})
        if not here:
            raise SchemaError(path, f"there is no field {step}")
    return here
