"""A planner that was told of changes knows what one that was told of the outcome knows."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.planning.allocators import ALLOCATORS
from goldpool.planning.identity import location_name
from goldpool.planning.placement import DiskWish, Placement, TemplateView, Unplaceable
from goldpool.planning.planner import Planner
from goldpool.planning.snapshot import NodeView
from tests.bench.landscapes import QUESTIONS, Size, a_planner
from tests.unit.planning.builders import a_wish
from tests.unit.planning.facts import (
    Fact,
    a_told_location,
    a_told_parent,
    a_told_pool,
    a_told_template,
    a_told_volume,
    facts,
    tell,
)


def known(planner: Planner) -> object:
    planner.settle()
    return (
        {view.name: view for view in planner.index.locations},
        dict(planner.index.parents),
        dict(planner.index.nodes),
        {key: number for key, number in planner.ledger.volumes_of("team-a").items() if key},
        planner.ledger.unknown,
    )


@settings(max_examples=250, deadline=None)
@given(
    st.lists(facts(), max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
    st.randoms(use_true_random=False),
)
def test_what_happened_on_the_way_leaves_no_trace(told: list[Fact], looks: list[int], shuffle: Any) -> None:
    first, last = Planner(), Planner()
    outcome: dict[tuple[str, str], Fact] = {}
    for n, fact in enumerate(told):
        tell(first, fact)
        outcome[fact[0], fact[1]] = fact
        if n in looks:
            first.settle()
    standing = [fact for fact in outcome.values() if fact[2] is not None]
    shuffle.shuffle(standing)
    for fact in standing:
        tell(last, fact)
    assert known(first) == known(last)


def test_every_question_of_the_bench_is_answered_as_the_search_answers_it() -> None:
    for fresh in (False, True):
        for name in ALLOCATORS:
            planner = a_planner(Size(pools=20, hosts=12, share=50, fresh=fresh), allocator=name)
            for question, disks in QUESTIONS.items():
                wish = a_wish(
                    *disks, namespace="team-a", namespace_volumes=planner.ledger.volumes_of("team-a")
                )
                found = planner.place(wish, seed=5)
                assert found == planner.search(wish, seed=5, tolerations=[]), (name, question)


def a_small_planner(hosts: tuple[str, ...], **template: Any) -> Planner:
    """A golden and an ordinary pool on each host, empty, and one template."""
    planner = Planner()
    for pool in ("gold", "std"):
        planner.put_pool(pool, a_told_pool(pool, {"uid": "1", "state": "Enabled"}))
        for host in hosts:
            planner.put_node(host, NodeView(host, "u", {"rack": "1"}, True, False, (), False))
            name = location_name(pool, "1", host)
            said = {"pool": pool, "poolUID": "1", "host": host, "ready": True, "free": 1000}
            planner.put_location(name, a_told_location(name, said))
    planner.put_template("t", a_told_template("t", template))
    return planner


def a_child(host: str, **more: Any) -> dict[str, Any]:
    return {
        "size": None, "template": "t", "host": host, "pool": "std", "parentPool": "gold", "bound": True,
        "parentLocation": None, "capacity": None,
    } | more  # fmt: skip


def test_machines_of_a_template_of_unknown_size_spread_over_the_hosts() -> None:
    """The first copy's size is not known yet and nothing else's is: the disks count no bytes, but they count."""
    planner = a_small_planner(("node-1", "node-2", "node-3"))
    disk = DiskWish("root", 0, template=TemplateView("t", golden=True))
    hosts = []
    for n in range(6):
        found = planner.place(a_wish(disk), seed=n)
        assert isinstance(found, Placement)
        hosts.append(found.disks[0].host)
        planner.put_volume(("team-a", f"v{n}"), a_told_volume(f"v{n}", a_child(hosts[-1])))
    assert sorted(hosts[:3]) == sorted(hosts[3:]) == ["node-1", "node-2", "node-3"]


def test_a_fallback_is_planned_once_charged_to_its_pool_and_left_when_a_golden_pool_appears() -> None:
    planner = a_small_planner(("node-1",), virtualSize=100)
    gold, std = (location_name(pool, "1", "node-1") for pool in ("gold", "std"))
    planner.put_pool("gold", None)
    disk = DiskWish("root", 10, template=TemplateView("t", golden=True, virtual_bytes=100))
    required, preferred = a_wish(disk), a_wish(disk, may_fall_back=True)

    def chosen() -> tuple[str | None, bool, str]:
        found = planner.place(preferred, seed=1)
        assert isinstance(found, Placement)
        assert found == planner.search(preferred, seed=1, tolerations=[])
        return found.disks[0].parent_location, found.disks[0].fallback, found.why

    assert chosen()[:2] == (std, True)
    planner.put_volume(("team-a", "v"), a_told_volume("v", a_child("node-1", size=10, parentPool="std")))
    assert planner.ledger.at(std).allocated_bytes == 110
    said = {"template": "t", "location": std, "host": "node-1", "pool": "std", "state": "Ready"}
    planner.put_parent("par", a_told_parent("par", said))
    assert planner.ledger.at(std).allocated_bytes == 110
    assert "the parent par is there" in chosen()[2]
    assert isinstance(planner.place(required, seed=1), Unplaceable), "it serves no machine that requires gold"
    planner.put_pool("gold", a_told_pool("gold", {"uid": "1", "state": "Enabled"}))
    assert chosen()[:2] == (gold, False)
    assert isinstance(planner.place(required, seed=1), Placement)


def test_a_copy_that_a_binding_needs_is_on_its_way_before_it_has_an_object() -> None:
    planner = a_small_planner(("node-1",), virtualSize=100)
    planner.put_volume(("team-a", "v"), a_told_volume("v", a_child("node-1", size=10)))
    planner.settle()
    above = location_name("gold", "1", "node-1")
    assert planner.index.parents["t", above].ready is False
    assert planner.ledger.at(above).allocated_bytes == 100
    said = {"template": "t", "location": above, "host": "node-1", "pool": "gold", "state": "Ready"}
    planner.put_parent("par", a_told_parent("par", said))
    planner.settle()
    assert planner.index.parents["t", above].ready
    assert planner.ledger.at(above).allocated_bytes == 100, (
        "its copy is charged, and no longer the need for one"
    )
    planner.put_parent("par", None)
    assert planner.ledger.at(above).allocated_bytes == 100
    planner.put_volume(("team-a", "v"), None)
    planner.settle()
    assert planner.index.parents == {}
    assert planner.ledger.at(above).allocated_bytes == 0
