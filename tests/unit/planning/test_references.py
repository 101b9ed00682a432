"""Who uses what: the answer behind every deletion guard."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.planning.references import (
    inserts_parent,
    users_of_parent,
    users_of_pool,
    users_of_template,
    uses_parent,
)
from tests.unit.planning.builders import a_machine, a_parent, a_volume

AT: dict[str, Any] = {"bound_to": ("std-a", "node-1"), "parent_pool": "golden-ssd"}


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (a_volume(**AT, parent="par-1"), True),
        (a_volume(**AT, parent="par-2"), False),  # it says that it uses another copy
        (a_volume(**AT), True),  # bound, not made yet
        (a_volume(bound_to=("std-a", "node-2"), parent_pool="golden-ssd"), False),
        (a_volume(bound_to=("std-a", "node-1"), parent_pool="golden-b"), False),
        (a_volume(**AT, template="other"), False),
        (a_volume(**AT, template=None), False),
        (a_volume(), False),  # not bound: a wish is no use
        (a_volume(bound_to=("nfs", ""), parent_pool="golden-ssd"), True),  # may be on any host until the status says
        (a_volume(bound_to=("nfs", ""), parent_pool="golden-ssd", parentLocation="golden-ssd.node-1"), True),
        (a_volume(bound_to=("nfs", ""), parent_pool="golden-ssd", parentLocation="golden-ssd.node-2"), False),
        # bound anew: the status is about the old binding, whose file may still lie there
        (a_volume(bound_to=("std-a", "node-2"), parent_pool="golden-ssd", parent="par-1", storageID="v-0old0old"), True),
        (a_volume(**AT, parent="par-2", storageID="v-0old0old"), True),
    ],
)  # fmt: skip
def test_a_volume_uses_a_parent_when_it_says_so_or_is_bound_where_it_will(
    volume: Volume, *, expected: bool
) -> None:
    assert uses_parent(volume, a_parent()) == expected


def test_a_shared_golden_parent_serves_every_host() -> None:
    parent = a_parent(pool="golden-nfs", host="")
    assert uses_parent(a_volume(bound_to=("std-a", "node-7"), parent_pool="golden-nfs"), parent)


def test_a_parent_beside_its_child_is_found_by_the_childs_own_pool() -> None:
    assert uses_parent(a_volume(bound_to=("std-a", "node-1")), a_parent(pool="std-a"))


def test_blockers_are_the_first_ten_in_order_and_the_total_counts_all() -> None:
    volumes = [a_volume(f"v-{i:02}", **AT, namespace=f"team-{i % 2}") for i in range(12)]
    users = users_of_parent(a_parent(), volumes, pods=["vm-web-1", "vm-web-1"], jobs=["fetch-1"])
    assert users.total == 14
    assert [b.kind for b in users.blockers] == ["Job", "Pod"] + ["Volume"] * 8
    assert [(b.namespace, b.name) for b in users.blockers[2:4]] == [("team-0", "v-00"), ("team-0", "v-02")]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (a_machine(template="debian-12"), True),  # placed, no copy named yet
        (a_machine(template="debian-12", parent="par-1"), True),
        (a_machine(template="debian-12", parent="par-2"), False),  # it says that it has another copy
        (a_machine(template="debian-12", location="golden-ssd.node-2"), False),
        (a_machine(template="other"), False),
        (a_machine(), False),  # a wish is no use
    ],
)
def test_a_machine_uses_a_parent_that_is_its_iso_or_will_be(
    machine: VirtualMachine, *, expected: bool
) -> None:
    assert inserts_parent(machine, a_parent()) == expected
    users = users_of_parent(a_parent(), [], [machine])
    assert [(b.kind, b.namespace, b.name) for b in users.blockers] == (
        [("VirtualMachine", "team-a", "web-1")] if expected else []
    )


def test_only_a_machine_that_names_a_copy_holds_up_its_deletion() -> None:
    """What has a mere place there never names a copy that is being deleted."""
    going = a_parent(deleted="2026-05-01T12:00:00Z")
    assert not inserts_parent(a_machine(template="debian-12"), going)
    assert inserts_parent(a_machine(template="debian-12", parent="par-1"), going)


def test_a_template_is_used_by_its_volumes_and_by_machines_that_have_it_as_their_iso() -> None:
    volumes = [a_volume("a"), a_volume("b", template="other")]
    machines = [a_machine(template="debian-12"), a_machine("db", template="other"), a_machine("wish")]
    users = users_of_template("debian-12", volumes, machines)
    assert [(b.kind, b.name) for b in users.blockers] == [("VirtualMachine", "web-1"), ("Volume", "a")]


def test_a_pool_is_used_by_its_volumes_and_by_children_elsewhere() -> None:
    volumes = [a_volume("a", **AT), a_volume("b", bound_to=("std-b", "node-1")), a_volume("wish")]
    assert users_of_pool("golden-ssd", volumes).total == 1
    assert users_of_pool("std-a", volumes).total == 1
    assert not users_of_pool("golden-b", volumes)


def test_a_pool_is_used_by_machines_whose_iso_is_there() -> None:
    machine = a_machine(template="debian-12")
    assert users_of_pool("golden-ssd", [], [machine]).total == 1
    assert not users_of_pool("golden-b", [], [machine])


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(("a", "b")), st.booleans()), max_size=25),
    st.integers(),
)
def test_the_order_of_volumes_never_matters(known: list[tuple[int, str, bool]], seed: int) -> None:
    volumes: list[Any] = [
        a_volume(f"v-{n}", namespace=space, **(AT if used else {})) for n, space, used in known
    ]
    before = users_of_parent(a_parent(), volumes)
    Random(seed).shuffle(volumes)
    assert users_of_parent(a_parent(), volumes) == before
    assert before.total == len({(n, space) for n, space, used in known if used})
