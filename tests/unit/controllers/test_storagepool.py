"""What a StoragePool needs next."""

from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.references import Blocker
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.volume import Volume
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.storagepool import Observed, hosts_in_use, path_problem, plan
from goldpool.engine.plan import AddFinalizer, Create, Delete, Record, RemoveFinalizer
from goldpool.kube.port import Obj
from goldpool.kube.resources import PERSISTENT_VOLUME_CLAIM
from goldpool.planning.identity import location_name
from goldpool.planning.references import Users
from tests.unit.controllers.builders import DATA, NOW, a_location, a_node, a_parent, a_pool, a_volume
from tests.unit.controllers.reading import (
    condition,
    effects_of,
    field,
    is_ready,
    is_reconciling,
    is_stalled,
    message,
    names,
    only,
    reason,
)

PREFIXES = ("/srv", "/mnt/pools")


def observed(pool: Obj | None = None, *, locations: tuple[Obj, ...] = (), **changes: Any) -> Observed:
    raw = pool or a_pool()
    defaults: dict[str, Any] = {
        "nodes": (a_node(),),
        "other_paths": (),
        "hosts_in_use": frozenset(),
        "users": NOBODY,
        "parents": 0,
        "parents_ready": 0,
        "children": 0,
        "volumes": 0,
        "allowed_prefixes": PREFIXES,
        "claim_exists": True,
        "persistent_volume_exists": False,
        "data_namespace": DATA,
        "now": NOW,
    }
    read = tuple(StorageLocation.read(x) for x in locations)
    return Observed(raw=raw, pool=StoragePool.read(raw), locations=read, **(defaults | changes))


def a_location_of_std_a(host: str = "node-1", **more: Any) -> Obj:
    return a_location(host=host, name=location_name("std-a", "uid-std-a", host), **more)


NOBODY = Users((), 0)
USERS = Users(tuple(Blocker(kind="Volume", namespace="team-a", name=f"v{n:02}") for n in range(10)), 12)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/srv/gold", True),
        ("/mnt/pools/a/b", True),
        ("/srv", False),  # the prefix itself belongs to the host
        ("/srv2/gold", False),  # compared by components, not by letters
        ("/mnt/poolsx", False),
        ("/mnt", False),
        ("/etc/srv/gold", False),
    ],
)
def test_a_path_lies_below_an_allowed_prefix(path: str, allowed: bool) -> None:
    assert (path_problem(StoragePool.read(a_pool(path=path)), PREFIXES, ()) is None) is allowed


@pytest.mark.parametrize(
    ("other", "nests"),
    [
        ("/srv/gold", True),
        ("/srv/gold/inner", True),
        ("/srv", True),
        ("/srv/golden", False),
        ("/srv/silver", False),
    ],
)
def test_pools_never_nest(other: str, nests: bool) -> None:
    problem = path_problem(StoragePool.read(a_pool(path="/srv/gold")), PREFIXES, (("other", other),))
    assert (problem is not None) is nests
    assert problem is None or f"nests with {other} of StoragePool other" in problem


def test_a_pool_without_a_path_of_its_own_has_no_path_problem() -> None:
    backend = {"backend": {"nfs": {"server": "filer", "path": "/export"}}, "scope": "Shared"}
    assert path_problem(StoragePool.read(a_pool(spec=backend)), (), (("other", "/export"),)) is None


def test_the_finalizer_comes_before_anything_else() -> None:
    assert names(plan(observed(a_pool(finalizers=[])))) == ["AddFinalizer"]
    assert only(plan(observed(a_pool(finalizers=[]))), AddFinalizer).finalizer == FINALIZER


def test_a_pool_on_a_forbidden_path_makes_nothing() -> None:
    found = plan(observed(a_pool(path="/etc/gold")))
    assert found.effects == ()
    assert reason(found) == "PathNotAllowed"
    assert is_stalled(found)


