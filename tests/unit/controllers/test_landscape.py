"""What planning sees, and what is promised before it is observed."""

import asyncio
from typing import Any, cast

import pytest

from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool, Toleration
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.indices import register_indices
from goldpool.controllers.landscape import Bind, Landscape, Reserve
from goldpool.controllers.world import World
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Conflict, KubeApi, Obj
from goldpool.planning.identity import location_name
from goldpool.planning.placement import DiskPlacement, Placement, Unplaceable
from goldpool.planning.promises import Promised
from goldpool.planning.snapshot import host_view, location_facts, location_view, node_view
from tests.unit.controllers.builders import (
    NOW,
    SETTINGS,
    a_blank_volume,
    a_golden_pool,
    a_location,
    a_machine,
    a_node,
    a_parent,
    a_pinned_template,
    a_pool,
    a_root_of,
    a_volume,
)

NODE = {
    "metadata": {"name": "node-1", "uid": "uid-node-1", "resourceVersion": "1", "labels": {"rack": "1"}},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


class Answers:
    """A server that answers a patch with an object, or with an error."""

    def __init__(self, answer: Obj | BaseException) -> None:
        self._answer = answer
        self.bodies: list[Obj] = []

    async def merge_patch(self, resource: Any, name: str, body: Obj, namespace: str) -> Obj:
        self.bodies.append(body)
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def a_located(pool: str, host: str = "node-1", **more: Any) -> Obj:
    return a_location(pool, host, name=location_name(pool, f"uid-{pool}", host), **more)


SMALL = {"total": "100Gi", "free": "100Gi"}


def a_landscape(
    *volumes: Obj, template: Obj | None = None, serves: tuple[str, ...] = ()
) -> tuple[Landscape, Cache]:
    """One host with a golden and an ordinary pool of 100 GiB, of which 85 % may be promised."""
    cache = Cache(clock=lambda: 0.0)
    register_indices(cache)
    cache.upsert(r.NODE, NODE)
    spec = {"capacity": {"overprovisioningPercent": 100}, "allowedNamespaces": list(serves)}
    cache.upsert(r.STORAGE_POOL, a_pool(spec=spec))
    cache.upsert(r.STORAGE_POOL, a_golden_pool())
    cache.upsert(r.STORAGE_LOCATION, a_located("std-a", status=SMALL))
    cache.upsert(r.STORAGE_LOCATION, a_located("golden-ssd", status=SMALL))
    cache.upsert(r.TEMPLATE, template or a_pinned_template())
    for volume in volumes:
        cache.upsert(r.VOLUME, volume)
    nobody, nothing = cast(KubeApi, None), cast(Dispatcher, None)
    world = World(cache, nobody, nothing, SETTINGS, cluster_uid="cluster", now=lambda: NOW)
    return Landscape(world), cache


def placed(landscape: Landscape, volume: Obj) -> Placement | Unplaceable:
    machine = VirtualMachine.read(a_machine())
    return landscape.place_machine(machine, {"root": Volume.read(volume)}, {}, avoid=[])


@pytest.mark.parametrize(
    ("allocator", "pools"),
    [
        ("firstfit", {"std-a"}),  # by name
        ("firstfitleastconsumed", {"std-c"}),  # nothing is promised there
        ("userdispersing", {"std-c"}),  # none of team-a, and nothing promised
        ("random", {"std-a", "std-b", "std-c"}),
    ],
)
def test_the_allocator_that_was_set_chooses(allocator: str, pools: set[str]) -> None:
    cache = Cache(clock=lambda: 0.0)
    register_indices(cache)
    cache.upsert(r.NODE, NODE)
    for name in ("std-a", "std-b", "std-c"):
        cache.upsert(r.STORAGE_POOL, a_pool(name))
        cache.upsert(r.STORAGE_LOCATION, a_located(name, status=SMALL))
    mine = a_blank_volume("mine", spec={"placement": {"pool": "std-a", "host": "node-1"}, "size": "1Gi"})
    theirs = a_blank_volume("theirs", spec={"placement": {"pool": "std-b", "host": "node-1"}, "size": "1Gi"})
    theirs["metadata"]["namespace"] = "team-b"
    for volume in (mine, theirs):
        cache.upsert(r.VOLUME, volume)
    settings = SETTINGS.model_copy(update={"allocator": allocator})
    nobody, nothing = cast(KubeApi, None), cast(Dispatcher, None)
    landscape = Landscape(World(cache, nobody, nothing, settings, cluster_uid="c", now=lambda: NOW))
    chosen = set()
    for n in range(40):
        machine = VirtualMachine.read(a_machine(uid=f"uid-{n}"))
        found = landscape.place_machine(
            machine, {"root": Volume.read(a_blank_volume(bound=False))}, {}, avoid=[]
        )
        assert isinstance(found, Placement)
        chosen.add(found.disks[0].pool)
    assert chosen <= pools
    assert allocator != "random" or chosen == pools


def test_a_placement_says_by_which_figures() -> None:
    landscape, cache = a_landscape()
    cache.upsert(
        r.PARENT, a_parent(spec={"location": location_name("golden-ssd", "uid-golden-ssd", "node-1")})
    )
    found = placed(landscape, a_root_of(a_machine(), bound=False))
    assert isinstance(found, Placement)
    assert found.sentence() == "root in std-a over golden-ssd"
    assert found.why == "100 % not promised, the parent debian-12-aaaaaaaa is there, 100 % free"


def test_a_machines_policy_decides_whether_it_falls_back() -> None:
    landscape, cache = a_landscape()
    cache.upsert(r.STORAGE_POOL, a_golden_pool(version="2", spec={"state": "Disabled"}))
    root = Volume.read(a_root_of(a_machine(), bound=False))
    answers = [
        landscape.place_machine(
            VirtualMachine.read(a_machine(spec={"goldenPolicy": policy})), {"root": root}, {}, avoid=[]
        )
        for policy in ("Required", "Preferred")
    ]
    assert isinstance(answers[0], Unplaceable)
    assert isinstance(answers[1], Placement)
    assert (answers[1].disks[0].parent_pool, answers[1].disks[0].fallback) == ("std-a", True)


def a_bind(volume: Obj, landscape: Landscape) -> Bind:
    found = placed(landscape, volume)
    assert isinstance(found, Placement), found.sentence()
    return Bind.of(Volume.read(volume), found.disks[0], "v-cccccccc", pin="node-1")


def a_big(name: str, **more: Any) -> Obj:
    return a_volume(name, bound=False, spec={"size": "50Gi"}, **more)


def test_a_machine_is_placed_where_both_its_pools_are() -> None:
    landscape, _ = a_landscape()
    found = placed(landscape, a_root_of(a_machine(), bound=False))
    assert isinstance(found, Placement)
    [disk] = found.disks
    assert (disk.pool, disk.host, disk.parent_pool, found.hosts) == (
        "std-a",
        "node-1",
        "golden-ssd",
        ("node-1",),
    )


def test_what_is_assumed_is_promised() -> None:
    first, second = a_big("first"), a_big("second")
    landscape, _ = a_landscape(first, second)
    bind = a_bind(first, landscape)
    landscape.assume(bind)
    assert isinstance(placed(landscape, second), Unplaceable)
    landscape.forget(bind)
    assert isinstance(placed(landscape, second), Placement)


def test_an_assumption_ends_when_its_binding_is_observed() -> None:
    first, second = a_big("first"), a_big("second")
    landscape, cache = a_landscape(first, second)
    bind = a_bind(first, landscape)
    landscape.assume(bind)
    bound = first | {
        "spec": first["spec"] | bind.patch.patch["spec"],
        "metadata": first["metadata"] | {"resourceVersion": "5"},
    }
    cache.upsert(r.VOLUME, bound)
    assert isinstance(placed(landscape, second), Unplaceable)
    cache.upsert(r.VOLUME, first | {"metadata": first["metadata"] | {"resourceVersion": "6"}})
    assert isinstance(placed(landscape, second), Placement)


def test_an_assumption_about_an_earlier_object_of_the_name_is_none() -> None:
    first, second = a_big("first"), a_big("second")
    landscape, cache = a_landscape(first, second)
    landscape.assume(a_bind(first, landscape))
    cache.remove(r.VOLUME, first)
    cache.upsert(r.VOLUME, a_big("first", uid="uid-of-the-next", version="9"))
    assert isinstance(placed(landscape, second), Placement)


@pytest.mark.parametrize("answer", [Conflict("stale"), asyncio.CancelledError(), {"metadata": {}}])
async def test_a_binding_is_counted_from_its_execution_on_and_taken_back_if_it_fails(answer: Any) -> None:
    first, second = a_big("first", version="7"), a_big("second")
    landscape, _ = a_landscape(first, second)
    server = Answers(answer)
    if isinstance(answer, BaseException):
        with pytest.raises(type(answer)):
            await landscape.execute(cast(KubeApi, server), a_bind(first, landscape))
        assert isinstance(placed(landscape, second), Placement)
    else:
        await landscape.execute(cast(KubeApi, server), a_bind(first, landscape))
        assert isinstance(placed(landscape, second), Unplaceable)
    assert server.bodies[0]["metadata"] == {"resourceVersion": "7"}


def test_a_binding_names_the_very_object() -> None:
    bind = Bind.of(
        Volume.read(a_big("first", uid="u-1")),
        DiskPlacement("first", "std-a.x", "std-a", "node-1"),
        "v-cccccccc",
        pin="",
    )
    assert bind.patch.patch["spec"]["placement"]["volumeUID"] == "u-1"
    assert bind.bound.spec.storage_id == "v-cccccccc"


def test_after_a_first_binding_the_placement_is_nobodys_wish() -> None:
    bound_elsewhere = a_volume(
        spec={"placement": {"pool": "std-z", "host": "node-9", "volumeUID": "uid-web-1-root"}}
    )
    wished = a_volume(bound=False, spec={"placement": {"pool": "std-z"}})
    landscape, _ = a_landscape()
    assert isinstance(placed(landscape, bound_elsewhere), Placement)
    assert isinstance(placed(landscape, wished), Unplaceable)


# -- views


@pytest.mark.parametrize(("serves", "found"), [((), True), (("team-a",), True), (("team-b",), False)])
def test_a_pool_of_other_namespaces_is_no_place(serves: tuple[str, ...], found: bool) -> None:
    volume = Volume.read(a_volume())
    landscape, _ = a_landscape(serves=serves)
    assert isinstance(landscape.place_volume(volume), DiskPlacement) is found
    landscape, _ = a_landscape(serves=serves)
    assert isinstance(placed(landscape, a_volume()), Placement) is found


def seen(location: Obj, pool: Obj, nodes: tuple[Any, ...] = (a_node(),)) -> Any:
    return location_view(
        location_facts(StorageLocation.read(location)), StoragePool.read(pool), nodes, Promised(7, 8, 9)
    )


@pytest.mark.parametrize(
    ("location", "pool", "enabled", "ready"),
    [
        (a_location(), a_pool(), True, True),
        (a_location(), a_pool(spec={"state": "Disabled"}), False, True),
        (a_location(), a_pool(spec={"state": "Maintenance"}), False, True),
        (a_location(), a_pool(deleting=True), False, True),
        (a_location(ready=False), a_pool(), True, False),
        (a_location(deleting=True), a_pool(), True, False),
        (a_location(status={"conditions": []}), a_pool(), True, False),
    ],
)
def test_a_location_takes_something_new_only_if_it_is_well_and_enabled(
    location: Obj, pool: Obj, enabled: bool, ready: bool
) -> None:
    view = seen(location, pool)
    assert (view.enabled, view.ready) == (enabled, ready)
    assert (view.allocated_bytes, view.allocated_iops, view.fetching_bytes) == (7, 8, 9)


def test_a_shared_location_is_reached_by_every_host_its_pool_selects() -> None:
    nodes = (a_node("node-1", labels={"rack": "1"}), a_node("node-2", labels={"rack": "2"}))
    pool = a_pool("nfs", spec={"scope": "Shared", "hostSelector": {"matchLabels": {"rack": "1"}}})
    assert seen(a_location("nfs", ""), pool, nodes).hosts == {"node-1"}
    assert seen(a_location(host="node-2"), a_pool(), nodes).hosts == {"node-2"}


def test_an_unknown_size_is_zero_which_planning_takes_for_unknown() -> None:
    view = seen(a_location(status={"total": None, "free": None}), a_pool())
    assert (view.total_bytes, view.free_bytes) == (0, 0)


TAINT = {"key": "gpu", "value": "a", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("taint", "toleration", "tainted"),
    [
        (TAINT, None, True),
        (TAINT, {"key": "gpu", "value": "a"}, False),
        (TAINT, {"key": "gpu", "value": "b"}, True),
        (TAINT, {"key": "gpu", "operator": "Exists"}, False),
        (TAINT, {"key": "other", "operator": "Exists"}, True),
        (TAINT, {"operator": "Exists"}, False),
        (TAINT, {"key": "gpu", "value": "a", "effect": "NoSchedule"}, False),
        (TAINT, {"key": "gpu", "value": "a", "effect": "NoExecute"}, True),
        (TAINT | {"effect": "NoExecute"}, None, True),
        (TAINT | {"effect": "PreferNoSchedule"}, None, False),
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, None, False),
        ({"key": "gpu", "effect": "NoSchedule"}, {"key": "gpu"}, False),
    ],
)
def test_a_toleration_is_read_as_the_scheduler_reads_it(
    taint: Obj, toleration: Obj | None, tainted: bool
) -> None:
    tolerations = [Toleration.model_validate(toleration)] if toleration else []
    assert host_view(a_node(taints=(taint,)), tolerations).tainted is tainted


