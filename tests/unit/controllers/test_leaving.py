"""What happens to an object whose CRD is being deleted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from goldpool.controllers.leaving import Leaving, Released, Undecided
from goldpool.controllers.naming import FINALIZER
from goldpool.engine.plan import Plan, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, NotFound, Obj, Resource

PLAN = Plan(status={"of": "the controller"})


@dataclass
class Server:
    """CRDs, as an uncached GET shows them."""

    leaving: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        assert resource == r.CUSTOM_RESOURCE_DEFINITION
        plural = name.removesuffix(".goldpool.io")
        self.asked.append(plural)
        if plural in self.gone:
            raise NotFound("none")
        marked = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if plural in self.leaving else {}
        return {"metadata": {"name": name, **marked}}


@dataclass
class Inner:
    resource: Resource
    name: str = "inner"

    async def gather(self, key: Key) -> str:
        return "observed"

    def plan(self, observed: str) -> Plan:
        return PLAN

    def affected(self, change: Change) -> Iterable[Key]:
        return ()


def an_object(*, deleted: bool = False, state: str = "Ready") -> Obj:
    marked = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}
    metadata = {"name": "a", "uid": "u", "resourceVersion": "1", "finalizers": [FINALIZER], **marked}
    return {"metadata": metadata, "status": {"state": state}}


def a_leaving(resource: Resource, server: Server, obj: Obj) -> Leaving:
    cache = Cache()
    cache.upsert(resource, obj)
    return Leaving(Inner(resource), server, cache)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resource", "obj", "leaving", "expected"),
    [
        (r.VOLUME, an_object(), {"volumes"}, "observed"),  # nobody deleted it yet
        (r.VOLUME, an_object(deleted=True), set(), "observed"),
        (r.VOLUME, an_object(deleted=True), {"parents"}, "observed"),
        (r.VOLUME, an_object(deleted=True), {"volumes"}, Released),
        (r.PARENT, an_object(deleted=True), {"parents", "volumes"}, Released),
        (r.PARENT, an_object(deleted=True), {"volumes"}, Undecided),
        (r.PARENT, an_object(deleted=True), {"templates"}, Undecided),
        (r.PARENT, an_object(state="Retiring"), {"volumes"}, Undecided),
        (r.PARENT, an_object(state="Ready"), {"volumes"}, "observed"),
        (
            r.PARENT,
            an_object(state="Retiring"),
            {"virtualmachines"},
            Undecided,
        ),  # machines say what they read, too
        (r.PARENT, an_object(state="Retiring"), {"storagepools"}, "observed"),
    ],
)
@pytest.mark.parametrize("how", ["leaving", "gone"])
async def test_a_kind_that_goes_takes_no_byte_with_it(
    resource: Resource, obj: Obj, leaving: set[str], expected: Any, how: str
) -> None:
    controller = a_leaving(
        resource, Server(leaving=leaving) if how == "leaving" else Server(gone=leaving), obj
    )
    observed = await controller.gather(Key(resource.kind, "", "a"))
    plan = controller.plan(observed)
    if isinstance(expected, str):
        assert observed == expected
        assert plan is PLAN
    elif expected is Released:
        assert plan.effects == (RemoveFinalizer(resource, obj, FINALIZER),)
        assert plan.status is None
    else:
        assert observed == Undecided()
        assert not plan.effects
        assert plan.again_after


async def test_a_deletion_that_was_meant_is_asked_about_once() -> None:
    server = Server()
    controller = a_leaving(r.VOLUME, server, an_object(deleted=True))
    for _ in range(3):
        assert await controller.gather(Key("Volume", "", "a")) == "observed"
    assert server.asked == ["volumes"]
