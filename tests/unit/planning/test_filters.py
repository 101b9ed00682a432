"""Each filter alone: the boundary, the reason and the numbers a person reads."""

from collections.abc import Callable
from typing import Any

import pytest

from goldpool.planning.filters import (
    GOLDEN_FILTERS,
    ORDINARY_FILTERS,
    Filter,
    above_allocated_limit,
    above_used_limit,
    above_used_limit_for_a_fetch,
    no_room_for_parent,
    other_than_wished_pool,
    out_of_iops,
    reject,
)
from goldpool.planning.placement import Avoid, DiskWish, LocationView, RejectionReason
from goldpool.planning.rejections import Rejection
from tests.unit.planning.builders import (
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_location,
    a_parent_view,
    a_shared_location,
    a_template,
    an_ask,
)


def reason_of(rejection: Rejection | None) -> RejectionReason | None:
    return rejection.reason if rejection else None


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, None),
        (849, None),
        (850, RejectionReason.USED_LIMIT),  # the limit itself is full
        (851, RejectionReason.USED_LIMIT),
        (1000, RejectionReason.USED_LIMIT),
    ],
)
def test_a_location_is_full_at_its_used_limit(used: int, expected: RejectionReason | None) -> None:
    assert reason_of(above_used_limit(a_location(used=used), an_ask())) == expected


@pytest.mark.parametrize(
    ("allocated", "expected"),
    [
        (0, None),
        (749, None),
        (750, None),  # with 100 more exactly at the limit, which is still allowed
        (751, RejectionReason.ALLOCATED_LIMIT),
        (1000, RejectionReason.ALLOCATED_LIMIT),
    ],
)
def test_a_location_may_promise_up_to_its_allocated_limit(
    allocated: int, expected: RejectionReason | None
) -> None:
    location = a_location(allocated_bytes=allocated)
    assert reason_of(above_allocated_limit(location, an_ask(a_disk(size_bytes=100)))) == expected


@pytest.mark.parametrize(
    ("capacity", "total", "overprovisioning", "allocated", "fits"),
    [
        (None, 1000, 200, 1600, True),  # 1,700 of 2,000 is 85 %
        (None, 1000, 200, 1601, False),
        (500, 1000, 200, 750, True),  # the declared capacity counts, not the disk
        (500, 1000, 200, 751, False),
        (2000, 1000, 100, 1600, True),
        (None, 0, 200, 10**15, True),  # an unknown figure never excludes
        (0, 1000, 200, 0, False),  # a declared 0 is a figure
    ],
)
def test_the_allocated_limit_is_of_the_overprovisioned_capacity(
    capacity: int | None, total: int, overprovisioning: int, allocated: int, *, fits: bool
) -> None:
    location = a_location(
        capacity_bytes=capacity,
        total_bytes=total,
        overprovisioning_percent=overprovisioning,
        allocated_bytes=allocated,
    )
    assert (above_allocated_limit(location, an_ask(a_disk(size_bytes=100))) is None) == fits


def test_an_unknown_size_passes_the_used_limit() -> None:
    assert above_used_limit(a_location(total_bytes=0), an_ask()) is None


@pytest.mark.parametrize(
    ("capacity", "allocated", "asked", "fits"),
    [(None, 10**9, 10**9, True), (1000, 900, 100, True), (1000, 900, 101, False), (1000, 1000, 0, True)],
)
def test_iops_may_be_promised_to_the_last_one(
    capacity: int | None, allocated: int, asked: int, *, fits: bool
) -> None:
    location = a_location(capacity_iops=capacity, allocated_iops=allocated)
    assert (out_of_iops(location, an_ask(a_disk(iops=asked))) is None) == fits


