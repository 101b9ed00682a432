"""What no table can hold: every small world, judged again by rules written a second time and more naively."""

from itertools import product

from hypothesis import event, given, settings
from hypothesis import strategies as st

from goldpool.planning.placement import (
    Assumed,
    Avoid,
    DiskPlacement,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    TemplateView,
    Unplaceable,
    firstfit,
    firstfitleastconsumed,
    place,
    random,
    userdispersing,
)
from goldpool.planning.views import ISO
from tests.unit.planning.builders import a_host, a_location

HOSTS = ("node-1", "node-2")
POOLS = ("p", "q", "r")
World = tuple[MachineWish, list[HostView], list[LocationView], list[ParentView]]


@st.composite
def location(draw: st.DrawFn, pool: str, host: str, *, golden: bool, shared: bool) -> LocationView:
    return a_location(
        pool,
        host,
        golden=golden,
        shared=shared,
        hosts=frozenset(draw(st.sets(st.sampled_from(HOSTS)))) if shared else frozenset({host}),
        namespaces=draw(st.sampled_from((frozenset[str](),) * 4 + (frozenset({"team-a"}),))),
        tags=frozenset() if golden else frozenset(draw(st.sets(st.just("ssd")))),
        enabled=draw(st.sampled_from((True,) * 9 + (False,))),
        ready=draw(st.sampled_from((True,) * 9 + (False,))),
        total_bytes=draw(st.sampled_from((0, 1000, 1000, 2000))),
        used=0,
        free_bytes=draw(st.sampled_from((150, 151, 600, 600, 1000, 1000))),
        allocated_bytes=draw(st.sampled_from((0, 0, 300, 650, 651, 750))),
        overprovisioning_percent=draw(st.sampled_from((100, 200))),
        capacity_iops=draw(st.sampled_from((None, 100))),
        allocated_iops=draw(st.sampled_from((0, 90))),
    )


TEMPLATES = st.builds(
    TemplateView,
    st.sampled_from(("t", "u")),
    golden=st.booleans(),
    file_bytes=st.sampled_from((None, 50, 160)),
    virtual_bytes=st.sampled_from((None, 100, 200)),
)
TAGS = st.sampled_from((frozenset[str](),) * 4 + (frozenset({"ssd"}),))


@st.composite
def disk(draw: st.DrawFn, name: str, templates: dict[str, TemplateView]) -> DiskWish:
    template = draw(st.sampled_from((None, *templates.values())))
    return DiskWish(
        name,
        size_bytes=draw(st.sampled_from((50, 100, 200, 400))),
        tags=draw(TAGS),
        iops=draw(st.sampled_from((0, 10, 11))),
        template=template,
        pool=draw(st.sampled_from((None, None, None, None, None, "p"))),
        host=draw(st.sampled_from((None, None, None, None, None, "node-1"))),
        parent_pool=draw(st.sampled_from((None, None, None, None, None, "q"))),
    )


@st.composite
def medium(draw: st.DrawFn, templates: dict[str, TemplateView]) -> DiskWish:
    return DiskWish(ISO, 0, template=draw(st.sampled_from([*templates.values()])), medium=True)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    locations: list[LocationView] = []
    for pool in POOLS:
        golden, shared = draw(st.booleans()), draw(st.booleans())
        at = ("",) if shared else HOSTS
        locations.extend(draw(location(pool, host, golden=golden, shared=shared)) for host in at)
    templates = {t.name: t for t in draw(st.lists(TEMPLATES, max_size=2))}
    disks = tuple(draw(disk(name, templates)) for name in ("root", "data")[: draw(st.integers(1, 2))])
    with_iso = draw(st.booleans())
    if templates and with_iso:
        # Beside the disks, or the only one that needs a place.
        disks = (*disks[: draw(st.integers(0, 2))], draw(medium(templates)))
    names = [loc.name for loc in locations]
    wish = MachineWish(
        disks,
        avoid=Avoid(
            frozenset(draw(st.sets(st.sampled_from(names), max_size=1))),
            frozenset(draw(st.sets(st.just("node-2")))),
        ),
        namespace=draw(st.sampled_from(("team-a", "team-b"))),
        namespace_volumes={name: draw(st.integers(0, 2)) for name in names},
        unknown_parent_bytes=draw(st.sampled_from((0, 150))),
    )
    mostly = st.sampled_from((True,) * 6 + (False,))
    hosts = [a_host(name, ready=draw(mostly), schedulable=draw(mostly)) for name in HOSTS]
    parents = [
        ParentView(template, name, ready=state == "ready", failed=state == "failed")
        for template, name in draw(
            st.sets(st.tuples(st.sampled_from(("t", "u")), st.sampled_from(names)), max_size=4)
        )
        for state in [draw(st.sampled_from(("ready", "coming", "failed")))]
    ]
    return wish, hosts, locations, parents


