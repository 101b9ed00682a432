"""The six CRDs as a whole: what must hold for each of them, and what their generator refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from pydantic import Field

from goldpool.api.crds import KINDS, definition, field_at, name_of, root_schema
from goldpool.api.model import ApiModel, Column, Crd, Kind
from goldpool.api.schema import Schema, SchemaError
from hack.generate.__main__ import ROOT, stale, wanted, write
from hack.generate.crds import chart_template

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)

MINIMAL: dict[str, dict[str, Any]] = {
    "StoragePool": {"backend": {"hostPath": {"path": "/srv/a"}}},
    "Template": {"format": "qcow2", "source": {"url": "http://a.example/b"}},
    "VirtualMachine": {"memory": "1Gi", "rootVolume": {"templateRef": {"name": "a"}}},
    "Volume": {"size": "1Gi"},
    "StorageLocation": {"pool": "a", "poolUID": "b"},
    "Parent": {
        "template": "a", "templateUID": "b", "pool": "c", "location": "d", "format": "raw", "sourceHash": "e",
    },
}  # fmt: skip


def fields_of(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field below, by its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields_of(field, f"{path}.{name}")
    for step, key in (("[]", "items"), ("[*]", "additionalProperties")):
        if key in schema:
            yield from fields_of(schema[key], path + step)


def rules_of(schema: Schema) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", [])
    for _, field in fields_of(schema):
        yield from field.get("x-kubernetes-validations", [])


def with_defaults(value: Any, schema: Schema) -> Any:
    """What the API server makes of a value: defaults of what is absent, from the outside in."""
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, field in schema["properties"].items():
            if name not in filled and "default" in field:
                filled[name] = field["default"]
            if name in filled:
                filled[name] = with_defaults(filled[name], field)
        return filled
    if isinstance(value, list):
        return [with_defaults(item, schema["items"]) for item in value]
    return value


def test_what_is_committed_is_what_is_generated() -> None:
    assert stale(ROOT, wanted()) == [], "run python -m hack.generate"


def test_a_changed_a_missing_and_a_left_over_file_are_stale(tmp_path: Path) -> None:
    files = {"crds/a.yaml": "a", "crds/b.yaml": "b", "c.yaml": "c"}
    assert write(tmp_path, files) == ["c.yaml", "crds/a.yaml", "crds/b.yaml"]
    assert stale(tmp_path, files) == []
    (tmp_path / "crds/a.yaml").write_text("edited by hand")
    (tmp_path / "crds/b.yaml").unlink()
    (tmp_path / "crds/old.yaml").write_text("a kind that is gone")
    assert stale(tmp_path, files) == ["crds/a.yaml", "crds/b.yaml", "crds/old.yaml"]
    write(tmp_path, files)
    assert stale(tmp_path, files) == []


@each_kind
def test_the_file_for_kubectl_is_the_definition(kind: type[Kind]) -> None:
    text = (ROOT / f"crds/goldpool.io_{kind.crd.plural}.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == definition(kind)


@each_kind
def test_names_categories_and_scope(kind: type[Kind]) -> None:
    crd = definition(kind)
    assert crd["metadata"]["name"] == name_of(kind) == f"{kind.crd.plural}.goldpool.io"
    assert crd["spec"]["names"]["shortNames"] == [kind.crd.short]
    assert crd["spec"]["names"]["categories"] == ["goldpool"]
    assert crd["spec"]["scope"] == ("Namespaced" if kind.crd.namespaced else "Cluster")


def test_short_names_are_unique() -> None:
    assert len({kind.crd.short for kind in KINDS}) == len(KINDS)


@each_kind
def test_every_field_explains_itself(kind: type[Kind]) -> None:
    silent = [path for path, field in fields_of(root_schema(kind)) if not field.get("description")]
    assert silent == [".metadata"]  # whose text is the server's own


@each_kind
def test_status_is_a_subresource_that_starts_unobserved(kind: type[Kind]) -> None:
    version = definition(kind)["spec"]["versions"][0]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert version["subresources"] == {"status": {}}
    assert status["default"] == {"observedGeneration": -1}
    assert "required" not in status  # a writer may begin with any part of it


@each_kind
def test_metadata_is_the_servers(kind: type[Kind]) -> None:
    schema = root_schema(kind)
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert schema["required"] == ["spec"]


@each_kind
def test_every_rule_names_its_field(kind: type[Kind]) -> None:
    for rule in rules_of(root_schema(kind)):
        assert rule["message"].startswith(("spec", "metadata.name", "tolerations[].")), rule


@each_kind
def test_defaults_are_the_models_own(kind: type[Kind]) -> None:
    """An object means the same before the server has filled it and after."""
    written = {"metadata": {"name": "a"}, "spec": MINIMAL[kind.crd.kind]}
    stored = with_defaults(written, root_schema(kind))
    assert kind.read(stored) == kind.read(written)
    assert kind.read(stored).to_dict()["spec"] == stored["spec"]


@each_kind
def test_a_status_that_was_written_is_read_as_it_was(kind: type[Kind]) -> None:
    """to_dict holds all that the server would add, so comparing a new status with the stored one finds no noise."""
    status = kind.read({"metadata": {}, "spec": MINIMAL[kind.crd.kind]}).to_dict()["status"]
    assert with_defaults(status, root_schema(kind)["properties"]["status"]) == status


class Spec(ApiModel):
    """What it should be."""

    size: int = Field(default=0, description="How big.")
    tag: str = Field(default="", description="Which.")


def a_kind(**changes: Any) -> type[Kind]:
    names = {"kind": "Example", "plural": "examples", "short": "ge", "namespaced": True, "columns": ()}

    class Example(Kind):
        """An example."""

        crd: ClassVar = Crd(**{**names, **changes})
        spec: Spec = Field(description="What it should be.")
        status: Spec = Field(default=Spec(), description="What it is.")

    return Example


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"columns": (Column("Size", ".spec.length"),)}, "there is no field length"),
        ({"columns": (Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),)}, "conditions"),
        ({"selectable": (".spec.colour",)}, "there is no field colour"),
        ({"selectable": (".spec",)}, "only strings"),
        ({"selectable": (".spec.tag",) * 9}, "more than 8"),
    ],
)
def test_columns_and_selectors_that_lead_nowhere_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem) as refused:
        definition(a_kind(**changes))
    assert str(refused.value).startswith("Example.")


def test_a_path_leads_into_a_list_by_a_condition() -> None:
    path = '.status.conditions[?(@.type=="Ready")].reason'
    assert field_at(root_schema(KINDS[0]), path)["type"] == "string"


def test_text_that_helm_would_read_is_refused() -> None:
    crd = definition(a_kind())
    crd["spec"]["names"]["kind"] = "{{ .Values.kind }}"
    with pytest.raises(ValueError, match="Helm expression"):
        chart_template(crd)
