"""What nobody can create: one bad object for each CEL rule and for each limit in the schemas.

The server's message is what a user sees, so every row says what it must name.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest

from goldpool.api.crds import KINDS, root_schema
from goldpool.api.schema import Schema
from tests.cluster.api.builders import a_location, a_machine, a_parent, a_pool, a_template, a_volume
from tests.cluster.api.server import Obj, Server

HOST_PATH = {"hostPath": {"path": "/srv/a"}}
NFS = {"nfs": {"server": "nfs.example", "path": "/export"}}
CLAIM = {"persistentVolumeClaim": {"claimName": "a"}}
ROOT = {"templateRef": {"name": "a"}}
TOLERATION = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}

CREATIONS: tuple[tuple[Obj, str], ...] = (
    (a_pool(name="p" * 41), "metadata.name: at most 40 characters, because locations are named after it"),
    (a_pool(name="a.b"), "metadata.name: lower-case letters, digits and -, no dots"),
    (a_pool(backend={}), "spec.backend: set exactly one of hostPath, nfs and persistentVolumeClaim"),
    (a_pool(backend=HOST_PATH | NFS), "spec.backend: set exactly one of hostPath, nfs and persistentVolumeClaim"),
    (a_pool(backend=NFS | CLAIM, scope="Shared"), "spec.backend: set exactly one of"),
    (a_pool(backend=HOST_PATH | NFS | CLAIM, scope="Shared"), "spec.backend: set exactly one of"),
    (a_pool(backend=NFS), "spec.scope: nfs and persistentVolumeClaim backends are Shared"),
    (a_pool(backend=CLAIM), "spec.scope: nfs and persistentVolumeClaim backends are Shared"),
    (a_pool(golden=True, tags=["a"]), "spec.tags has no meaning on a golden pool: remove it"),
    (a_pool(capacity={"bytes": "0Gi"}), "spec.capacity.bytes must be more than 0"),
    (a_pool(capacity={"bytes": 0}), "spec.capacity.bytes must be more than 0"),
    (a_pool(downloadBandwidth="0"), "spec.downloadBandwidth must be more than 0"),
    (a_pool(downloadBandwidth="100MB"), "spec.downloadBandwidth"),
    (a_pool(tolerations=[{"operator": "Equal"}]), "tolerations[].key may be empty only with operator Exists"),
    (a_pool(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]),
     "tolerations[].value must be empty with operator Exists"),
    (a_pool(tags=["a", "a"]), "spec.tags[1]: Duplicate value"),
    (a_template(name="t" * 41), "metadata.name: at most 40 characters, because parents are named after it"),
    (a_template(name="a.b"), "metadata.name: lower-case letters, digits and -, no dots"),
    (a_template(source={"url": "http://user:secret@images.example/a"}), "spec.source.url: remove the user and password"),
    (a_template(source={"url": "http://images.example/b", "file": "a"}), "spec.source.file: it names a"),
    (a_template(source={"url": "http://i.example/a?b=c.meta4", "file": "a"}), "spec.source.file: it names a"),
    (a_template(source={"url": "http://i.example/a.meta4", "metalink": False, "file": "a"}), "spec.source.file: it names a"),
    (a_template(source={"url": "http://images.example/a", "checkInterval": "59s"}), "checkInterval: at least 1m"),
    (a_template(source={"url": "http://images.example/a", "refreshPolicy": "Always"}), "refreshPolicy"),
    (a_template(source={"url": "file:///etc/shadow"}), "spec.source.url: write a URL that begins with http"),
    *((a_template(source={"url": f"nfs://{url}"}), "spec.source.url: write nfs://host")
      for url in ("-oProxy/images/a", "files.example/images/../a", "files.example/images/..", "files.example/a;b",
                  "files.example/$(a)", "files.example/a|b", "files.example/`a`", "files.example/a?version=3",
                  "files.example//a", "files.example", "files.example/a%2e%2e", "files.example:a/b")),
    (a_template(source={"url": "nfs://root@files.example/a"}), "spec.source.url: remove the user and password"),
    (a_template(source={"url": "nfs://files.example/a.meta4"}), "spec.source.url: a metalink comes by http"),
    (a_template(checksum="sha256:beef"), "spec.checksum: write sha256: and 64 hex digits"),
    (a_template(checksum="crc32:00000000"), "spec.checksum: write sha256: and 64 hex digits"),
    (a_template(format="vmdk"), 'spec.format: Unsupported value: "vmdk": supported values: "qcow2", "raw"'),
    (a_template(prepare={"pools": ["a", "a"]}), "spec.prepare.pools[1]: Duplicate value"),
    (a_machine(priorityClassName="not a name"), "spec.priorityClassName: Invalid value"),
    (a_machine(name="m" * 64), "metadata.name: at most 63 characters"),
    (a_machine(memory="0"), "spec.memory must be more than 0"),
    (a_machine(rootVolume={}), "set templateRef or volumeRef; an empty disk, for spec.iso to install on, needs a size"),
    (a_machine(rootVolume=ROOT | {"volumeRef": {"name": "b"}}),
     "spec.rootVolume: set at most one of templateRef and volumeRef"),
    (a_machine(rootVolume={"volumeRef": {"name": "b"}, "size": "1Gi"}),
     "spec.rootVolume.size: an existing volume has its own size; remove it"),
    (a_machine(rootVolume=ROOT | {"size": "0"}), "spec.rootVolume.size must be more than 0"),
    (a_machine(volumes=[{"name": "a", "volumeRef": {"name": "b"}}] * 2), "spec.volumes[1]: Duplicate value"),
    (a_machine(volumes=[{"name": "root", "volumeRef": {"name": "b"}}]), "root is the disk the machine boots from"),
    (a_machine(volumes=[{"name": "a", "volumeRef": {"name": ""}}]), "spec.volumes[0].volumeRef.name"),
    (a_machine(rootVolume={"volumeRef": {"name": "../../other/volumes/b"}}), "spec.rootVolume.volumeRef.name"),
    (a_machine(goldenPolicy="Never"), 'supported values: "Required", "Preferred"'),
    (a_volume(size="0Mi"), "spec.size must be more than 0"),
    (a_volume(size="-1Gi"), "spec.size: Invalid value"),
    (a_volume(size=-1), "spec.size: Invalid value"),
    (a_volume(size=None), "spec.size: an empty disk needs a size"),
    (a_volume(size=None, source={}), "spec.size: an empty disk needs a size"),
    (a_volume(storageID="v-abcdefgh"), "spec.storageID is minted with the binding: do not set it"),
    (a_volume(storageID="v-abcdefgh", placement={"host": "h"}), "spec.storageID is minted with the binding"),
    (a_volume(storageID="../../etc", placement={"pool": "a"}), "spec.storageID: Invalid value"),
    (a_volume(nonsense=1), 'unknown field "spec.nonsense"'),
)  # fmt: skip


@pytest.mark.parametrize(
    ("obj", "message"), CREATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_it_cannot_be_created(server: Server, obj: Obj, message: str) -> None:
    answer = server.create(obj, dry=True)
    assert not answer.ok, "the server took it"
    assert message in answer.text


FULL: tuple[Obj, ...] = (
    a_pool(
        backend=HOST_PATH,
        tags=["a"],
        allowedNamespaces=["a"],
        tolerations=[TOLERATION],
        hostSelector={"matchLabels": {"a": "b"}},
        downloadBandwidth="100Mi",
        capacity={"bytes": "1Gi", "iops": 1, "overprovisioningPercent": 200, "usedLimitPercent": 85,
                  "allocatedLimitPercent": 85},
        scope="Host",
        state="Enabled",
    ),
    a_pool(backend={"nfs": NFS["nfs"] | {"mountOptions": ["hard"]}}, scope="Shared"),
    a_pool(backend=CLAIM, scope="Shared"),
    a_template(checksum="a" * 64, prepare={"pools": ["a"]}, retention="1h",
               source={"url": "http://images.example/a", "metalink": True, "file": "a.qcow2"}),
    a_template(source={"url": "https://images.example/a", "checkInterval": "1m", "refreshPolicy": "Refetch"}),
    a_template(source={"url": "https://images.example/a", "secretRef": {"name": "a"},
                       "caBundleRef": {"name": "a.b", "key": "root.pem"}}),
    a_template(source={"url": "nfs://files.example/images/debian-12_1.qcow2.zst"}),
    a_template(source={"url": "nfs://[2001:db8::1]:2050/images/.hidden/a..b"}),
    a_machine(
        cpus=1,
        rootVolume=ROOT | {"size": "1Gi", "poolTags": ["a"], "iops": 1, "reclaimPolicy": "Delete"},
        volumes=[{"name": "a", "volumeRef": {"name": "b"}}],
        nodeSelector={"a": "b"},
        tolerations=[TOLERATION],
        priorityClassName="fast.example",
        goldenPolicy="Required",
        stopTimeoutSeconds=1,
    ),
    a_machine(rootVolume={"volumeRef": {"name": "b"}}),
    a_machine(rootVolume={"size": "1Gi"}),
    a_machine(rootVolume={"size": "1Gi"}, iso={"templateRef": {"name": "a"}}),
    a_volume(
        type="Data",
        source={"templateRef": {"name": "a"}},
        reclaimPolicy="Delete",
        poolTags=["a"],
        iops=1,
        placement={"pool": "a", "host": "h", "parentPool": "b", "volumeUID": "u"},
        storageID="v-abcdefgh",
    ),
    a_location(),
    a_parent(host="h", revision="r", refetch="t", fallback=True),
)  # fmt: skip
"""Good objects in which, together, every field of every spec has a value."""

Steps = tuple[str | int, ...]
SCHEMAS = {kind.crd.kind: root_schema(kind) for kind in KINDS}


@dataclass(frozen=True)
class Limit:
    """A field and one keyword of its schema that a bad value breaks."""

    good: Obj
    steps: Steps
    keyword: str
    bad: Any
    says: str

    def __str__(self) -> str:
        return f"{self.good['kind']}.{dotted(self.steps)} {self.keyword}"

    def broken(self) -> Obj:
        obj = deepcopy(self.good)
        here: Any = obj
        for step in self.steps[:-1]:
            here = here[step]
        if self.keyword == "required":
            del here[self.steps[-1]]
        else:
            here[self.steps[-1]] = self.bad
        return obj


def dotted(steps: Steps) -> str:
    """As the server writes it: ``spec.volumes[0].name``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def several(schema: Schema, value: Any, count: int) -> Any:
    """More items than allowed, no two the same."""
    if isinstance(value, dict):
        return {f"k{n}": "v" for n in range(count)}
    keys = schema.get("x-kubernetes-list-map-keys", [])
    return [{**value[0], keys[0]: f"k{n}"} if keys else value[0] if isinstance(value[0], dict) else f"k{n}"
            for n in range(count)]  # fmt: skip


