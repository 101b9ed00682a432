"""Where the ISO in a machine's CD drive may be: a parent that the machine's host reaches."""

from typing import Any

import pytest

from goldpool.planning.ledger import Ledger
from goldpool.planning.placement import (
    Assumed,
    Avoid,
    BoundDisk,
    DiskPlacement,
    ParentView,
    Placement,
    RejectionReason,
    firstfit,
)
from goldpool.planning.promises import Promised
from goldpool.planning.views import ISO
from tests.unit.planning.builders import (
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_location,
    a_medium,
    a_parent_view,
    a_registered_template,
    a_shared_location,
    a_template,
    a_wish,
    placed,
    plan,
    refused,
)

HOSTS = ("node-1", "node-2", "node-3")
PLAIN = a_template("tools", golden=False)


def iso_of(answer: Any) -> DiskPlacement:
    [found] = [d for d in placed(answer).disks if d.disk == ISO]
    return found


def test_a_golden_iso_lies_on_a_golden_pool_and_takes_nothing_else() -> None:
    answer = plan(a_wish(a_disk(), a_medium()), [a_location(), a_golden_location()])
    assert answer == Placement(
        (
            DiskPlacement("root", "std-a.node-1", "std-a", "node-1"),
            DiskPlacement(ISO, "golden-ssd.node-1", "golden-ssd", "node-1", "golden-ssd.node-1", "golden-ssd"),
        ),
        ("node-1",),
    )  # fmt: skip
    assert answer.sentence() == "root in std-a, ISO in golden-ssd"


def test_any_other_iso_lies_on_an_ordinary_pool() -> None:
    found = iso_of(plan(a_wish(a_disk(), a_medium(template=PLAIN)), [a_location(), a_golden_location()]))
    assert found.pool == found.parent_pool == "std-a"


def test_the_machines_host_must_reach_it() -> None:
    locations = [a_location(host=h) for h in HOSTS] + [a_golden_location(host="node-2")]
    assert placed(plan(a_wish(a_disk(), a_medium()), locations)).hosts == ("node-2",)


def test_with_all_disks_bound_it_is_placed_alone_and_near_them() -> None:
    root = a_location(host="node-3")
    locations = [root, *(a_golden_location(host=h) for h in HOSTS)]
    answer = plan(a_wish(a_medium(), bound=(BoundDisk("root", root),)), locations)
    assert iso_of(answer).location == "golden-ssd.node-3"


@pytest.mark.parametrize("allocator", [{}, {"allocator": firstfit}])
def test_where_it_is_already_goes_first_whatever_else_is_there(allocator: dict[str, Any]) -> None:
    full, empty = a_golden_location("golden-b", allocated_bytes=600), a_golden_location("golden-a")
    ready = a_parent_view(full, "tools")
    answer = plan(a_wish(a_disk(), a_medium()), [a_location(), full, empty], parents=[ready], **allocator)
    assert iso_of(answer).pool == "golden-b"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("template", [a_template("tools"), PLAIN])
def test_among_equal_hosts_one_that_has_it_goes_first(seed: int, template: Any) -> None:
    pools = [*(a_location(host=h) for h in HOSTS), *(a_golden_location(host=h) for h in HOSTS)]
    there = next(x for x in pools if x.golden is template.golden and x.host == "node-2")
    wish = a_wish(a_disk(), a_medium(template=template))
    answer = plan(wish, pools, parents=[a_parent_view(there, "tools")], seed=seed)
    assert placed(answer).hosts == ("node-2",)


@pytest.mark.parametrize("seed", range(6))
def test_among_equal_shared_pools_one_whose_hosts_have_it_goes_first(seed: int) -> None:
    golden = [a_golden_location(host=h) for h in HOSTS]
    shared = [a_shared_location("nfs-a", HOSTS[:1]), a_shared_location("nfs-b", HOSTS[1:])]
    there = a_parent_view(golden[2], "tools")
    answer = placed(plan(a_wish(a_disk(), a_medium()), [*golden, *shared], parents=[there], seed=seed))
    assert (answer.disks[0].pool, answer.hosts) == ("nfs-b", ("node-3",))


def test_it_is_fetched_where_more_is_free_for_the_disk() -> None:
    pools = [*(a_location(host=h) for h in HOSTS[:2]), *(a_golden_location(host=h) for h in HOSTS[:2])]
    pools[1] = a_location(host="node-2", allocated_bytes=300)
    answer = plan(a_wish(a_disk(), a_medium()), pools, parents=[a_parent_view(pools[3], "tools")])
    assert placed(answer).hosts == ("node-1",)