@pytest.mark.parametrize(
    ("location", "disk", "avoid", "expected"),
    [
        (a_location(enabled=False), a_disk(), Avoid(), RejectionReason.POOL_DISABLED),
        (a_location(ready=False), a_disk(), Avoid(), RejectionReason.LOCATION_NOT_READY),
        (a_location(hosts=frozenset()), a_disk(), Avoid(), RejectionReason.OUT_OF_REACH),
        (a_location(host="node-9"), a_disk(), Avoid(), RejectionReason.HOST_NOT_READY),
        (a_location(), a_disk(tags=frozenset({"ssd"})), Avoid(), RejectionReason.WITHOUT_TAGS),
        (a_location(tags=frozenset({"ssd", "x"})), a_disk(tags=frozenset({"ssd"})), Avoid(), None),
        (a_location(), a_disk(), Avoid(locations=frozenset({"std-a.node-1"})), RejectionReason.AVOIDED),
        (a_location(), a_disk(pool="std-b"), Avoid(), RejectionReason.WRONG_POOL),
        (a_location(), a_disk(pool="std-a"), Avoid(), None),
        (a_golden_location(), a_golden_disk(parent_pool="other"), Avoid(), RejectionReason.WRONG_POOL),
        (a_golden_location(), a_golden_disk(pool="std-a"), Avoid(), None),
        (
            a_golden_location(),
            a_golden_disk(tags=frozenset({"ssd"})),
            Avoid(),
            None,
        ),  # tags: disk's pool only
    ],
)
def test_state_reach_tags_and_wishes(
    location: LocationView, disk: DiskWish, avoid: Avoid, expected: RejectionReason | None
) -> None:
    assert reason_of(reject(location, an_ask(disk, avoid=avoid))) == expected


def test_the_first_objection_in_the_order_of_the_design_is_the_reason() -> None:
    """Each fault alone, worst order: mending them one by one walks through the policy."""
    faults: dict[RejectionReason, dict[str, Any]] = {
        RejectionReason.WRONG_POOL: {"pool": "std-a"},
        RejectionReason.POOL_DISABLED: {"enabled": True},
        RejectionReason.NAMESPACE_NOT_ALLOWED: {"namespaces": frozenset()},
        RejectionReason.LOCATION_NOT_READY: {"ready": True},
        RejectionReason.OUT_OF_REACH: {"hosts": frozenset({"node-1"})},
        RejectionReason.WITHOUT_TAGS: {"tags": frozenset({"ssd"})},
        RejectionReason.AVOIDED: {"name": "fine"},
        RejectionReason.USED_LIMIT: {"used": 0},
        RejectionReason.ALLOCATED_LIMIT: {"allocated_bytes": 0},
        RejectionReason.IOPS: {"capacity_iops": None},
    }
    broken: dict[str, Any] = {
        "pool": "std-b", "name": "bad", "enabled": False, "ready": False, "hosts": frozenset(), "tags": frozenset(),
        "used": 1000, "allocated_bytes": 1000, "capacity_iops": 1, "namespaces": frozenset({"team-b"}),
    }  # fmt: skip
    ask = an_ask(
        a_disk(pool="std-a", tags=frozenset({"ssd"}), iops=10), avoid=Avoid(locations=frozenset({"bad"}))
    )
    heard = []
    for mend in faults.values():
        heard.append(reason_of(reject(a_location(**broken), ask)))
        broken |= mend
    assert heard == list(faults)
    assert reject(a_location(**broken), ask) is None


@pytest.mark.parametrize("location", [a_location, a_golden_location])
@pytest.mark.parametrize(
    ("serves", "namespace", "allowed"),
    [
        ((), "team-a", True),
        (("team-a", "team-b"), "team-b", True),
        (("team-a",), "team-b", False),
        (("team-a",), "", False),
    ],
)
def test_a_pool_serves_the_namespaces_it_names_or_all(
    location: Callable[..., LocationView], serves: tuple[str, ...], namespace: str, *, allowed: bool
) -> None:
    ask = an_ask(a_golden_disk(), namespace=namespace)
    rejection = reject(location(namespaces=frozenset(serves)), ask)
    assert reason_of(rejection) == (None if allowed else RejectionReason.NAMESPACE_NOT_ALLOWED)


@pytest.mark.parametrize(
    ("allocated", "virtual", "file", "unknown", "fits"),
    [
        (750, 100, 50, 0, True),
        (751, 100, 50, 0, False),
        (801, None, 50, 0, False),  # without a virtual size the file's counts
        (800, None, 50, 0, True),
        (651, None, None, 200, False),  # nothing known: the largest known template
        (650, None, None, 200, True),
        (850, None, None, 0, True),
        (851, None, None, 0, False),  # already over its limit: nothing more, however small
    ],
)
def test_a_parent_not_yet_there_reserves_its_known_or_largest_size(
    allocated: int, virtual: int | None, file: int | None, unknown: int, *, fits: bool
) -> None:
    disk = a_disk(template=a_template(virtual_bytes=virtual, file_bytes=file))
    location = a_golden_location(allocated_bytes=allocated)
    ask = an_ask(disk, unknown_parent_bytes=unknown)
    assert (no_room_for_parent(location, ask) is None) == fits