BREAKING: dict[str, tuple[Callable[[Any, Schema, Any], Any], str]] = {
    "enum": (lambda _, __, ___: "Nonsense", "supported values: "),
    "pattern": (lambda _, __, ___: "!", "should match '"),
    "minimum": (lambda limit, _, __: limit - 1, "should be greater than or equal to"),
    "maximum": (lambda limit, _, __: limit + 1, "should be less than or equal to"),
    "minLength": (lambda limit, _, __: "a" * (limit - 1), "should be at least"),
    "maxLength": (lambda limit, _, __: "a" * (limit + 1), "Too long: may not be more than"),
    "maxItems": (lambda limit, schema, value: several(schema, value, limit + 1), "Too many"),
    "maxProperties": (lambda limit, schema, value: several(schema, value, limit + 1), "Too many"),
}


def limits(good: Obj, value: Any, schema: Schema, steps: Steps) -> Iterator[Limit]:
    """Every way to break one field of a good object, there and below."""
    for keyword, (bad, says) in BREAKING.items():
        if keyword in schema:
            yield Limit(good, steps, keyword, bad(schema[keyword], schema, value), says)
    if "properties" in schema:
        for name in schema.get("required", []):
            yield Limit(good, (*steps, name), "required", None, "Required value")
        for name, field in schema["properties"].items():
            if name in value:
                yield from limits(good, value[name], field, (*steps, name))
    if "items" in schema:
        yield from limits(good, value[0], schema["items"], (*steps, 0))
    if "additionalProperties" in schema:
        for key in value:
            yield from limits(good, value[key], schema["additionalProperties"], (*steps, key))