def test_each_selected_host_gets_its_location() -> None:
    found = plan(observed(nodes=(a_node("node-1"), a_node("node-2")), locations=(a_location_of_std_a(),)))
    made = only(found, Create).obj
    assert made["metadata"]["name"] == location_name("std-a", "uid-std-a", "node-2")
    assert made["metadata"]["finalizers"] == [FINALIZER]
    assert made["spec"] == {"pool": "std-a", "poolUID": "uid-std-a", "host": "node-2"}


def test_a_shared_pool_has_one_location_for_all_hosts() -> None:
    found = plan(observed(a_pool(spec={"scope": "Shared"}), nodes=(a_node("node-1"), a_node("node-2"))))
    assert only(found, Create).obj["spec"]["host"] == ""


def test_a_shared_pool_without_hosts_has_no_location() -> None:
    found = plan(observed(a_pool(spec={"scope": "Shared"}), nodes=()))
    assert found.effects == ()
    assert reason(found) == "NoHosts"


@pytest.mark.parametrize(
    "stray",
    [
        a_location_of_std_a("node-9"),
        a_location_of_std_a("node-1", uid="x")
        | {"spec": {"pool": "std-a", "poolUID": "old", "host": "node-1"}},
    ],
    ids=["host no longer selected", "of an earlier pool of the name"],
)
def test_a_stray_location_is_deleted(stray: Obj) -> None:
    found = plan(observed(locations=(a_location_of_std_a(), stray)))
    assert only(found, Delete).uid == stray["metadata"]["uid"]


def test_the_location_of_a_host_that_was_deleted_stays_while_it_is_used() -> None:
    """The host may come back under its name, and a location that is going would never be one again."""
    used = a_location_of_std_a("node-9", ready=False)
    found = plan(observed(locations=(a_location_of_std_a(), used), hosts_in_use=frozenset({"node-9"})))
    assert found.effects == ()
    assert (field(found, "hosts"), is_ready(found)) == ("1/2", False)
    assert [e["host"] for e in field(found, "exceptions")] == ["node-9"]


@pytest.mark.parametrize(
    ("scope", "volumes", "parents", "hosts"),
    [
        ("Host", ["node-1", "node-2"], ["node-3"], {"node-1", "node-2", "node-3"}),
        ("Host", [], [], set()),
        ("Shared", ["node-1"], [], {""}),
        ("Shared", [], [""], {""}),
        ("Shared", [], [], set()),
    ],
)
def testhosts_in_use(scope: str, volumes: list[str], parents: list[str], hosts: set[str]) -> None:
    pool = StoragePool.read(a_pool(spec={"scope": scope}))
    placed = [Volume.read(a_volume(spec={"placement": {"pool": "std-a", "host": h}})) for h in volumes]
    held = [Parent.read(a_parent(host=h)) for h in parents]
    assert hosts_in_use(pool, placed, held) == hosts


def test_a_location_that_is_going_is_not_deleted_again() -> None:
    assert (
        plan(
            observed(locations=(a_location_of_std_a(), a_location_of_std_a("node-9", deleting=True)))
        ).effects
        == ()
    )


