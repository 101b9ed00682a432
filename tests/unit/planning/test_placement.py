"""Whole plans: hosts, golden parents, several disks, allocators and the reasons when nothing fits."""

import random as stdlib_random
from dataclasses import replace
from typing import Any

import pytest

from goldpool.planning.placement import (
    Assumed,
    Avoid,
    BoundDisk,
    DiskPlacement,
    HostView,
    Placement,
    RejectionReason,
    Unplaceable,
    firstfit,
    firstfitleastconsumed,
    random,
    userdispersing,
)
from tests.unit.planning.builders import (
    NODE,
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_host,
    a_location,
    a_parent_view,
    a_shared_location,
    a_template,
    a_wish,
    placed,
    plan,
    refused,
)


def test_a_child_goes_to_an_ordinary_pool_and_its_parent_to_a_golden_one() -> None:
    answer = plan(a_wish(a_golden_disk()), [a_location(), a_golden_location()])
    assert answer == Placement(
        (DiskPlacement("root", "std-a.node-1", "std-a", "node-1", "golden-ssd.node-1", "golden-ssd"),),
        ("node-1",),
    )


def test_an_empty_disk_has_no_parent() -> None:
    assert placed(plan(a_wish(), [a_location()])).disks[0].parent_location is None


def test_the_parent_of_an_ordinary_template_lies_beside_its_child() -> None:
    disk = a_disk(template=a_template(golden=False))
    [found] = placed(plan(a_wish(disk), [a_location(), a_golden_location()])).disks
    assert (found.location, found.parent_location, found.parent_pool) == (
        "std-a.node-1",
        "std-a.node-1",
        "std-a",
    )


def test_a_host_must_reach_both_pools() -> None:
    locations = [a_location(host="node-1"), a_location(host="node-2"), a_golden_location(host="node-2")]
    assert placed(plan(a_wish(a_golden_disk()), locations)).hosts == ("node-2",)


def test_shared_pools_leave_the_host_to_the_scheduler() -> None:
    locations = [
        a_shared_location(hosts=("node-1", "node-2", "node-3")),
        a_shared_location("gold", hosts=("node-2", "node-3", "node-4"), golden=True),
    ]
    answer = placed(plan(a_wish(a_golden_disk()), locations))
    assert answer.hosts == ("node-2", "node-3")
    assert answer.disks[0].host == ""


def test_a_shared_root_runs_where_a_host_scoped_parent_is_ready() -> None:
    hosts = [f"node-{i}" for i in range(5)]
    golden = [a_golden_location(host=h) for h in hosts]
    answer = plan(
        a_wish(a_golden_disk()), [a_shared_location(hosts=hosts), *golden], parents=[a_parent_view(golden[3])]
    )
    assert placed(answer).hosts == ("node-3",)
    assert placed(answer).disks[0].parent_location == "golden-ssd.node-3"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (a_host(ready=False), RejectionReason.HOST_NOT_READY),
        (a_host(schedulable=False), RejectionReason.HOST_CORDONED),
        (a_host(tainted=True), RejectionReason.HOST_TAINTED),
        (a_host(labels={"zone": "b"}), RejectionReason.NODE_SELECTOR_MISMATCH),
        (a_host(labels={"zone": "a"}), None),
    ],
)
def test_a_host_that_may_not_run_the_machine_takes_its_locations_with_it(
    host: HostView, expected: RejectionReason | None
) -> None:
    selector = {"zone": "a"} if host.labels else {}
    answer = plan(a_wish(node_selector=selector), [a_location()], hosts=[host])
    if expected is None:
        assert placed(answer).hosts == (NODE,)
    else:
        assert [r.reason for r in refused(answer).rejections] == [expected]


def test_avoided_hosts_and_locations_are_skipped() -> None:
    locations = [a_location(host="node-1"), a_location(host="node-2"), a_location(host="node-3")]
    avoid = Avoid(locations=frozenset({"std-a.node-1"}), hosts=frozenset({"node-3"}))
    assert placed(plan(a_wish(avoid=avoid), locations)).hosts == ("node-2",)


@pytest.mark.parametrize("seed", range(5))
def test_bound_disks_and_their_parents_restrict_the_hosts(seed: int) -> None:
    locations = [a_location(host=h) for h in ("node-1", "node-2")]
    golden = [a_golden_location(host=h) for h in ("node-1", "node-2")]
    data = BoundDisk("data", locations[1])
    assert placed(plan(a_wish(bound=(data,)), locations, seed=seed)).hosts == ("node-2",)
    shared = a_shared_location(hosts=("node-1", "node-2"))
    child = BoundDisk("data", shared, golden[0].name)
    assert placed(plan(a_wish(bound=(child,)), [shared, *golden], seed=seed)).hosts == ("node-1",)