@pytest.mark.parametrize(
    ("node", "ready", "schedulable"),
    [
        (a_node(), True, True),
        (a_node(ready=False), False, True),
        (a_node(cordoned=True), True, False),
        (a_node(out_of_service=True), False, True),
    ],
)
def test_a_host_is_ready_and_schedulable_as_its_node_is(node: Any, ready: bool, schedulable: bool) -> None:
    view = host_view(node, [])
    assert (view.ready, view.schedulable) == (ready, schedulable)


@pytest.mark.parametrize(
    ("status", "ready"), [("True", True), ("False", False), ("Unknown", False), (None, False)]
)
def test_a_node_that_stopped_reporting_is_not_ready(status: str | None, ready: bool) -> None:
    told = [{"type": "Ready", "status": status}] if status else []
    assert node_view(NODE | {"status": {"conditions": told}}).ready is ready


# -- an ISO's place, which only a status says


def placed_iso(landscape: Landscape, machine: Obj) -> Placement | Unplaceable:
    """Alone: the machine's disks have their places."""
    read, iso = VirtualMachine.read(machine), Template.read(an_iso())
    return landscape.place_machine(read, {}, {"root": Volume.read(a_root_of(machine))}, avoid=[], iso=iso)


def an_iso() -> Obj:
    return a_pinned_template("tools", spec={"format": "iso"}, status={"virtualSize": "60Gi", "size": "60Gi"})


