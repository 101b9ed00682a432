"""Where each object stands in the tree, and what its line says."""

from collections.abc import Iterator, Sequence

import pytest

from goldpool.cli.forest import Branch, Health, tree
from goldpool.cli.inventory import Inventory
from tests.unit.cli.builders import a_machine, a_parent, a_pool, a_template, a_volume, ready, stalled

GOLDEN = a_pool("golden")
STANDARD = a_pool("standard", golden=False)


def paths(branches: Sequence[Branch], above: str = "") -> Iterator[str]:
    for branch in branches:
        path = f"{above} > {branch.name}".removeprefix(" > ")
        yield path
        yield from paths(branch.below, path)


def the(branches: Sequence[Branch], name: str) -> Branch:
    """The one branch of that name."""
    found = [b for b in _all(branches) if b.name == name]
    assert len(found) == 1, found
    return found[0]


def _all(branches: Sequence[Branch]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from _all(branch.below)


@pytest.mark.parametrize(
    ("inventory", "expected"),
    [
        (Inventory(), []),
        (Inventory(pools=[STANDARD, GOLDEN]), ["golden", "standard"]),
        (  # a child hangs on its parent, not on the pool that holds it
            Inventory(
                pools=[STANDARD, GOLDEN],
                templates=[a_template()],
                parents=[a_parent()],
                volumes=[a_volume(parent="debian-1")],
                machines=[a_machine()],
            ),
            [
                "golden",
                "golden > debian-1",
                "golden > debian-1 > team/web-root",
                "golden > debian-1 > team/web-root > team/web",
                "standard",
            ],
        ),
        (  # an empty disk hangs on its pool, and its machine is shown below each of its volumes
            Inventory(
                pools=[STANDARD, GOLDEN],
                parents=[a_parent()],
                volumes=[a_volume(parent="debian-1"), a_volume("data", template=None)],
                machines=[a_machine(attached=("data",))],
            ),
            [
                "golden",
                "golden > debian-1",
                "golden > debian-1 > team/web-root",
                "golden > debian-1 > team/web-root > team/web",
                "standard",
                "standard > team/data",
                "standard > team/data > team/web",
            ],
        ),
        (  # a parent beside its children, where no golden pool could serve
            Inventory(
                pools=[STANDARD],
                parents=[a_parent(pool="standard")],
                volumes=[a_volume(parent="debian-1")],
            ),
            ["standard", "standard > debian-1", "standard > debian-1 > team/web-root"],
        ),
        (  # a child whose parent's object is gone is still to be seen
            Inventory(pools=[STANDARD], volumes=[a_volume(parent="gone")]),
            ["standard", "standard > team/web-root"],
        ),
        (
            Inventory(pools=[STANDARD], parents=[a_parent()], volumes=[a_volume(parent="debian-1", pool="gone")]),
            ["standard", "not placed", "not placed > debian-1", "not placed > debian-1 > team/web-root"],
        ),
        (
            Inventory(volumes=[a_volume(pool=None)], machines=[a_machine(), a_machine("new", root=None)]),
            ["not placed", "not placed > team/web-root", "not placed > team/web-root > team/web",
             "not placed > team/new"],
        ),
        (  # equal names in two namespaces are two volumes
            Inventory(
                pools=[STANDARD],
                volumes=[a_volume(template=None), a_volume(template=None, namespace="other")],
                machines=[a_machine()],
            ),
            ["standard", "standard > other/web-root", "standard > team/web-root",
             "standard > team/web-root > team/web"],
        ),
        (Inventory(templates=[a_template()]), ["templates without a copy", "templates without a copy > debian"]),
    ],
)  # fmt: skip
def test_everything_has_its_place(inventory: Inventory, expected: list[str]) -> None:
    assert list(paths(tree(inventory))) == expected


def test_golden_only_leaves_out_what_hangs_on_no_golden_pool() -> None:
    everything = Inventory(
        pools=[STANDARD, GOLDEN],
        templates=[a_template()],
        parents=[a_parent()],
        volumes=[a_volume(parent="debian-1"), a_volume("data", template=None)],
        machines=[a_machine("new", root=None)],
    )
    assert list(paths(tree(everything, golden_only=True))) == [
        "golden", "golden > debian-1", "golden > debian-1 > team/web-root",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("machine", "state", "health"),
    [
        (a_machine(), "Running", Health.GOOD),
        (a_machine(phase="Halted", conditions=[ready(reason="Halted")]), "Halted", Health.GOOD),
        (a_machine(phase=None, conditions=[]), "new", Health.BUSY),
        (a_machine(phase="Starting", conditions=[ready("False", "Starting")]), "Starting", Health.BUSY),
        (a_machine(phase="Failed", conditions=[ready("False", "Failed"), stalled()]), "Failed", Health.BAD),
        (a_machine(deleting=True), "Terminating", Health.BUSY),
    ],
)
def test_the_ready_condition_makes_the_colour(machine: object, state: str, health: Health) -> None:
    shown = the(tree(Inventory(machines=[machine])), "team/web")  # type: ignore[list-item]
    assert (shown.state, shown.health) == (state, health)


def test_what_is_not_ready_says_why() -> None:
    waiting = a_machine(
        phase="Pending", conditions=[ready("False", "NotPlaceable", "no pool has room: 3 full")]
    )
    assert "no pool has room: 3 full" in the(tree(Inventory(machines=[waiting])), "team/web").facts


def test_what_is_being_deleted_says_who_uses_it() -> None:
    users = [{"kind": "VirtualMachine", "namespace": "team", "name": f"web-{n}"} for n in range(4)]
    pool = a_pool(deleting=True, blockers=users, blockersTotal=12)
    assert the(tree(Inventory(pools=[pool])), "golden").facts[-1] == (
        "used by VirtualMachine team/web-0, VirtualMachine team/web-1, VirtualMachine team/web-2 and 9 more"
    )


@pytest.mark.parametrize(
    ("parent", "facts"),
    [
        (a_parent(size="64Mi", children=1), ("node-1", "64.0 MiB", "1 child")),
        (a_parent(host="", size="64Mi", children=3), ("shared", "64.0 MiB", "3 children")),
        (a_parent(fallback=True, children=2), ("node-1", "fallback", "2 children")),
        (
            a_parent(state="Fetching", progress="42%", done="42Mi", expected="100Mi"),
            ("node-1", "42%", "42.0 MiB of 100 MiB"),
        ),
        (
            a_parent(
                state="Failed", failure="ChecksumMismatch", conditions=[ready("False", "Failed", "not it")]
            ),
            ("node-1", "ChecksumMismatch", "not it"),
        ),
    ],
)
def test_a_parent_tells_how_far_it_is(parent: object, facts: tuple[str, ...]) -> None:
    shown = the(tree(Inventory(pools=[GOLDEN], parents=[parent])), "debian-1")  # type: ignore[list-item]
    assert shown.facts == facts


def test_a_machine_that_is_served_by_a_fallback_says_so() -> None:
    shown = the(tree(Inventory(machines=[a_machine(fallbackPool="standard")])), "team/web")
    assert "fallback: its parent is on no golden pool" in shown.facts


def test_a_pool_names_its_hosts_that_cannot_be_used() -> None:
    trouble = {
        "location": "golden-x",
        "host": "node-2",
        "reason": "NotMounted",
        "message": "/srv is no mount point",
    }
    shown = the(tree(Inventory(pools=[a_pool(exceptions=[trouble])])), "node-2")
    assert (shown.what, shown.state, shown.health) == ("location", "NotMounted", Health.BAD)


def test_machines_are_named_below_the_copy_of_their_iso() -> None:
    place = {"template": "debian", "pool": "golden", "location": "l", "parent": "debian-1"}
    found = tree(
        Inventory(
            pools=[GOLDEN, STANDARD],
            parents=[a_parent()],
            volumes=[a_volume(template=None)],
            machines=[a_machine(iso=place)],
        )
    )
    assert list(paths(found)) == [
        "golden",
        "golden > debian-1",
        "golden > debian-1 > team/web",
        "standard",
        "standard > team/web-root",
        "standard > team/web-root > team/web",
    ]
    [reader] = found[0].below[0].below
    assert (reader.what, reader.state) == ("ISO of machine", "Running")
    [machine] = found[1].below[0].below
    assert "ISO debian" in machine.facts