def test_without_disks_the_answer_is_where_the_machine_may_run() -> None:
    location = a_location()
    wish = replace(a_wish(bound=(BoundDisk("root", location),)), disks=())
    assert plan(wish, [location]) == Placement((), (NODE,))
    cordoned = refused(plan(wish, [location], hosts=[a_host(schedulable=False), a_host("node-2")]))
    assert {r.location: r.reason for r in cordoned.rejections} == {
        NODE: RejectionReason.HOST_CORDONED,
        "node-2": RejectionReason.OUT_OF_REACH,
    }
    assert cordoned.sentence().startswith("0 of 2 hosts fit: ")


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        (BoundDisk("data", None), RejectionReason.LOCATION_NOT_READY),
        (BoundDisk("data", a_location(), "gone"), RejectionReason.LOCATION_NOT_READY),
        (BoundDisk("data", a_location(ready=False)), RejectionReason.LOCATION_NOT_READY),
        (BoundDisk("data", a_location(enabled=False)), None),  # nothing new, but what is there runs
    ],
)
def test_a_bound_disk_that_is_not_at_hand_makes_the_machine_wait(
    disk: BoundDisk, reason: RejectionReason | None
) -> None:
    answer = plan(a_wish(bound=(disk,)), [a_location("other")])
    assert (answer.counts()[0][0] if isinstance(answer, Unplaceable) else None) == reason


def test_disks_of_one_machine_must_fit_together() -> None:
    disks = (a_disk("root", size_bytes=500), a_disk("data", size_bytes=400))
    [one] = refused(plan(a_wish(*disks), [a_location()])).rejections
    assert one.reason == RejectionReason.NOT_TOGETHER
    two = placed(plan(a_wish(*disks), [a_location(), a_location("std-b")]))
    assert {d.pool for d in two.disks} == {"std-a", "std-b"}


def test_an_earlier_disk_gives_way_when_only_that_lets_all_fit() -> None:
    """Alone, root prefers the larger location; but data fits nowhere else."""
    locations = [
        a_location("large", total_bytes=10_000),
        a_location("small", total_bytes=1000, allocated_bytes=400),
    ]
    disks = (a_disk("root", size_bytes=400), a_disk("data", size_bytes=8400))
    found = placed(plan(a_wish(*disks), locations))
    assert [d.pool for d in found.disks] == ["small", "large"]


def test_a_third_disk_still_sees_the_first() -> None:
    locations = [a_location(), a_location("std-b")]
    disks = (
        a_disk("root", size_bytes=500, pool="std-a"),
        a_disk("data", size_bytes=10, pool="std-b"),
        a_disk("logs", size_bytes=400, pool="std-a"),
    )
    assert refused(plan(a_wish(*disks), locations)).counts()[0][0] == RejectionReason.NOT_TOGETHER


def test_a_place_that_was_tried_and_left_leaves_no_parent_behind() -> None:
    """root first tries large and moves on to small; its parent at large was only a thought, so data must bring one."""
    locations = [
        a_location("large", total_bytes=10_000),
        a_location("small", total_bytes=1000, allocated_bytes=400),
    ]
    child = a_template(golden=False)
    disks = (
        a_disk("root", template=child),
        a_disk("data", size_bytes=150, pool="large"),
        a_disk("more", size_bytes=8300, template=child),
    )
    assert refused(plan(a_wish(*disks), locations)).counts()[0][0] == RejectionReason.NOT_TOGETHER


def test_two_disks_of_one_template_charge_its_parent_once() -> None:
    disks = (a_golden_disk("root"), a_golden_disk("data"))
    locations = [a_location(), a_golden_location(total_bytes=150)]  # room for one parent of 100
    assert len(placed(plan(a_wish(*disks), locations)).disks) == 2
    others = (a_golden_disk("root"), a_disk("data", template=a_template("other")))
    assert refused(plan(a_wish(*others), locations)).counts()[0][0] == RejectionReason.NOT_TOGETHER


def test_the_most_free_fraction_wins_whatever_the_size() -> None:
    locations = [
        a_location("big", total_bytes=100_000, allocated_bytes=50_000),
        a_location("little", total_bytes=1000, allocated_bytes=100),
    ]
    assert placed(plan(a_wish(a_disk(size_bytes=10)), locations)).disks[0].pool == "little"