def reserving(machine: Obj) -> Reserve:
    spot = ("tools", location_name("golden-ssd", "uid-golden-ssd", "node-1"))
    return Reserve(VirtualMachine.read(machine), spot)


async def test_an_isos_place_is_counted_before_its_status_is_written_and_no_longer_than_the_machine_stays() -> (
    None
):
    landscape, cache = a_landscape(template=an_iso())
    machine, golden = a_machine(), location_name("golden-ssd", "uid-golden-ssd", "node-1")
    cache.upsert(r.VIRTUAL_MACHINE, machine)
    await landscape.reserve(reserving(machine))
    assert landscape.promised(golden).allocated_bytes == 60 << 30
    iso = {"template": "tools", "pool": "golden-ssd", "location": golden}
    cache.upsert(r.VIRTUAL_MACHINE, a_machine(version="2", status={"iso": iso}))
    assert landscape.promised(golden).allocated_bytes == 60 << 30
    cache.upsert(r.VIRTUAL_MACHINE, a_machine(version="3"))
    assert landscape.promised(golden).allocated_bytes == 0


@pytest.mark.parametrize("what", ["changed", "gone", "anew"])
async def test_a_reservation_whose_pass_lost_its_race_is_none(what: str) -> None:
    landscape, cache = a_landscape(template=an_iso())
    machine, golden = a_machine(), location_name("golden-ssd", "uid-golden-ssd", "node-1")
    cache.upsert(r.VIRTUAL_MACHINE, machine)
    await landscape.reserve(reserving(machine))
    if what == "gone":
        cache.remove(r.VIRTUAL_MACHINE, machine)
    else:
        cache.upsert(
            r.VIRTUAL_MACHINE, a_machine(version="2", uid="uid-web-1" if what == "changed" else "u2")
        )
    assert landscape.promised(golden).allocated_bytes == 0


async def test_two_isos_are_not_promised_the_same_bytes() -> None:
    landscape, cache = a_landscape(a_root_of(a_machine()), template=an_iso())
    cache.upsert(r.VIRTUAL_MACHINE, a_machine())
    other = an_iso()
    other["metadata"]["name"], other["metadata"]["uid"] = "other", "uid-other"
    cache.upsert(r.TEMPLATE, other)
    assert isinstance(placed_iso(landscape, a_machine()), Placement)
    machine = a_machine("web-2")
    cache.upsert(r.VIRTUAL_MACHINE, machine)
    spot = ("other", location_name("golden-ssd", "uid-golden-ssd", "node-1"))
    await landscape.reserve(Reserve(VirtualMachine.read(machine), spot))
    refusal = placed_iso(landscape, a_machine())
    assert isinstance(refusal, Unplaceable)
    assert "no room for the template's parent" in refusal.sentence()