def test_over_a_shared_disk_the_host_is_one_that_has_it() -> None:
    golden = [a_golden_location(host=h) for h in HOSTS]
    answer = plan(
        a_wish(a_disk(), a_medium()),
        [a_shared_location(hosts=HOSTS), *golden],
        parents=[a_parent_view(golden[1], "tools")],
    )
    assert placed(answer).hosts == ("node-2",)
    assert placed(answer).disks[0].host == ""


def test_all_shared_leaves_the_host_to_the_scheduler() -> None:
    golden = a_shared_location("golden-nfs", hosts=("node-2", "node-3"), golden=True)
    answer = placed(plan(a_wish(a_disk(), a_medium()), [a_shared_location(hosts=HOSTS), golden]))
    assert answer.hosts == ("node-2", "node-3")


@pytest.mark.parametrize(
    ("golden", "changes", "reason"),
    [
        (a_golden_location(enabled=False), {}, RejectionReason.POOL_DISABLED),
        (a_golden_location(ready=False), {}, RejectionReason.LOCATION_NOT_READY),
        (a_golden_location(used=900), {}, RejectionReason.USED_LIMIT),
        (a_golden_location(allocated_bytes=800), {}, RejectionReason.NO_ROOM_FOR_PARENT),
        (a_golden_location(namespaces=frozenset({"b"})), {}, RejectionReason.NAMESPACE_NOT_ALLOWED),
        (
            a_golden_location(),
            {"avoid": Avoid(locations=frozenset({"golden-ssd.node-1"}))},
            RejectionReason.AVOIDED,
        ),
    ],
)
def test_a_location_that_cannot_take_it_says_why(golden: Any, changes: Any, reason: RejectionReason) -> None:
    answer = refused(plan(a_wish(a_disk(), a_medium(), **changes), [a_location(), golden]))
    assert answer.counts()[0][:2] == (reason, 1)
    assert answer.sentence().startswith("0 of 1 locations fit the ISO: ".replace("locations", "location"))


def test_what_is_there_asks_no_room_of_a_full_golden_pool() -> None:
    golden = a_golden_location(used=900, allocated_bytes=1000)
    answer = plan(
        a_wish(a_disk(), a_medium()), [a_location(), golden], parents=[a_parent_view(golden, "tools")]
    )
    assert iso_of(answer).pool == "golden-ssd"


def test_disk_and_iso_must_fit_together_on_an_ordinary_pool() -> None:
    disk, iso = a_disk(size_bytes=800), a_medium(template=PLAIN)
    assert refused(plan(a_wish(disk, iso), [a_location()])).counts()[0][0] == RejectionReason.NOT_TOGETHER
    placed(plan(a_wish(a_disk(size_bytes=700), iso), [a_location()]))


def test_it_reserves_its_copy_and_not_a_byte_more() -> None:
    locations = [a_location(), a_golden_location()]
    wish = a_wish(a_disk(), a_medium())
    after = Assumed.of(locations, []).after(wish, placed(plan(wish, locations)))
    golden = after.locations["golden-ssd.node-1"]
    assert (golden.allocated_bytes, golden.fetching_bytes, golden.unsized) == (100, 50, 0)
    assert after.parents["tools", "golden-ssd.node-1"] == ParentView(
        "tools", "golden-ssd.node-1", ready=False
    )


def test_where_no_golden_pool_serves_a_preferred_one_falls_back_to_an_ordinary_one() -> None:
    wish = a_wish(a_golden_disk(), a_medium(), may_fall_back=True)
    answer = placed(plan(wish, [a_location()]))
    assert iso_of(answer).fallback
    assert answer.sentence() == (
        "root in std-a with its parent beside it as a fallback, ISO in std-a as a fallback"
    )
    assert refused(plan(a_wish(a_disk(), a_medium()), [a_location()]))


# -- promised until it is observed


def test_a_copy_that_machines_need_is_promised_once_until_it_has_an_object() -> None:
    ledger, spot = Ledger(), ("tools", "golden-ssd.node-1")
    ledger.put_template("tools", a_registered_template("tools", size=50, virtualSize=100))
    ledger.put_machine(("team-a", "web-1"), spot)
    ledger.put_machine(("team-a", "web-2"), spot)
    assert ledger.at("golden-ssd.node-1") == Promised(100, 0, 50)
    assert ledger.parent_at(spot) == ParentView(*spot, ready=False)
    ledger.put_machine(("team-a", "web-1"), None)
    assert ledger.at("golden-ssd.node-1") == Promised(100, 0, 50)
    ledger.put_machine(("team-a", "web-2"), ("tools", "golden-ssd.node-2"))
    assert ledger.at("golden-ssd.node-1") == Promised()
    assert ledger.parent_at(spot) is None
    assert ledger.at("golden-ssd.node-2") == Promised(100, 0, 50)
