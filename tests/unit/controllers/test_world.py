"""How the cluster is read: each version of an object once, and what is only counted not at once."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from goldpool.api.volume import Volume
from goldpool.controllers.indices import register_indices
from goldpool.controllers.parent import ParentController
from goldpool.controllers.storagelocation import StorageLocationController
from goldpool.controllers.storagepool import StoragePoolController
from goldpool.controllers.template import TemplateController
from goldpool.controllers.virtualmachine.affected import affected
from goldpool.controllers.volume import VolumeController
from goldpool.controllers.world import World
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.engine.plan import Soon
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, KubeApi, Obj, Resource, key_of
from goldpool.settings import Settings
from tests.unit.controllers.builders import (
    NOW,
    a_condition,
    a_location,
    a_machine,
    a_parent,
    a_pinned_template,
    a_pool,
    a_volume,
)


def a_world(*objects: tuple[Resource, Obj]) -> World:
    cache = Cache()
    register_indices(cache)
    world = World(
        cache,
        cast(KubeApi, None),
        cast(Dispatcher, None),
        Settings(),
        cluster_uid="cluster",
        now=lambda: NOW,
    )
    for resource, obj in objects:
        cache.upsert(resource, obj)
    return world


def a_change(resource: Resource, old: Obj | None, new: Obj | None) -> Change:
    return Change(resource, key_of(resource, new or old or {}), old, new)


def test_a_version_is_parsed_once_and_a_newer_one_anew() -> None:
    world = a_world((r.VOLUME, a_volume(version="1")))
    first = world.volume("team-a", "web-1-root")
    assert first is not None
    assert world.volumes_in("std-a") == [first]
    assert world.volumes_in("std-a")[0] is first
    world.cache.upsert(r.VOLUME, a_volume(version="2", made=True))
    second = world.volume("team-a", "web-1-root")
    assert second is not None
    assert (first.status.created_time, bool(second.status.created_time)) == (None, True)


def test_nothing_parsed_outlives_its_object() -> None:
    volume = a_volume()
    world = a_world((r.VOLUME, volume))
    assert world.volume("team-a", "web-1-root") is not None
    world.cache.remove(r.VOLUME, volume)
    assert world._parsed == {}


def test_a_raw_object_that_is_not_the_caches_is_parsed_itself() -> None:
    """A namesake of the same UID, read uncached, must not be taken for the cached one."""
    cached, fresh = a_volume(version="1"), a_volume(version="2", made=True)
    world = a_world((r.VOLUME, cached))
    assert world.read(Volume, cached).status.created_time is None
    assert world.read(Volume, fresh).status.created_time is not None


COUNTERS: list[tuple[Callable[[World], Any], Resource, Callable[..., Obj]]] = [
    (StoragePoolController, r.STORAGE_POOL, lambda **more: a_pool("std-a", **more)),
    (StorageLocationController, r.STORAGE_LOCATION, lambda **more: a_location("std-a", **more)),
    (TemplateController, r.TEMPLATE, a_pinned_template),
    (ParentController, r.PARENT, a_parent),
]


@pytest.mark.parametrize(("make", "resource", "build"), COUNTERS)
@pytest.mark.parametrize("going", [False, True])
def test_volumes_are_counted_soon_and_at_once_where_a_deletion_waits_for_them(
    make: Callable[[World], Any], resource: Resource, build: Callable[..., Obj], going: bool
) -> None:
    owner = build(deleting=going)
    world = a_world((resource, owner))
    key = key_of(resource, owner)
    made = a_change(r.VOLUME, a_volume(), a_volume(made=True))
    found = {*make(world).affected(made)}
    assert (key in found, Soon(key) in found) == (going, not going)


def test_a_binding_reaches_its_template_at_once() -> None:
    world = a_world((r.TEMPLATE, a_pinned_template()))
    bound = a_change(r.VOLUME, a_volume(bound=False), a_volume())
    assert {*TemplateController(world).affected(bound)} == {Key("Template", "", "debian-12")}


@pytest.mark.parametrize(
    ("status", "wakes"),
    [
        ({"children": 7}, False),
        ({"done": 1 << 20}, False),
        ({"state": "Retiring"}, True),
    ],
)
def test_waiting_volumes_hear_of_a_copy_only_what_they_read(status: dict[str, Any], wakes: bool) -> None:
    world = a_world((r.VOLUME, a_volume()))
    change = a_change(r.PARENT, a_parent(), a_parent(status=status))
    found = {*VolumeController(world, cast(Any, None)).affected(change)}
    assert bool(found) is wakes


@pytest.mark.parametrize(
    ("copy", "now", "wakes"),
    [
        ("tools-aaaaaaaa", {"deleting": True}, True),
        ("tools-aaaaaaaa", {"status": {"state": "Retiring"}}, True),
        ("tools-aaaaaaaa", {"status": {"children": 7}}, False),
        ("tools-bbbbbbbb", {"deleting": True}, False),
    ],
)
def test_a_machine_hears_that_its_medium_is_going_whatever_it_waits_for(
    copy: str, now: dict[str, Any], wakes: bool
) -> None:
    iso = {"template": "tools", "pool": "std-a", "location": "std-a.node-1", "parent": "tools-aaaaaaaa"}
    waiting = a_condition(status="False", reason="VolumeInUse")
    machine = a_machine(status={"iso": iso, "conditions": [waiting]})
    cache = a_world((r.VIRTUAL_MACHINE, machine)).cache
    change = a_change(r.PARENT, a_parent(copy), a_parent(copy, **now))
    assert bool([*affected(cache, change)]) is wakes


@pytest.mark.parametrize(
    ("template", "wakes"),
    [
        ({"status": {"refetch": {"token": "t-1"}, "conditions": [a_condition()]}}, True),
        ({"spec": {"prepare": {"pools": ["golden-ssd"]}}, "status": {"conditions": [a_condition()]}}, True),
        ({"status": {"conditions": [a_condition(status="False", reason="NoHostToAsk")]}}, True),
        ({"status": {"conditions": [a_condition()]}}, False),
    ],
    ids=["fetched anew", "prepared", "asks", "rests"],
)
def test_a_template_that_waits_for_a_location_hears_of_one(template: dict[str, Any], wakes: bool) -> None:
    world = a_world((r.TEMPLATE, a_pinned_template(**template)))
    away = a_location("golden-ssd", status={"conditions": [a_condition(status="False", reason="HostAway")]})
    back = a_location("golden-ssd", status={"conditions": [a_condition()]})
    found = {*TemplateController(world).affected(a_change(r.STORAGE_LOCATION, away, back))}
    assert (Key("Template", "", "debian-12") in found) is wakes