def test_what_is_not_known_ranks_last_and_is_not_dropped() -> None:
    unknown = a_location("unknown", total_bytes=0)
    nearly_full = a_location("nearly-full", allocated_bytes=750)
    assert placed(plan(a_wish(), [unknown, nearly_full])).disks[0].pool == "nearly-full"
    assert placed(plan(a_wish(), [unknown])).disks[0].pool == "unknown"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("failed", "absent"), 1),
        (("absent", "coming"), 1),
        (("ready", "coming"), 0),
        (("failed", "coming"), 1),
    ],
)
def test_among_equals_the_location_nearest_to_a_ready_parent_wins(
    states: tuple[str, str], expected: int, seed: int
) -> None:
    locations = [a_location(host=h) for h in ("node-1", "node-2")]
    golden = [a_golden_location(host=h) for h in ("node-1", "node-2")]
    parents = [
        a_parent_view(where, ready=state == "ready", failed=state == "failed")
        for where, state in zip(golden, states, strict=True)
        if state != "absent"
    ]
    answer = plan(a_wish(a_golden_disk()), [*locations, *golden], parents=parents, seed=seed)
    assert placed(answer).hosts == (f"node-{expected + 1}",)
    beside = [replace(p, location=p.location.replace("golden-ssd", "std-a")) for p in parents]
    answer = plan(a_wish(a_disk(template=a_template(golden=False))), locations, parents=beside, seed=seed)
    assert placed(answer).hosts == (f"node-{expected + 1}",)


def test_allocators() -> None:
    locations = [
        a_location("a", allocated_bytes=500),
        a_location("b", allocated_bytes=100),
        a_location("c", allocated_bytes=200),
    ]

    def pool(**options: Any) -> str:
        wish = a_wish(namespace_volumes={"a.node-1": 2, "b.node-1": 2, "c.node-1": 1})
        return placed(plan(wish, locations, **options)).disks[0].pool

    assert pool(allocator=firstfit) == "a"
    assert pool(allocator=firstfitleastconsumed) == "b"
    assert pool(allocator=userdispersing) == "c"
    assert {pool(allocator=random, seed=seed) for seed in range(40)} == {"a", "b", "c"}


def test_equals_are_shuffled_by_the_seed_and_by_nothing_else() -> None:
    locations = [a_location(host=f"node-{i}") for i in range(8)]

    def host(seed: int) -> str:
        stdlib_random.Random(seed).shuffle(locations)
        return placed(plan(a_wish(), locations, seed=seed % 20)).hosts[0]

    assert [host(n) for n in range(20)] == [host(n + 20) for n in range(20)]
    assert len({host(n) for n in range(20)}) > 3


def test_a_disk_goes_to_the_pool_and_host_it_names() -> None:
    locations = [
        a_location(host=h, allocated_bytes=n * 100) for n, h in enumerate(("node-1", "node-2", "node-3"))
    ]
    wish = a_wish(a_disk("data", pool="std-a", host="node-3"))
    assert placed(plan(wish, locations)).disks == (DiskPlacement("data", "std-a.node-3", "std-a", "node-3"),)
    answer = refused(plan(wish, [replace(loc, free_bytes=0) for loc in locations]))
    assert {r.location: r.reason for r in answer.rejections}["std-a.node-3"] == RejectionReason.USED_LIMIT


def test_a_disk_on_a_shared_pool_names_no_host() -> None:
    found = placed(plan(a_wish(a_disk("data", pool="nfs")), [a_shared_location()]))
    assert found.disks == (DiskPlacement("data", "nfs.", "nfs", ""),)


@pytest.mark.parametrize(
    ("state", "allocated", "fetching"),
    [("absent", 100, 50), ("failed", 0, 50), ("coming", 0, 0), ("ready", 0, 0)],
)
def test_a_placement_reserves_what_is_not_charged_yet(state: str, allocated: int, fetching: int) -> None:
    """A failed parent has an object, so its room is promised already, but its file is written anew, once."""
    ordinary, golden = a_location(), a_golden_location()
    parents = [a_parent_view(golden, ready=state == "ready", failed=state == "failed")]
    wish = a_wish(a_golden_disk("root", iops=3), a_golden_disk("data"))
    known = [] if state == "absent" else parents
    answer = placed(plan(wish, [ordinary, golden], parents=known))
    after = Assumed.of([ordinary, golden], known).after(wish, answer)
    assert after.locations[golden.name] == replace(golden, allocated_bytes=allocated, fetching_bytes=fetching)
    assert after.locations[ordinary.name] == replace(ordinary, allocated_bytes=200, allocated_iops=3)
    assert after.parents["debian-12", golden.name].ready == (state == "ready")
    assert not after.parents["debian-12", golden.name].failed