def test_an_export_is_mounted_through_a_volume_and_a_claim_of_the_pools_own() -> None:
    nfs = {"backend": {"nfs": {"server": "filer", "path": "/export"}}, "scope": "Shared"}
    found = plan(observed(a_pool(spec=nfs), claim_exists=False, nodes=()))
    volume, claim = (e.obj for e in effects_of(found, Create))
    assert volume["spec"]["nfs"] == {"server": "filer", "path": "/export"}
    assert volume["spec"]["mountOptions"] == ["vers=4.1", "hard"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["spec"]["claimRef"] == {"namespace": DATA, "name": "pool-uid-std-a"}
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"] == claim["metadata"]["name"]
    owners = [e["metadata"]["ownerReferences"][0]["uid"] for e in (volume, claim)]
    assert owners == ["uid-std-a", "uid-std-a"]
    half = plan(observed(a_pool(spec=nfs), claim_exists=False, persistent_volume_exists=True, nodes=()))
    assert [e.resource for e in half.effects if isinstance(e, Create)] == [PERSISTENT_VOLUME_CLAIM]
    assert plan(observed(a_pool(spec=nfs), claim_exists=True, nodes=())).effects == ()


@pytest.mark.parametrize(
    ("state", "locations", "expected", "ready"),
    [
        ("Enabled", [a_location_of_std_a()], "Ready", True),
        ("Enabled", [a_location_of_std_a(ready=False)], "HostsNotReady", False),
        (
            "Enabled",
            [a_location_of_std_a(ready=False, status={"initializedTime": None})],
            "Initializing",
            False,
        ),
        ("Disabled", [a_location_of_std_a(ready=False)], "Disabled", True),
        ("Maintenance", [a_location_of_std_a()], "Maintenance", True),
    ],
)
def test_what_a_pool_says_of_itself(state: str, locations: list[Obj], expected: str, ready: bool) -> None:
    found = plan(observed(a_pool(spec={"state": state}), locations=tuple(locations)))
    assert (reason(found), is_ready(found)) == (expected, ready)
    assert is_reconciling(found) is not ready


def test_a_pool_sums_its_locations_and_shows_at_most_twenty_exceptions() -> None:
    nodes = tuple(a_node(f"node-{n:02}") for n in range(25))
    broken = tuple(a_location_of_std_a(n.name, ready=False) for n in nodes[:23])
    found = plan(
        observed(nodes=nodes, locations=(*broken, *(a_location_of_std_a(n.name) for n in nodes[23:])))
    )
    assert (field(found, "hosts"), field(found, "total"), field(found, "used")) == ("2/25", "2500Gi", "250Gi")
    assert len(field(found, "exceptions")) == 20
    assert message(found).startswith("2 of 25 locations can be used; node-00: Ready; node-01")


def test_a_settled_pool_needs_nothing_more() -> None:
    assert plan(observed(locations=(a_location_of_std_a(),))).effects == ()


# -- deletion


def deleted(**changes: Any) -> Observed:
    return observed(a_pool(deleting=True), **changes)


def test_users_hold_up_the_deletion_and_are_named() -> None:
    found = plan(deleted(users=USERS, parents=3, locations=(a_location_of_std_a(),)))
    assert names(found) == ["Record"]
    assert only(found, Record).reason == "DeletionBlocked"
    assert condition(found, "DeletionBlocked") is not None
    assert "Volume team-a/v00" in message(found)
    assert message(found).startswith("12 user(s)")
    assert (len(field(found, "blockers")), field(found, "blockersTotal")) == (10, 12)


def test_without_users_the_parents_go_first() -> None:
    found = plan(deleted(parents=1, locations=(a_location_of_std_a(),)))
    assert found.effects == ()
    assert (reason(found), message(found)) == ("Terminating", "1 parent(s) are being removed")


def test_then_the_locations() -> None:
    going = a_location_of_std_a("node-2", deleting=True)
    found = plan(deleted(locations=(a_location_of_std_a(), going)))
    assert only(found, Delete).name == location_name("std-a", "uid-std-a", "node-1")
    assert reason(found) == "Terminating"


def test_the_finalizer_goes_last() -> None:
    assert names(plan(deleted())) == ["RemoveFinalizer"]
    assert only(plan(deleted()), RemoveFinalizer).finalizer == FINALIZER


def test_a_forbidden_path_does_not_hold_up_the_deletion() -> None:
    assert names(plan(observed(a_pool(path="/etc/gold", deleting=True)))) == ["RemoveFinalizer"]


def test_what_others_hold_up_is_none_of_ours() -> None:
    found = plan(observed(a_pool(deleting=True, finalizers=["example.com/other"])))
    assert (found.effects, found.status) == ((), None)


def test_a_pool_that_is_not_deleted_shows_no_blockers() -> None:
    assert field(plan(observed(users=USERS)), "blockers") == []
    assert field(plan(observed(users=USERS)), "blockersTotal") is None
