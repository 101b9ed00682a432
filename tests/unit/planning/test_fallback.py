"""goldenPolicy Preferred: golden pools first, then the parent beside its child, and never for a Required machine."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from goldpool.planning.allocators import ALLOCATORS, Allocator
from goldpool.planning.fallback import beside, planned
from goldpool.planning.placement import (
    DiskPlacement,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    RejectionReason,
    Unplaceable,
    place,
)
from goldpool.planning.reservation import Assumed
from goldpool.planning.walk import walk
from tests.unit.planning.builders import (
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_location,
    a_parent_view,
    a_shared_location,
    a_template,
    a_wish,
    an_index,
    placed,
    plan,
    refused,
)
from tests.unit.planning.test_properties import World, worlds

STD, GOLD = a_location(), a_golden_location()
BESIDE = DiskPlacement("root", STD.name, "std-a", "node-1", STD.name, "std-a", fallback=True)
OVER = DiskPlacement("root", STD.name, "std-a", "node-1", GOLD.name, "golden-ssd")


def preferred(*disks: Any, **changes: Any) -> MachineWish:
    return a_wish(*(disks or (a_golden_disk(),)), may_fall_back=True, **changes)


@pytest.mark.parametrize(
    ("locations", "parents", "expected"),
    [
        ([STD, GOLD], [], OVER),
        ([STD, GOLD], [a_parent_view(STD)], OVER),  # also when the copy beside is there and the golden one is not
        ([STD], [], BESIDE),
        ([STD, a_golden_location(host="node-2")], [], BESIDE),  # out of reach
        ([STD, a_golden_location(used=900)], [], BESIDE),
        ([STD, a_golden_location(allocated_bytes=800)], [], BESIDE),
        ([STD, a_golden_location(enabled=False)], [], BESIDE),
        ([STD, a_golden_location(ready=False)], [], BESIDE),
        ([STD, a_golden_location(namespaces=frozenset({"others"}))], [], BESIDE),
        ([STD, a_golden_location(used=900)], [a_parent_view(GOLD)], OVER),  # what is there asks nothing of it
    ],
)  # fmt: skip
def test_golden_pools_come_first_and_a_required_machine_waits_for_them(
    locations: list[LocationView], parents: list[ParentView], expected: DiskPlacement
) -> None:
    assert placed(plan(preferred(), locations, parents=parents)).disks == (expected,)
    required = plan(a_wish(a_golden_disk()), locations, parents=[*parents, a_parent_view(STD)])
    if expected.fallback:
        refused(required)
    else:
        assert placed(required).disks == (expected,)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (a_location(allocated_bytes=651), RejectionReason.NO_ROOM_FOR_PARENT),  # the child alone would fit
        (a_location(free_bytes=151, used_limit_percent=99), None),
        (a_location(free_bytes=49, used_limit_percent=99), RejectionReason.NO_ROOM_FOR_PARENT),
        (a_location(tags=frozenset({"hdd"})), RejectionReason.WITHOUT_TAGS),
        (a_location(enabled=False), RejectionReason.POOL_DISABLED),
        (a_location(namespaces=frozenset({"others"})), RejectionReason.NAMESPACE_NOT_ALLOWED),
    ],
)
def test_an_ordinary_pool_stands_in_only_where_disk_and_parent_may_be(
    location: LocationView, reason: RejectionReason | None
) -> None:
    tags = frozenset({"ssd"}) if location.tags else frozenset()
    answer = plan(preferred(a_golden_disk(tags=tags)), [location])
    if reason is None:
        assert placed(answer).disks[0].fallback
    else:
        assert [r.reason for r in refused(answer).rejections] == [reason]
        assert (
            refused(answer)
            .sentence()
            .startswith("0 of 1 location fit disk root, nor with the parent beside the disk: ")
        )


def test_a_copy_that_is_there_serves_the_next_machine_and_is_charged_to_its_pool() -> None:
    first = placed(plan(preferred(), [STD]))
    after = Assumed.of([STD], []).after(preferred(), first)
    assert after.locations[STD.name] == replace(STD, allocated_bytes=200, fetching_bytes=50)
    known = after.parents["debian-12", STD.name]
    again = Assumed.of(after.locations.values(), [known]).after(
        preferred(), placed(plan(preferred(), [*after.locations.values()], parents=[known]))
    )
    assert again.locations[STD.name].allocated_bytes == 300


def test_a_wish_for_a_golden_pool_stands() -> None:
    refused(plan(preferred(a_golden_disk(parent_pool="golden-ssd")), [STD]))


def test_a_shared_pool_may_stand_in() -> None:
    found = placed(plan(preferred(), [a_shared_location(hosts=("node-1", "node-2"))]))
    assert (found.disks[0].parent_pool, found.disks[0].fallback) == ("nfs", True)
    assert found.hosts == ("node-1", "node-2")


def test_all_golden_parents_of_a_machine_fall_back_and_it_says_so() -> None:
    ordinary = a_disk("other", template=a_template("alpine", golden=False))
    disks = (a_golden_disk(), a_golden_disk("data"), ordinary, a_disk("blank"))
    found = placed(plan(preferred(*disks), [STD]))
    assert [d.fallback for d in found.disks] == [True, True, False, False]
    assert found.sentence() == (
        "root in std-a with its parent beside it as a fallback, data in std-a with its parent beside it as a fallback, "
        "other in std-a, blank in std-a"
    )


@pytest.mark.parametrize(
    "wish", [a_wish(a_golden_disk()), preferred(a_disk()), preferred(a_disk(template=a_template(golden=False)))]
)  # fmt: skip
def test_without_the_policy_or_a_golden_template_there_is_no_second_plan(wish: MachineWish) -> None:
    assert beside(wish) is None


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(-3, 3), st.sampled_from([*ALLOCATORS.values()]))
def test_the_walk_falls_back_where_the_search_does(world: World, seed: int, allocator: Allocator) -> None:
    required, hosts, locations, parents = world
    wish = replace(required, may_fall_back=True)
    index = an_index(hosts, locations, parents)

    def searched(asked: MachineWish) -> Placement | Unplaceable:
        return place(asked, hosts, locations, parents, seed=seed, allocator=allocator)

    def walked(asked: MachineWish) -> Placement | Unplaceable:
        return walk(index, asked, [], seed=seed, allocator=allocator) or Unplaceable(())

    answer = planned(wish, searched)
    found = planned(wish, walked)
    assert isinstance(found, Unplaceable) == isinstance(answer, Unplaceable)
    alone = searched(required)
    if isinstance(alone, Placement):
        event("golden")
        assert found == answer == alone
    elif isinstance(answer, Placement):
        event("fallback")
        assert found == answer
        golden = {x.name for x in locations if x.golden}
        for disk, asked in zip(answer.disks, wish.disks, strict=True):
            assert disk.fallback == (asked.template is not None and asked.template.golden)
            assert disk.parent_location in {None, disk.location}
            assert disk.location not in golden
