"""The walk through the index finds what the exhaustive search finds, in every small world and after every change."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from goldpool.planning import walk as walking
from goldpool.planning.allocators import ALLOCATORS, Allocator
from goldpool.planning.index import Index
from goldpool.planning.placement import (
    BoundDisk,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    Unplaceable,
    place,
)
from goldpool.planning.snapshot import host_view
from goldpool.planning.walk import Exhausted, walk
from tests.unit.planning.builders import (
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_location,
    a_node_view,
    a_shared_location,
    a_wish,
    an_index,
)
from tests.unit.planning.test_properties import HOSTS, World, location, worlds

allocators = st.sampled_from([*ALLOCATORS.values()])


def walked(index: Index, wish: MachineWish, seed: int, allocator: Allocator) -> Placement | None:
    return walk(index, wish, [], seed=seed, allocator=allocator)


def searched(index: Index, wish: MachineWish, seed: int, allocator: Allocator) -> Placement | None:
    hosts, locations = index.hosts([]), [*index.locations]
    found = place(wish, hosts, locations, [*index.parents.values()], seed=seed, allocator=allocator)
    return None if isinstance(found, Unplaceable) else found


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(-3, 3), allocators)
def test_the_walk_chooses_what_the_search_chooses(world: World, seed: int, allocator: Allocator) -> None:
    wish, hosts, locations, parents = world
    found = walked(an_index(hosts, locations, parents), wish, seed, allocator)
    event("placed" if found else "refused")
    answer = place(wish, hosts, locations, parents, seed=seed, allocator=allocator)
    assert found == (None if isinstance(answer, Unplaceable) else answer)


@settings(max_examples=60, deadline=None)
@given(worlds(), allocators, st.data())
def test_bound_disks_hold_the_walk_as_they_hold_the_search(
    world: World, allocator: Allocator, data: st.DataObject
) -> None:
    wish, hosts, locations, parents = world
    at = data.draw(st.sampled_from(locations))
    above = data.draw(st.sampled_from([None, *(x.name for x in locations), "gone"]))
    tied = replace(wish, bound=(BoundDisk("bound", at, above),))
    index = an_index(hosts, locations, parents)
    assert walked(index, tied, 1, allocator) == searched(index, tied, 1, allocator)


@st.composite
def changes(draw: st.DrawFn, world: World) -> list[tuple[str, object]]:
    """Locations, hosts and parents that come, change and go."""
    _, hosts, locations, _ = world
    found: list[tuple[str, object]] = []
    for _ in range(draw(st.integers(0, 12))):
        match draw(st.sampled_from(("location", "gone", "host", "parent", "node gone"))):
            case "location":
                at = draw(st.sampled_from(locations))
                again = draw(location(at.pool, at.host, golden=at.golden, shared=at.shared))
                found.append(("location", again))
            case "gone":
                found.append(("gone", draw(st.sampled_from(locations)).name))
            case "host":
                ready, schedulable = draw(st.booleans()), draw(st.booleans())
                name = draw(st.sampled_from(hosts)).name
                found.append(("host", HostView(name, ready=ready, schedulable=schedulable)))
            case "node gone":
                found.append(("node gone", draw(st.sampled_from(HOSTS))))
            case _:
                spot = (draw(st.sampled_from(("t", "u"))), draw(st.sampled_from(locations)).name)
                ready = draw(st.booleans())
                view = ParentView(*spot, ready=ready, failed=not ready and draw(st.booleans()))
                found.append(("parent", (*spot, draw(st.sampled_from((view, None))))))
    return found


def change(index: Index, kind: str, what: object) -> None:
    match kind, what:
        case "location", LocationView():
            index.put_location(what)
        case "gone", str():
            index.drop_location(what)
        case "host", HostView():
            index.put_node(a_node_view(what))
        case "node gone", str():
            index.drop_node(what)
        case "parent", (str(template), str(at), view):
            assert view is None or isinstance(view, ParentView)
            index.put_parent(template, at, view)


@settings(max_examples=200, deadline=None)
@given(worlds().flatmap(lambda w: st.tuples(st.just(w), changes(w))), st.integers(-3, 3), allocators)
def test_a_changed_index_answers_as_one_built_anew(
    drawn: tuple[World, list[tuple[str, object]]], seed: int, allocator: Allocator
) -> None:
    (wish, hosts, locations, parents), news = drawn
    index = an_index(hosts, locations, parents)
    for kind, what in news:
        change(index, kind, what)
    anew = an_index(
        [host_view(node, []) for node in index.nodes.values()], [*index.locations], index.parents.values()
    )
    found = walked(index, wish, seed, allocator)
    assert found == walked(anew, wish, seed, allocator)
    assert found == searched(index, wish, seed, allocator)


def test_what_a_plan_may_read_tells_that_it_changed_and_nothing_else_does() -> None:
    host, golden = a_location(), a_golden_location()
    index = an_index([HostView("node-1")], [host, golden], [])
    index.changed.clear()
    shape = index.shape
    index.put_location(a_location())
    index.put_node(a_node_view(HostView("node-1")))
    index.put_parent("t", golden.name, None)
    index.drop_location("unknown")
    index.drop_node("unknown")
    assert (index.shape, index.changed) == (shape, set())
    for kind, what, changed in (
        ("location", a_location(used=10), host.name),
        ("parent", ("t", golden.name, ParentView("t", golden.name, ready=True)), golden.name),
    ):
        change(index, kind, what)
        assert (index.shape, index.changed) == (shape, {changed})
        index.changed.clear()
    reshapings: tuple[tuple[str, object], ...] = (
        ("location", replace(host, golden=True)),
        ("location", a_location("another")),
        ("host", HostView("node-1", ready=False)),
        ("gone", golden.name),
        ("node gone", "node-1"),
    )
    for kind, its in reshapings:
        change(index, kind, its)
        assert index.shape > shape
        shape = index.shape


def test_what_is_full_is_passed_over_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 hosts of which only one has room for the parent: nothing else is even looked at."""
    monkeypatch.setattr(walking, "JUDGED", 1)
    hosts = [HostView(f"node-{n}") for n in range(1000)]
    locations = [a_location(host=h.name) for h in hosts]
    golden = [
        a_golden_location(host=h.name, allocated_bytes=0 if h.name == "node-77" else 800) for h in hosts
    ]
    index = an_index(hosts, [*locations, *golden], [])
    found = walked(index, a_wish(a_golden_disk()), 1, ALLOCATORS["firstfitleastconsumed"])
    assert found is not None
    assert found.hosts == ("node-77",)


def test_a_walk_that_judges_too_many_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "JUDGED", 3)
    locations = [a_shared_location(f"p{n}", total_bytes=1000) for n in range(4)]
    index = an_index([HostView("node-1")], locations, [])
    disks = [a_disk(f"d{n}", size_bytes=500) for n in range(5)]
    with pytest.raises(Exhausted):
        walked(index, a_wish(*disks), 0, ALLOCATORS["firstfitleastconsumed"])