def all_limits() -> list[Limit]:
    found: dict[str, Limit] = {}
    for good in FULL:
        schema = SCHEMAS[good["kind"]]["properties"]["spec"]
        for limit in limits(good, good["spec"], schema, ("spec",)):
            found.setdefault(str(limit), limit)
    return list(found.values())


@pytest.mark.parametrize("good", FULL, ids=lambda obj: obj["kind"])
def test_what_is_broken_below_was_good(server: Server, good: Obj) -> None:
    answer = server.create(good, dry=True)
    assert answer.ok, answer.text


@pytest.mark.parametrize("limit", all_limits(), ids=str)
def test_every_limit_of_the_schema_holds_and_names_its_field(server: Server, limit: Limit) -> None:
    answer = server.create(limit.broken(), dry=True)
    assert not answer.ok, "the server took it"
    assert f"{dotted(limit.steps)}: " in answer.text
    assert limit.says in answer.text


def leaves(schema: Schema, path: str = "spec") -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield from leaves(field, f"{path}.{name}")
    if "items" in schema:
        yield from leaves(schema["items"], path)
    if not {"properties", "items"} & schema.keys():
        yield path


def reached(value: Any, path: str = "spec") -> Iterator[str]:
    if isinstance(value, dict) and not path.endswith(("matchLabels", "nodeSelector")):
        for name, inner in value.items():
            yield from reached(inner, f"{path}.{name}")
    elif isinstance(value, list):
        yield from reached(value[0], path)
    else:
        yield path


@pytest.mark.parametrize("kind", SCHEMAS)
def test_no_field_is_left_out(kind: str) -> None:
    free = {"StoragePool": {"spec.golden", "spec.backend.hostPath.requireMount"},
            "Template": {"spec.golden", "spec.directDownload"}}  # fmt: skip
    wanted = set(leaves(SCHEMAS[kind]["properties"]["spec"])) - free.get(kind, set())
    assert wanted <= {path for obj in FULL if obj["kind"] == kind for path in reached(obj["spec"])}
