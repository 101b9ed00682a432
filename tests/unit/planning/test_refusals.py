"""A refusal that was brought up to date is the one that a search finds."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.planning import refusals
from goldpool.planning.identity import location_name
from goldpool.planning.placement import DiskWish, Placement, RejectionReason, TemplateView, Unplaceable
from goldpool.planning.planner import Planner
from goldpool.planning.snapshot import NodeView
from goldpool.planning.views import Avoid, MachineWish
from tests.bench.landscapes import Size, ask, told
from tests.unit.planning.builders import a_wish
from tests.unit.planning.facts import HOSTS, POOLS, Fact, a_told_volume, facts, tell


class CountingPlanner(Planner):
    """Counts the exhaustive searches."""

    searches = 0

    def search(self, *args: Any, **kwargs: Any) -> Placement | Unplaceable:
        self.searches += 1
        return super().search(*args, **kwargs)


def standing(hosts: Iterable[str] = HOSTS, *, golden_free: int = 1000) -> list[Fact]:
    """All is there, and empty."""
    told: list[Fact] = [("node", host, {"rack": "1"}) for host in hosts]
    for pool in POOLS:
        told.append(("pool", pool, {"uid": "1", "state": "Enabled"}))
        for at in [""] if pool == "nfs" else hosts:
            free = golden_free if pool == "gold" else 1000
            said = {"pool": pool, "poolUID": "1", "host": at, "ready": True, "free": free}
            told.append(("location", location_name(pool, "1", at), said))
    told.append(("template", "t", {"virtualSize": 100, "size": 30}))
    return told


def a_planner(told: Iterable[Fact]) -> CountingPlanner:
    planner = CountingPlanner()
    for fact in told:
        tell(planner, fact)
    return planner


@st.composite
def questions(draw: st.DrawFn) -> MachineWish:
    """Hungry ones, so that many are refused and some are no longer after a change."""
    template = draw(st.sampled_from((None, "t", "u")))
    golden = draw(st.sampled_from((True, True, False)))
    view = TemplateView(template, golden=golden, virtual_bytes=100, file_bytes=30) if template else None
    disks = tuple(
        DiskWish(
            name,
            draw(st.sampled_from((10, 700, 900, 5000))),
            template=view if name == "root" else None,
            pool=draw(st.sampled_from((None, None, "std", "nfs"))),
            host=draw(st.sampled_from((None, None, "node-1"))),
        )
        for name in draw(st.sampled_from((("root",), ("root",), ("root", "data"))))
    )
    return a_wish(
        *disks,
        node_selector=draw(st.sampled_from(({}, {}, {"rack": "1"}))),
        avoid=draw(st.sampled_from((Avoid(), Avoid(hosts=frozenset({"node-2"}))))),
        may_fall_back=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(questions(), min_size=1, max_size=3),
    st.lists(facts(), max_size=25),
    st.sampled_from((None, "a")),
)
def test_after_each_change_a_plan_answers_as_the_search_does(
    asked: list[MachineWish], happening: list[Fact], bound: str | None
) -> None:
    planner = a_planner(standing())
    if bound is not None:
        tell(planner, ("volume", bound, A_BOUND_DISK))
    for fact in (None, *happening):
        if fact is not None:
            tell(planner, fact)
        for wish in asked:
            now = wish
            if bound is not None:
                now = replace(wish, bound=(planner.bound("other", a_told_volume(bound, A_BOUND_DISK)),))
            found = planner.place(now, seed=3)
            assert found == planner.search(now, seed=3, tolerations=[]), fact


A_BOUND_DISK: dict[str, Any] = {
    "size": 10, "template": "t", "host": "node-1", "pool": "std", "parentPool": "gold", "bound": True,
    "parentLocation": None, "capacity": None,
}  # fmt: skip


def a_volume(name: str, size: int, host: str = "node-1", pool: str = "std") -> Fact:
    return "volume", name, A_BOUND_DISK | {"size": size, "host": host, "pool": pool}


def reasons(planner: Planner, wish: MachineWish) -> dict[RejectionReason, int] | None:
    """None: it has a place."""
    found = planner.place(wish, seed=1)
    return {x: n for x, n, _ in found.counts()} if isinstance(found, Unplaceable) else None


GOLDEN_ROOT = DiskWish("root", 600, template=TemplateView("t", golden=True, virtual_bytes=100, file_bytes=30))


def test_a_changed_location_is_judged_anew_and_nothing_else_is() -> None:
    planner = a_planner(standing())
    wish = a_wish(DiskWish("root", 5000))
    assert reasons(planner, wish) == {RejectionReason.ALLOCATED_LIMIT: 3}
    for n in range(5):
        tell(
            planner,
            ("location", location_name("std", "1", "node-1"), _full("std", "node-1", full=n % 2 == 0)),
        )
        expected = {RejectionReason.ALLOCATED_LIMIT: 2 + n % 2} | (
            {} if n % 2 else {RejectionReason.USED_LIMIT: 1}
        )
        assert reasons(planner, wish) == expected
    assert planner.searches == 1


def _full(pool: str, host: str, *, full: bool) -> dict[str, Any]:
    return {"pool": pool, "poolUID": "1", "host": host, "ready": True, "free": 0 if full else 1000}


@pytest.mark.parametrize("disk", [GOLDEN_ROOT, replace(GOLDEN_ROOT, template=None)])
def test_a_place_that_opens_ends_the_refusal(disk: DiskWish) -> None:
    planner = a_planner(standing())
    for name, pool in (("a", "std"), ("b", "nfs")):
        tell(planner, a_volume(name, 1500, pool=pool))
    wish = a_wish(disk, node_selector={"rack": "1"}, avoid=Avoid(hosts=frozenset({"node-2"})))
    assert reasons(planner, wish) is not None
    tell(planner, ("volume", "a", None))
    assert reasons(planner, wish) is None
    tell(planner, a_volume("a", 1500))
    assert reasons(planner, wish) is not None


def test_two_halves_on_different_hosts_are_no_place_and_on_one_they_are() -> None:
    """std on node-1 has room; the golden pool has it on node-2 only, until node-1's is free again too."""
    told = [fact for fact in standing(golden_free=0) if fact[1] != location_name("nfs", "1", "")]
    planner = a_planner(told)
    wish = a_wish(GOLDEN_ROOT)
    tell(planner, a_volume("a", 1500, host="node-2"))
    assert reasons(planner, wish) is not None
    gold = {host: location_name("gold", "1", host) for host in HOSTS}
    tell(planner, ("location", gold["node-2"], _full("gold", "node-2", full=False)))
    assert reasons(planner, wish) == {
        RejectionReason.NO_GOLDEN_POOL: 1,
        RejectionReason.NO_ORDINARY_POOL: 1,
        RejectionReason.ALLOCATED_LIMIT: 1,
        RejectionReason.USED_LIMIT: 1,
    }
    assert planner.searches == 1
    tell(planner, ("location", gold["node-1"], _full("gold", "node-1", full=False)))
    assert reasons(planner, wish) is None