def test_a_golden_templates_parent_asks_nothing_of_its_childs_pool() -> None:
    ask = an_ask(a_golden_disk(size_bytes=100, template=a_template(virtual_bytes=800, file_bytes=800)))
    assert reject(a_location(used=300, allocated_bytes=750), ask) is None


@pytest.mark.parametrize(
    ("used", "fetching", "fits"), [(500, 0, True), (501, 0, False), (400, 100, True), (400, 101, False)]
)
def test_a_parents_file_must_fit_what_is_free_and_not_spoken_for(
    used: int, fetching: int, *, fits: bool
) -> None:
    disk = a_disk(template=a_template(virtual_bytes=1, file_bytes=500))
    location = a_golden_location(used=used, fetching_bytes=fetching)
    assert (no_room_for_parent(location, an_ask(disk)) is None) == fits


@pytest.mark.parametrize(
    ("ready", "failed", "expected"),
    [
        (True, False, None),
        (False, False, None),  # on its way: charged and let in already
        (False, True, RejectionReason.USED_LIMIT),  # starts anew
        (None, None, RejectionReason.USED_LIMIT),
    ],
)
def test_a_full_golden_location_still_serves_the_parents_it_has(
    ready: bool | None, failed: bool | None, expected: RejectionReason | None
) -> None:
    full = a_golden_location(used=1000, allocated_bytes=1000)
    parents = [] if ready is None else [a_parent_view(full, ready=ready, failed=failed)]
    assert reason_of(reject(full, an_ask(a_golden_disk(), parents=parents))) == expected


def test_a_parent_beside_its_child_is_charged_with_it() -> None:
    disk = a_disk(size_bytes=400, template=a_template(golden=False, virtual_bytes=451))
    location = a_location()
    assert reason_of(reject(location, an_ask(disk))) == RejectionReason.NO_ROOM_FOR_PARENT
    there = a_parent_view(location)
    assert reject(location, an_ask(disk, parents=[there])) is None
    assert reject(a_location(total_bytes=1002), an_ask(disk)) is None


def test_a_parent_beside_its_child_must_be_in_the_pool_wished_for_it() -> None:
    disk = a_disk(template=a_template(golden=False), parent_pool="std-b")
    assert reason_of(other_than_wished_pool(a_location("std-a"), an_ask(disk))) == RejectionReason.WRONG_POOL
    assert other_than_wished_pool(a_location("std-b"), an_ask(disk)) is None


@pytest.mark.parametrize(
    ("objects", "location", "disk", "detail"),
    [
        (above_used_limit, a_location(used=912), a_disk(), "std-a on node-1: 91 % used, limit 85 %"),
        (above_used_limit, a_shared_location(used=850), a_disk(), "nfs: 85 % used, limit 85 %"),
        (
            above_allocated_limit,
            a_location(allocated_bytes=751),
            a_disk(),
            "std-a on node-1: 86 % of 1000 B promised with 100 B more, limit 85 %",
        ),
        (above_allocated_limit, a_location(capacity_bytes=0), a_disk(), "std-a on node-1: its capacity is 0"),
        (
            out_of_iops,
            a_location(capacity_iops=1000, allocated_iops=900),
            a_disk(iops=200),
            "std-a on node-1: 900 of 1000 promised, 200 asked",
        ),
        (
            no_room_for_parent,
            a_golden_location(used=980, fetching_bytes=5),
            a_golden_disk(),
            "golden-ssd on node-1: 50 B to fetch, 20 B free, 5 B on their way",
        ),
    ],
)
def test_details_carry_the_numbers(
    objects: Filter, location: LocationView, disk: DiskWish, detail: str
) -> None:
    rejection = objects(location, an_ask(disk))
    assert rejection is not None
    assert rejection.detail == detail


def test_tags_and_iops_are_no_matter_of_golden_pools() -> None:
    assert set(ORDINARY_FILTERS) - set(GOLDEN_FILTERS) >= {out_of_iops, above_used_limit}
    assert above_used_limit_for_a_fetch in GOLDEN_FILTERS
