"""A planner that was told of changes knows what one that was told of the outcome knows."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.allocators import ALLOCATORS
from goldpool.planning.identity import location_name
from goldpool.planning.placement import DiskWish, Placement, TemplateView, Unplaceable
from goldpool.planning.planner import Planner
from goldpool.planning.snapshot import NodeView
from tests.bench.landscapes import QUESTIONS, Size, a_planner, ask, told
from tests.unit.planning.builders import a_wish

HOSTS = ("node-1", "node-2")
POOLS = {"gold": True, "std": False, "nfs": False}
Fact = tuple[str, str, dict[str, Any] | None]
"""Kind, name, and what the object says; None: it goes."""


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """An object of a small cluster as it is from now on. Pools are re-created under another UID, bytes become known."""
    kind = draw(st.sampled_from(("pool", "location", "node", "template", "parent", "volume", "volume")))
    going = draw(st.sampled_from((False, False, False, True)))
    pool, host = draw(st.sampled_from([*POOLS])), draw(st.sampled_from(HOSTS))
    uid, size = draw(st.sampled_from(("1", "2"))), draw(st.sampled_from((None, 50, 200)))
    at = "" if pool == "nfs" else host
    location = location_name(pool, uid, at)
    template = draw(st.sampled_from(("t", "u")))
    match kind:
        case "pool":
            return (
                kind,
                pool,
                None if going else {"uid": uid, "state": draw(st.sampled_from(("Enabled", "Disabled")))},
            )
        case "location":
            said = {"pool": pool, "poolUID": uid, "host": at, "ready": draw(st.booleans()), "free": size}
            return kind, location, None if going else said
        case "node":
            return kind, host, None if going else {"rack": draw(st.sampled_from(("1", "2")))}
        case "template":
            return (
                kind,
                template,
                None if going else {"virtualSize": size, "size": draw(st.sampled_from((None, 30)))},
            )
        case "parent":
            state = draw(st.sampled_from(("Pending", "Fetching", "Ready", "Failed", "Retiring")))
            said = {"template": template, "location": location, "host": at, "pool": pool, "state": state}
            return kind, draw(st.sampled_from(("par-1", "par-2"))), None if going else said
        case _:
            said = {
                "size": size if size or template else 10, "template": template, "host": host, "pool": pool,
                "parentPool": draw(st.sampled_from((None, "gold"))), "bound": draw(st.sampled_from((True, True, False))),
                "parentLocation": draw(st.sampled_from((None, location))), "capacity": draw(st.sampled_from((None, 70))),
            }  # fmt: skip
            return kind, draw(st.sampled_from(("a", "b", "c"))), None if going else said


def tell(planner: Planner, fact: Fact) -> None:
    kind, name, said = fact
    match kind:
        case "pool":
            planner.put_pool(name, None if said is None else _pool(name, said))
        case "location":
            planner.put_location(name, None if said is None else _location(name, said))
        case "node":
            labels = {"rack": said["rack"]} if said else {}
            planner.put_node(
                name, None if said is None else NodeView(name, "u", labels, True, False, (), False)
            )
        case "template":
            planner.put_template(name, None if said is None else _template(name, said))
        case "parent":
            planner.put_parent(name, None if said is None else _parent(name, said))
        case _:
            planner.put_volume(("team-a", name), None if said is None else _volume(name, said))


def _pool(name: str, said: dict[str, Any]) -> StoragePool:
    shared = name == "nfs"
    spec = {
        "golden": POOLS[name], "scope": "Shared" if shared else "Host", "state": said["state"],
        "backend": {"nfs": {"server": "s", "path": "/e"}} if shared else {"hostPath": {"path": f"/srv/{name}"}},
        "hostSelector": {"matchLabels": {"rack": "1"}},
    }  # fmt: skip
    return StoragePool.read({"metadata": {"name": name, "uid": said["uid"]}, "spec": spec})


def _location(name: str, said: dict[str, Any]) -> StorageLocation:
    spec = {key: said[key] for key in ("pool", "poolUID", "host")}
    ready = {
        "type": "Ready", "status": "True" if said["ready"] else "False", "reason": "Ready",
        "lastTransitionTime": "2026-05-01T12:00:00Z",
    }  # fmt: skip
    status = {"total": 1000, "free": said["free"], "conditions": [ready]}
    return StorageLocation.read({"metadata": {"name": name}, "spec": spec, "status": status})


def _template(name: str, said: dict[str, Any]) -> Template:
    spec = {"golden": True, "format": "qcow2", "source": {"url": "https://mirror.example/a"}}
    return Template.read({"metadata": {"name": name}, "spec": spec, "status": said})


def _parent(name: str, said: dict[str, Any]) -> Parent:
    spec = {key: said[key] for key in ("template", "location", "host", "pool")} | {
        "templateUID": "t", "format": "qcow2", "sourceHash": "h",
    }  # fmt: skip
    return Parent.read({"metadata": {"name": name}, "spec": spec, "status": {"state": said["state"]}})


def _volume(name: str, said: dict[str, Any]) -> Volume:
    spec: dict[str, Any] = {
        "type": "Root",
        "size": said["size"],
        "source": {"templateRef": {"name": said["template"]}},
    }
    if said["bound"]:
        place = {"pool": said["pool"], "host": said["host"], "parentPool": said["parentPool"]}
        spec |= {"placement": place, "storageID": "v-aaaaaaaa"}
    status = {
        "storageID": "v-aaaaaaaa",
        "parentLocation": said["parentLocation"],
        "capacity": said["capacity"],
    }
    metadata = {"name": name, "namespace": "team-a"}
    return Volume.read({"metadata": metadata, "spec": spec, "status": status})


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


class CountingPlanner(Planner):
    """Counts the exhaustive searches."""

    searches = 0

    def search(self, *args: Any, **kwargs: Any) -> Placement | Unplaceable:
        self.searches += 1
        return super().search(*args, **kwargs)


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
        planner.put_pool(pool, _pool(pool, {"uid": "1", "state": "Enabled"}))
        for host in hosts:
            planner.put_node(host, NodeView(host, "u", {"rack": "1"}, True, False, (), False))
            name = location_name(pool, "1", host)
            said = {"pool": pool, "poolUID": "1", "host": host, "ready": True, "free": 1000}
            planner.put_location(name, _location(name, said))
    planner.put_template("t", _template("t", template))
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
        planner.put_volume(("team-a", f"v{n}"), _volume(f"v{n}", a_child(hosts[-1])))
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
    planner.put_volume(("team-a", "v"), _volume("v", a_child("node-1", size=10, parentPool="std")))
    assert planner.ledger.at(std).allocated_bytes == 110
    said = {"template": "t", "location": std, "host": "node-1", "pool": "std", "state": "Ready"}
    planner.put_parent("par", _parent("par", said))
    assert planner.ledger.at(std).allocated_bytes == 110
    assert "the parent par is there" in chosen()[2]
    assert isinstance(planner.place(required, seed=1), Unplaceable), "it serves no machine that requires gold"
    planner.put_pool("gold", _pool("gold", {"uid": "1", "state": "Enabled"}))
    assert chosen()[:2] == (gold, False)
    assert isinstance(planner.place(required, seed=1), Placement)


def test_a_refused_fallback_is_searched_for_once_while_the_world_stays() -> None:
    planner = CountingPlanner()
    disk = DiskWish("root", 10, template=TemplateView("t", golden=True))
    for seed in range(5):
        answer = planner.place(a_wish(disk, may_fall_back=True), seed=seed)
        assert isinstance(answer, Unplaceable)
        assert answer.fallback
    assert planner.searches == 2, "one for golden places, one for those beside"


def test_a_copy_that_a_binding_needs_is_on_its_way_before_it_has_an_object() -> None:
    planner = a_small_planner(("node-1",), virtualSize=100)
    planner.put_volume(("team-a", "v"), _volume("v", a_child("node-1", size=10)))
    planner.settle()
    above = location_name("gold", "1", "node-1")
    assert planner.index.parents["t", above].ready is False
    assert planner.ledger.at(above).allocated_bytes == 100
    said = {"template": "t", "location": above, "host": "node-1", "pool": "gold", "state": "Ready"}
    planner.put_parent("par", _parent("par", said))
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