def holds(world: World, placement: tuple[DiskPlacement, ...], host: str) -> bool:
    """Whether these places keep every rule on this host, written without the filters' code."""
    wish, hosts, locations, parents = world
    by_name = {loc.name: loc for loc in locations}
    state = {(p.template, p.location): p for p in parents}
    allocated = {loc.name: loc.allocated_bytes for loc in locations}
    iops = {loc.name: loc.allocated_iops for loc in locations}
    free = {loc.name: loc.free_bytes for loc in locations}
    here = next(h for h in hosts if h.name == host)
    if not (here.ready and here.schedulable) or host in wish.avoid.hosts:
        return False
    for want, got in zip(wish.disks, placement, strict=True):
        at, template = by_name[got.location], want.template
        above = by_name[got.parent_location] if got.parent_location else None
        if (above is None) != (template is None) or want.host not in (None, host):
            return False
        if (at != above) if want.medium else at.golden:
            return False
        if want.pool not in (None, at.pool) or not want.tags <= at.tags:
            return False
        for place_ in {at, above} - {None}:
            assert place_ is not None
            if (
                not (place_.enabled and place_.ready)
                or host not in place_.hosts
                or place_.name in wish.avoid.locations
                or (place_.namespaces and wish.namespace not in place_.namespaces)
            ):
                return False
        if not at.golden and at.total_bytes and (at.total_bytes - at.free_bytes) * 100 >= 85 * at.total_bytes:
            return False
        allocated[at.name] += want.size_bytes
        iops[at.name] += want.iops
        touched = {at.name} - ({at.name} if at.golden else set())
        if template is not None and above is not None:
            if want.parent_pool not in (None, above.pool) or above.golden != template.golden:
                return False
            if not template.golden and above != at:
                return False
            known = state.get((template.name, above.name))
            if known is None or known.failed:
                if (
                    above.total_bytes
                    and (above.total_bytes - above.free_bytes) * 100 >= 85 * above.total_bytes
                ):
                    return False
                if above.total_bytes and template.file_bytes and template.file_bytes > free[above.name]:
                    return False
                free[above.name] -= template.file_bytes or 0
                state[template.name, above.name] = ParentView(template.name, above.name, ready=False)
            if known is None:
                size = next((s for s in (template.virtual_bytes, template.file_bytes) if s is not None),
                            wish.unknown_parent_bytes)  # fmt: skip
                allocated[above.name] += size
                touched.add(above.name)
        for name in touched:
            loc = by_name[name]
            room = loc.total_bytes * loc.overprovisioning_percent // 100
            if loc.total_bytes and allocated[name] * 100 > 85 * room:
                return False
        if not at.golden and at.capacity_iops is not None and iops[at.name] > at.capacity_iops:
            return False
    return True


def every_placement(world: World) -> list[tuple[DiskPlacement, ...]]:
    wish, _, locations, _ = world
    per_disk = []
    for want in wish.disks:
        above: list[LocationView | None] = [*locations] if want.template else [None]
        per_disk.append(
            [
                DiskPlacement(want.name, a.name, a.pool, a.host, p.name if p else None, p.pool if p else None)
                for a in locations
                for p in above
            ]
        )
    return list(product(*per_disk))


@settings(max_examples=120, deadline=None)
@given(worlds(), st.sampled_from((firstfit, firstfitleastconsumed, random, userdispersing)))
def test_a_placement_keeps_every_rule_and_none_is_found_only_if_none_exists(world: World, allocator) -> None:  # type: ignore[no-untyped-def]
    answer = place(*world, seed=7, allocator=allocator)
    event("placed" if isinstance(answer, Placement) else "refused")
    hosts = [h.name for h in world[1]]
    possible = {h for h in hosts for p in every_placement(world) if holds(world, p, h)}
    if isinstance(answer, Unplaceable):
        assert not possible
        return
    assert answer.hosts == tuple(h for h in hosts if holds(world, answer.disks, h))


@settings(max_examples=60, deadline=None)
@given(worlds(), st.integers(-5, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(world: World, seed: int, shuffle) -> None:  # type: ignore[no-untyped-def]
    wish, hosts, locations, parents = world
    before = place(wish, hosts, locations, parents, seed=seed)
    for known in (hosts, locations, parents):
        shuffle.shuffle(known)
    assert place(wish, hosts, locations, parents, seed=seed) == before


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_machine_after_machine_never_promises_more_than_the_limits(world: World) -> None:
    wish, hosts, locations, parents = world
    assumed = Assumed.of(locations, parents)
    before = assumed
    for seed in range(12):
        answer = place(
            wish, hosts, list(assumed.locations.values()), list(assumed.parents.values()), seed=seed
        )
        if isinstance(answer, Unplaceable):
            break
        assumed = assumed.after(wish, answer)
    for name, now in assumed.locations.items():
        was = before.locations[name]
        if now.allocated_bytes > was.allocated_bytes and now.total_bytes:
            assert now.allocated_bytes * 10_000 <= now.total_bytes * now.overprovisioning_percent * 85
        if now.allocated_iops > was.allocated_iops and now.capacity_iops is not None:
            assert now.allocated_iops <= now.capacity_iops
        if now.fetching_bytes > was.fetching_bytes and now.total_bytes:
            assert now.fetching_bytes <= now.free_bytes


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_refusal_is_a_sentence_that_counts_every_candidate_once(world: World) -> None:
    answer = place(*world, seed=0)
    if isinstance(answer, Placement):
        return
    assert answer.sentence().startswith(f"0 of {len(answer.rejections)} ")
    assert len({r.location for r in answer.rejections}) == len(answer.rejections)
    assert sum(number for _, number, _ in answer.counts()) == len(answer.rejections)
    assert all(r.detail for r in answer.rejections)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_golden_locations_hold_parents_and_nothing_else(world: World) -> None:
    answer = place(*world, seed=0)
    if isinstance(answer, Unplaceable):
        return
    golden = {loc.name for loc in world[2] if loc.golden}
    for want, got in zip(world[0].disks, answer.disks, strict=True):
        assert got.location not in golden or want.medium
        assert got.parent_location is None or (got.parent_location in golden) == bool(
            want.template and want.template.golden
        )
