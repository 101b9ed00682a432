"""`kubectl explain` has a sentence for every field of every kind, as it comes from the server."""

from collections.abc import Iterator

import pytest

from goldpool.api.crds import KINDS, root_schema
from goldpool.api.model import Kind
from goldpool.api.schema import Schema
from tests.cluster.api.server import Server, kubectl

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)
SERVERS_OWN = {"apiVersion", "kind", "metadata"}


def objects_in(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every path that has fields, as explain names it: the items of a list have the list's own path."""
    schema = schema.get("items", schema)
    if "properties" not in schema:
        return
    yield path, schema
    for name, field in schema["properties"].items():
        yield from objects_in(field, f"{path}.{name}")


def told(block: str) -> list[str]:
    """The lines below the field's own, without those that say what it may hold."""
    return [line for line in block.strip().splitlines()[1:] if not line.strip().startswith("enum:")]


@each_kind
def test_every_field_is_explained(server: Server, kind: type[Kind]) -> None:
    for path, schema in objects_in(root_schema(kind), f"{kind.crd.plural}.goldpool.io"):
        if path.endswith(".metadata"):
            continue
        said = kubectl("explain", path)
        _, _, fields = said.partition("FIELDS:\n")
        blocks = {block.split()[0]: block for block in fields.split("\n\n") if block.strip()}
        silent = [name for name in schema["properties"] if name not in SERVERS_OWN and not told(blocks[name])]
        assert silent == [], f"kubectl explain {path}"
        assert "<no description>" not in said, path
        assert "<empty>" not in said, path


@each_kind
def test_the_short_name_is_explained_with_the_kinds_own_sentence(server: Server, kind: type[Kind]) -> None:
    said = " ".join(kubectl("explain", kind.crd.short).split())
    assert f"KIND: {kind.crd.kind}" in said
    assert " ".join((kind.__doc__ or "").split()) in said