def test_a_bound_disk_whose_location_is_lost_is_the_reason_from_then_on() -> None:
    planner = a_planner(standing())
    tell(planner, ("volume", "a", A_BOUND_DISK))

    def reasons_now() -> dict[RejectionReason, int] | None:
        bound = planner.bound("data", a_told_volume("a", A_BOUND_DISK))
        return reasons(planner, a_wish(DiskWish("root", 5000), bound=(bound,)))

    well = reasons_now()
    for pool in ("std", "gold"):
        said = _full(pool, "node-1", full=False)
        tell(planner, ("location", location_name(pool, "1", "node-1"), said | {"ready": False}))
        assert RejectionReason.LOCATION_NOT_READY in (reasons_now() or {})
        tell(planner, ("location", location_name(pool, "1", "node-1"), said))
        assert reasons_now() == well


@pytest.mark.parametrize(
    "other",
    [
        {"avoid": Avoid(hosts=frozenset({"node-2"}))},
        {"avoid": Avoid(locations=frozenset({location_name("std", "1", "node-2")}))},
        {"node_selector": {"rack": "2"}},
        {"namespace": "team-b"},
        {"unknown_parent_bytes": 5000},
    ],
)
def test_another_question_has_another_answer(other: dict[str, Any]) -> None:
    planner = a_planner(standing())
    disk = DiskWish("root", 700, template=TemplateView("u", golden=True))
    first, second = (
        a_wish(disk, unknown_parent_bytes=2000),
        a_wish(disk, **{"unknown_parent_bytes": 2000} | other),
    )
    for wish in (first, second, first):
        assert planner.place(wish, seed=1) == planner.search(wish, seed=1, tolerations=[])


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "REJECTIONS_KEPT", 7)
    planner = a_planner(standing())
    for size in (5000, 6000, 7000):  # three rejections each
        assert reasons(planner, a_wish(DiskWish("root", size))) is not None
    assert planner.searches == 3
    assert reasons(planner, a_wish(DiskWish("root", 7000))) is not None
    assert planner.searches == 3, "one of the last two"
    assert reasons(planner, a_wish(DiskWish("root", 5000))) is not None
    assert planner.searches == 4, "the oldest went"


def test_a_refusal_is_searched_for_once_while_the_world_stays() -> None:
    planner = told(CountingPlanner(), Size(pools=10, hosts=3, share=100))
    for seed in range(5):
        assert isinstance(ask(planner, "nothing fits", seed), Unplaceable)
    assert planner.searches == 1
    planner.put_node("node-9999", NodeView("node-9999", "u", {}, True, False, (), False))
    assert isinstance(ask(planner, "nothing fits", 9), Unplaceable)
    assert planner.searches == 2
    assert isinstance(ask(planner, "golden root", 0), Placement)
    assert planner.searches == 2


def test_a_refused_fallback_is_searched_for_once_while_the_world_stays() -> None:
    planner = CountingPlanner()
    disk = DiskWish("root", 10, template=TemplateView("t", golden=True))
    for seed in range(5):
        answer = planner.place(a_wish(disk, may_fall_back=True), seed=seed)
        assert isinstance(answer, Unplaceable)
        assert answer.fallback
    assert planner.searches == 2, "one for golden places, one for those beside"
