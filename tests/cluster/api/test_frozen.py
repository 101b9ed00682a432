"""What cannot be changed: immutable at once, or frozen from the moment somebody relied on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from goldpool.api.crds import KINDS, root_schema
from goldpool.api.schema import Schema
from tests.cluster.api.builders import a_location, a_machine, a_parent, a_pool, a_template, a_volume
from tests.cluster.api.server import Obj, Server
from tests.cluster.api.test_refusals import CREATIONS

Store = Callable[[Obj], Obj]
NOW = "2026-01-01T00:00:00Z"
PUBLISHED = {"revision": "a" * 64}
BOOTED = {"firstStartTime": NOW}
USED = {"firstUsedTime": NOW}
HEX = "a" * 64
CHILD = {"templateRef": {"name": "a"}}

NEW_POOL, NEW_TEMPLATE, NEW_VOLUME = "make a new StoragePool", "register a new Template", "make a new Volume"


def bound(**spec: Any) -> Obj:
    return a_volume(**{"placement": {"pool": "a", "host": "h"}, "storageID": "v-abcdefgh"} | spec)


CHANGES: tuple[tuple[Obj, Obj | None, Obj, str], ...] = (
    # object, status, merge patch of the spec, what the server says
    (a_pool(), None, {"golden": True}, f"spec.golden is immutable: {NEW_POOL}"),
    (a_pool(golden=True), None, {"golden": None}, f"spec.golden is immutable: {NEW_POOL}"),
    (a_pool(), None, {"scope": "Shared"}, f"spec.scope is immutable: {NEW_POOL}"),
    (a_pool(), None, {"backend": {"hostPath": {"path": "/srv/other"}}}, f"spec.backend is immutable: {NEW_POOL}"),
    (a_pool(), None, {"backend": {"hostPath": {"requireMount": False}}}, f"spec.backend is immutable: {NEW_POOL}"),
    (a_pool(scope="Shared"), None, {"backend": {"hostPath": None, "persistentVolumeClaim": {"claimName": "a"}}},
     f"spec.backend is immutable: {NEW_POOL}"),
    (a_template(), None, {"golden": True}, f"spec.golden is immutable: {NEW_TEMPLATE}"),
    (a_template(), PUBLISHED, {"source": {"url": "http://images.example/b"}},
     f"spec.source names other bytes, but copies were published: {NEW_TEMPLATE}"),
    (a_template(), PUBLISHED, {"source": {"metalink": True}}, "spec.source names other bytes"),
    (a_template(), PUBLISHED, {"format": "raw"},
     f"spec.format is frozen: copies of it were published; {NEW_TEMPLATE}"),
    (a_template(checksum=HEX), PUBLISHED, {"checksum": "b" * 64},
     f"spec.checksum is frozen: copies were verified against it; {NEW_TEMPLATE}"),
    (a_template(checksum=HEX), PUBLISHED, {"checksum": None}, "spec.checksum is frozen"),
    (a_template(), PUBLISHED, {"checksum": HEX}, "spec.checksum is frozen"),
    (a_machine(), BOOTED, {"rootVolume": {"templateRef": {"name": "other"}}},
     "spec.rootVolume is frozen: the machine has booted from it; make a new VirtualMachine"),
    (a_machine(), BOOTED, {"rootVolume": {"templateRef": None, "volumeRef": {"name": "a"}}}, "spec.rootVolume is frozen"),
    (a_machine(), BOOTED, {"rootVolume": {"size": "9Gi"}}, "spec.rootVolume is frozen"),
    (a_volume(), None, {"type": "Root"}, f"spec.type is immutable: {NEW_VOLUME}"),
    (a_volume(), None, {"size": "2Gi"}, f"spec.size is immutable for now: {NEW_VOLUME}"),
    (a_volume(source=CHILD), None, {"size": None}, f"spec.size is immutable for now: {NEW_VOLUME}"),
    (a_volume(source=CHILD, size=None), None, {"size": "2Gi"}, f"spec.size is immutable for now: {NEW_VOLUME}"),
    (a_volume(), None, {"source": CHILD}, f"spec.source is immutable: {NEW_VOLUME}"),
    (a_volume(source=CHILD), None, {"source": None}, f"spec.source is immutable: {NEW_VOLUME}"),
    (a_volume(source=CHILD), None, {"source": {"templateRef": {"name": "b"}}},
     f"spec.source is immutable: {NEW_VOLUME}"),
    (bound(), USED, {"placement": {"host": "other"}},
     "spec.placement and spec.storageID are frozen: a machine has used this disk"),
    (bound(), USED, {"placement": None, "storageID": None}, "spec.placement and spec.storageID are frozen"),
    (bound(), USED, {"storageID": "v-hgfedcba"}, "spec.placement and spec.storageID are frozen"),
    (bound(), USED, {"storageID": None}, "spec.placement and spec.storageID are frozen"),
    (bound(), None, {"placement": None}, "spec.storageID is minted with the binding: do not set it"),
    (a_location(), None, {"pool": "other"}, "spec: a location is always the same pool and host"),
    (a_location(), None, {"poolUID": "other"}, "spec: a location is always the same pool and host"),
    (a_location(), None, {"host": None}, "spec: a location is always the same pool and host"),
    (a_parent(), None, {"location": "other"}, "spec: a parent is always the same copy"),
    (a_parent(), None, {"revision": "r"}, "spec: a parent is always the same copy"),
)  # fmt: skip


@pytest.mark.parametrize("row", CHANGES, ids=[f"{row[0]['kind']} {row[2]}" for row in CHANGES])
def test_it_cannot_be_changed(server: Server, stored: Store, row: tuple[Obj, Obj | None, Obj, str]) -> None:
    obj, status, patch, message = row
    stored(obj)
    if status:
        answer = server.patch(obj, {"status": status}, status=True)
        assert answer.ok, answer.text
    answer = server.patch(obj, {"spec": patch})
    assert not answer.ok, "the server took it"
    assert message in answer.text


CORRECTIONS: tuple[tuple[Obj, Obj | None, Obj], ...] = (
    # object, status, merge patch of the spec that must go through
    (a_pool(tags=["a"]), None, {"tags": ["b"], "state": "Maintenance", "capacity": {"iops": 5}}),
    (a_template(), None, {"source": {"url": "https://images.example/b.metalink"}, "format": "raw", "checksum": HEX}),
    (a_template(checksum=HEX), PUBLISHED, {"retention": "1h30m", "prepare": {"pools": ["a"]}}),
    (a_template(), PUBLISHED, {"source": {"checkInterval": "6h", "refreshPolicy": "Refetch"}}),
    (a_machine(), None, {"rootVolume": {"templateRef": {"name": "other"}, "size": "9Gi"}}),
    (a_machine(), BOOTED, {"cpus": 2, "memory": "1Gi", "volumes": [{"name": "a", "volumeRef": {"name": "b"}}]}),
    (a_volume(), None, {"placement": {"pool": "a", "host": "h"}, "storageID": "v-abcdefgh"}),
    (bound(), None, {"placement": {"host": "other"}, "storageID": "v-hgfedcba"}),
    (bound(), None, {"placement": None, "storageID": None}),
    (bound(), USED, {"reclaimPolicy": "Retain", "poolTags": ["a"]}),
)  # fmt: skip


@pytest.mark.parametrize(("obj", "status", "patch"), CORRECTIONS,
                         ids=[f"{row[0]['kind']} {row[2]}" for row in CORRECTIONS])  # fmt: skip
def test_what_was_not_acted_on_can_be_corrected(
    server: Server, stored: Store, obj: Obj, status: Obj | None, patch: Obj
) -> None:
    stored(obj)
    if status:
        server.patch(obj, {"status": status}, status=True)
    answer = server.patch(obj, {"spec": patch})
    assert answer.ok, answer.text


def messages_of(schema: Schema) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    for field in schema.get("properties", {}).values():
        yield from messages_of(field)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from messages_of(schema[key])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)
def test_every_rule_has_a_row(kind: Any) -> None:
    expected = [*(message for _, message in CREATIONS), *(row[3] for row in CHANGES)]
    untested = [m for m in messages_of(root_schema(kind)) if not any(text in m for text in expected)]
    assert untested == []
