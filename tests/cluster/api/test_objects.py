"""What a good object becomes: defaults, conditions of several writers, what people see of it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from goldpool.api.crds import KINDS, root_schema
from goldpool.api.model import Kind
from goldpool.api.schema import Schema
from tests.cluster.api.builders import (
    NAMESPACE,
    RUN,
    a_location,
    a_machine,
    a_parent,
    a_pool,
    a_template,
    a_volume,
    an_object,
)
from tests.cluster.api.server import Obj, Server, kubectl

Store = Callable[[Obj], Obj]
EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))
NOW = "2026-01-01T00:00:00Z"
ONE_OF_EACH = (a_pool, a_template, a_machine, a_volume, a_location, a_parent)

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)


def minimal(obj: Obj, *keep: str) -> Obj:
    """Only what a user must write."""
    spec = {key: value for key, value in obj["spec"].items() if key in keep}
    return an_object(obj["kind"], spec, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))


@pytest.mark.parametrize(
    ("obj", "filled"),
    [
        (
            minimal(a_pool(), "backend"),
            {
                "golden": False,
                "scope": "Host",
                "state": "Enabled",
                "tags": [],
                "allowedNamespaces": [],
                "tolerations": [],
                "hostSelector": {"matchLabels": {}},
                "capacity": {
                    "overprovisioningPercent": 200,
                    "usedLimitPercent": 85,
                    "allocatedLimitPercent": 85,
                },
            },
        ),
        (
            minimal(a_template(), "format", "source"),
            {"golden": False, "directDownload": True, "prepare": {"pools": []}, "retention": "24h"},
        ),
        (
            minimal(a_machine(), "memory", "rootVolume"),
            {
                "cpus": 1,
                "volumes": [],
                "nodeSelector": {},
                "tolerations": [],
                "goldenPolicy": "Required",
                "runStrategy": "Always",
                "stopTimeoutSeconds": 60,
            },
        ),
        (minimal(a_volume(), "size"), {"type": "Data", "reclaimPolicy": "Delete", "poolTags": []}),
        (minimal(a_location(), "pool", "poolUID"), {"host": ""}),
        (
            minimal(a_parent(), "template", "templateUID", "pool", "location", "format", "sourceHash"),
            {"host": "", "revision": "", "refetch": "", "fallback": False},
        ),
    ],
    ids=[kind.crd.kind for kind in KINDS],
)
def test_the_server_fills_in_the_defaults(server: Server, obj: Obj, filled: Obj) -> None:
    made = server.create(obj, dry=True)
    assert made.ok, made.text
    added = {key: value for key, value in made.body["spec"].items() if key not in obj["spec"]}
    assert added == filled
    assert made.body["status"]["observedGeneration"] == -1


@pytest.mark.parametrize("build", ONE_OF_EACH, ids=lambda build: build.__name__)
def test_a_model_reads_what_the_server_stores(server: Server, build: Callable[[], Obj]) -> None:
    """And writes the same again, so that comparing a status with the stored one finds no noise."""
    obj = build()
    stored = server.create(obj, dry=True).body
    [kind] = [kind for kind in KINDS if kind.crd.kind == obj["kind"]]
    assert kind.read(stored).to_dict()["spec"] == stored["spec"]
    assert kind.read(stored).to_dict()["status"] == stored["status"]


def test_nested_defaults_are_filled_where_the_object_is_given(server: Server) -> None:
    nfs = {"nfs": {"server": "nfs.example", "path": "/export"}}
    spec = server.create(a_pool(backend=nfs, scope="Shared", capacity={"iops": 5}), dry=True).body["spec"]
    assert spec["backend"]["nfs"]["mountOptions"] == ["vers=4.1", "hard"]
    assert spec["capacity"]["usedLimitPercent"] == 85


@pytest.mark.parametrize("size", ["1Gi", "1.5Gi", "10G", 1 << 30, "1073741824", "8Ei"], ids=str)
def test_sizes_are_integers_or_quantities(server: Server, size: str | int) -> None:
    answer = server.create(a_volume(size=size), dry=True)
    assert answer.ok, answer.text
    assert answer.body["spec"]["size"] == size


def test_a_child_takes_the_size_of_its_template(server: Server) -> None:
    answer = server.create(a_volume(size=None, source={"templateRef": {"name": "a"}}), dry=True)
    assert answer.ok, answer.text


@pytest.mark.parametrize(
    "checksum",
    [prefix + "a" * digits
     for digits, plain, braced in ((32, "md5", "MD5"), (40, "sha1", "SHA-1"), (56, "sha224", "SHA-224"),
                                   (64, "sha256", "SHA-256"), (96, "sha384", "SHA-384"), (128, "sha512", "SHA-512"))
     for prefix in ("", f"{plain}:", f"{{{braced}}}")],
    ids=lambda checksum: checksum.rstrip("a") or f"{len(checksum)} digits",
)  # fmt: skip
def test_checksums_are_written_in_three_ways(server: Server, checksum: str) -> None:
    answer = server.create(a_template(checksum=checksum), dry=True)
    assert answer.ok, answer.text


def a_condition(name: str, status: str = "True") -> Obj:
    return {"type": name, "status": status, "reason": "Ready", "message": "", "lastTransitionTime": NOW}


def test_conditions_of_two_writers_are_merged_by_type(server: Server, stored: Store) -> None:
    template = a_template()
    stored(template)
    server.apply_status(template, {"conditions": [a_condition("TestA"), a_condition("TestB")]}, "one")
    server.apply_status(template, {"conditions": [a_condition("TestC")]}, "two")
    assert conditions_of(server.get(template)) == {"TestA": "True", "TestB": "True", "TestC": "True"}
    answer = server.apply_status(template, {"conditions": [a_condition("TestA", "False")]}, "one")
    assert answer.ok, answer.text
    assert conditions_of(answer.body) == {"TestA": "False", "TestC": "True"}


def conditions_of(obj: Obj) -> dict[str, str]:
    """Those of this test; an operator may have added its own."""
    return {c["type"]: c["status"] for c in obj["status"]["conditions"] if c["type"].startswith("Test")}


def test_pool_refs_are_merged_by_pool_and_have_no_double(server: Server, stored: Store) -> None:
    template = a_template()
    stored(template)
    server.apply_status(template, {"poolRefs": [{"pool": "a", "ready": 1}]}, "one")
    server.apply_status(template, {"poolRefs": [{"pool": "b"}]}, "two")
    assert [ref["pool"] for ref in server.get(template)["status"]["poolRefs"]] == ["a", "b"]
    answer = server.apply_status(template, {"poolRefs": [{"pool": "a"}, {"pool": "a"}]}, "one")
    assert not answer.ok
    assert "duplicate entries for key" in answer.text


def test_blockers_without_a_namespace_have_an_empty_one(server: Server, stored: Store) -> None:
    """A key of a list map must not be absent, or null: nobody would own the entry."""
    pool = a_pool()
    stored(pool)
    blockers = [{"kind": "Parent", "name": "a"}, {"kind": "Volume", "namespace": "team-a", "name": "a"}]
    answer = server.apply_status(pool, {"blockers": blockers}, "one")
    assert answer.ok, answer.text
    assert [blocker["namespace"] for blocker in answer.body["status"]["blockers"]] == ["", "team-a"]


def test_a_spec_change_raises_the_generation_and_a_status_does_not(server: Server, stored: Store) -> None:
    pool = a_pool()
    stored(pool)
    both = {"status": {"phase": "Mine"}, "spec": {"tags": ["a"]}}
    by_status = server.patch(pool, both, status=True).body
    assert by_status["status"]["phase"] == "Mine"
    assert (by_status["spec"]["tags"], by_status["metadata"]["generation"]) == ([], 1)
    by_spec = server.patch(pool, {**both, "status": {"phase": "Ignored"}}).body
    assert by_spec["status"]["phase"] != "Ignored"
    assert (by_spec["spec"]["tags"], by_spec["metadata"]["generation"]) == (["a"], 2)


READY = {"conditions": [{**a_condition("Ready"), "message": "all is well"}]}
SHOWN: tuple[tuple[Callable[..., Obj], Obj, Obj, dict[str, str]], ...] = (
    (a_pool, {"golden": True},
     READY | {"hosts": "2/3", "usedPercent": "42%", "parents": 7, "children": 9},
     {"GOLDEN": "true", "SCOPE": "Host", "HOSTS": "2/3", "USED": "42%", "PARENTS": "7", "CHILDREN": "9", "READY": "True",
      "REASON": "Ready"}),
    (a_template, {"golden": True}, READY | {"virtualSize": "2Gi", "copies": "2/3", "children": 9},
     {"FORMAT": "qcow2", "GOLDEN": "true", "SIZE": "2Gi", "COPIES": "2/3", "CHILDREN": "9", "READY": "True",
      "REASON": "Ready"}),
    (a_machine, {},
     READY | {"phase": "Running", "template": "debian", "host": "node-1", "rootPool": "std", "goldenPool": "gold",
              "iso": {"template": "tools", "pool": "gold", "location": "gold-1"}},
     {"PHASE": "Running", "TEMPLATE": "debian", "HOST": "node-1", "ROOT POOL": "std", "GOLDEN POOL": "gold",
      "ISO": "tools", "READY": "True", "MESSAGE": "all is well"}),
    (a_volume, {"placement": {"pool": "std", "host": "node-1"}},
     READY | {"capacity": "1Gi", "phase": "Ready", "parent": "p-1", "usedBy": "web-1"},
     {"TYPE": "Data", "SIZE": "1Gi", "POOL": "std", "HOST": "node-1", "PARENT": "p-1", "PHASE": "Ready",
      "USED BY": "web-1", "REASON": "Ready"}),
    (a_location, {"pool": "gold", "host": "node-1"},
     READY | {"phase": "Ready", "total": "8Gi", "usedPercent": "42%", "parents": 7, "volumes": 9, "orphansTotal": 2},
     {"POOL": "gold", "HOST": "node-1", "PHASE": "Ready", "TOTAL": "8Gi", "USED": "42%", "PARENTS": "7", "VOLUMES": "9",
      "ORPHANS": "2", "MESSAGE": "all is well"}),
    (a_parent, {"template": "debian", "pool": "gold", "host": "node-1"},
     READY | {"state": "Fetching", "progress": "42% 9Mi/s", "eta": "3s", "mirror": "https://m", "children": 9,
              "failure": "FetchFailed"},
     {"TEMPLATE": "debian", "POOL": "gold", "HOST": "node-1", "STATE": "Fetching", "PROGRESS": "42% 9Mi/s", "ETA": "3s",
      "CHILDREN": "9", "MIRROR": "https://m", "FAILURE": "FetchFailed", "MESSAGE": "all is well"}),
)  # fmt: skip


@pytest.mark.parametrize("case", SHOWN, ids=[kind.crd.kind for kind in KINDS])
def test_every_column_shows_its_field(
    server: Server, stored: Store, case: tuple[Callable[..., Obj], Obj, Obj, dict[str, str]]
) -> None:
    build, spec, status, shown = case
    obj = build(**spec)
    stored(obj)
    cells = {name.upper(): str(cell).lower() if isinstance(cell, bool) else str(cell)
             for name, cell in server.columns(obj, status).items()}  # fmt: skip
    assert re.fullmatch(r"\d+[smh]", cells.pop("AGE"))
    assert cells.pop("NAME") == obj["metadata"]["name"]
    assert cells == shown


@each_kind
def test_kubectl_prints_the_columns(server: Server, stored: Store, kind: type[Kind]) -> None:
    [build] = [build for build in ONE_OF_EACH if build()["kind"] == kind.crd.kind]
    name = stored(build())["metadata"]["name"]
    for flags, priority in (((), 0), (("-o", "wide"), 1)):
        head, row = kubectl("get", kind.crd.plural, name, "-n", NAMESPACE, *flags).splitlines()
        wanted = [column.name.upper() for column in kind.crd.columns if column.priority <= priority]
        assert re.split(r"  +", head.strip()) == ["NAME", *wanted]
        assert row.startswith(name)


@each_kind
def test_no_column_is_left_out(kind: type[Kind]) -> None:
    [shown] = [row[3] for row in SHOWN if row[0]()["kind"] == kind.crd.kind]
    assert {*shown, "AGE"} == {column.name.upper() for column in kind.crd.columns}


@each_kind
def test_short_names_and_the_category_find_it(server: Server, stored: Store, kind: type[Kind]) -> None:
    [build] = [build for build in ONE_OF_EACH if build()["kind"] == kind.crd.kind]
    name = stored(build())["metadata"]["name"]
    full = f"{kind.crd.kind.lower()}.goldpool.io/{name}"
    assert kubectl("get", kind.crd.short, name, "-n", NAMESPACE, "-o", "name").strip() == full
    assert full in kubectl("get", "goldpool", "-n", NAMESPACE, "-o", "name").split()


@each_kind
def test_every_selectable_field_selects(server: Server, stored: Store, kind: type[Kind]) -> None:
    [build] = [build for build in ONE_OF_EACH if build()["kind"] == kind.crd.kind]
    name = stored(build())["metadata"]["name"]
    for path in kind.crd.selectable:
        selector = f"{path.removeprefix('.')}=nothing-{RUN}"
        found = kubectl("get", kind.crd.plural, "-n", NAMESPACE, "-o", "name", f"--field-selector={selector}")
        assert name not in found


def test_parents_are_found_by_their_pool(server: Server, stored: Store) -> None:
    here, there = stored(a_parent(pool=f"here-{RUN}")), stored(a_parent(pool=f"there-{RUN}"))
    found = kubectl("get", "gpar", "-o", "name", f"--field-selector=spec.pool=here-{RUN}")
    assert here["metadata"]["name"] in found
    assert there["metadata"]["name"] not in found


def objects_in(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every object below that has fields, by the path that `kubectl explain` takes."""
    if "properties" in schema:
        yield path, schema
        for name, field in schema["properties"].items():
            yield from objects_in(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from objects_in(schema[key], path)


@each_kind
def test_kubectl_explains_every_field(server: Server, kind: type[Kind]) -> None:
    for path, schema in objects_in(root_schema(kind), kind.crd.plural):
        told = " ".join(kubectl("explain", path, "--api-version=goldpool.io/v1alpha1").split())
        for name, field in schema["properties"].items():
            if name not in ("apiVersion", "kind", "metadata"):  # kubectl's own words
                assert field["description"] in told, f"{path}.{name}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_server_takes_every_example(server: Server, path: Path) -> None:
    """As it is, but under names of this run: the demo's own objects may be there, with fields that are frozen."""
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    for document in documents:
        document["metadata"]["name"] += f"-{RUN}"
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = NAMESPACE
    text = yaml.safe_dump_all(documents)
    kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def test_the_examples_work_together(server: Server, stored: Store) -> None:
    """Applied for real, under names of this run and halted, in the order of the files."""
    for document in (d for path in EXAMPLES for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))):
        if document["kind"] == "Namespace":
            continue
        document["metadata"]["name"] += f"-{RUN}"
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = NAMESPACE
        if document["kind"] == "VirtualMachine":
            document["spec"]["runStrategy"] = "Halted"
        if document["kind"] == "StoragePool":
            document["spec"]["state"] = "Disabled"
            document["spec"]["hostSelector"] = {"matchLabels": {"goldpool.io/api-test": RUN}}
        if document["kind"] == "Template":
            document["spec"]["prepare"] = {"pools": []}
        stored(document)
