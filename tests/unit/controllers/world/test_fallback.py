"""A machine with goldenPolicy Preferred where no golden pool can serve, from its placement to its end."""

from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.users import TEAM, a_machine, a_pool, a_template


def a_cluster() -> Cluster:
    """Ordinary pools only, a machine that waits and one that was served all the same."""
    cluster = Cluster()
    cluster.server.put(r.STORAGE_POOL, a_pool("std"))
    cluster.server.put(r.TEMPLATE, a_template(prepare=("std",)))
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("strict"))
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("easy", golden="Preferred"))
    cluster.settle()
    return cluster


def the_machine(cluster: Cluster, name: str) -> Obj:
    found = cluster.server.find(r.VIRTUAL_MACHINE, name, TEAM)
    assert found is not None
    return found


def test_it_runs_and_says_so_and_a_required_one_waits() -> None:
    cluster = a_cluster()
    easy, strict = the_machine(cluster, "easy")["status"], the_machine(cluster, "strict")["status"]
    assert (easy["phase"], easy["fallbackPool"], easy.get("goldenPool")) == ("Running", "std", None)
    assert (strict["phase"], strict["conditions"][0]["reason"]) == ("Pending", "NotPlaceable")
    [parent] = cluster.server.all(r.PARENT)
    assert (parent["spec"]["pool"], parent["spec"]["fallback"]) == ("std", True)
    [(location, _)] = cluster.disks.parents
    assert [where for where, _ in cluster.disks.volumes] == [location], "beside its child"
    cluster.rest()


def test_a_parent_that_serves_as_a_fallback_goes_with_its_last_machine() -> None:
    cluster = a_cluster()
    before = cluster.server.now
    cluster.server.remove(r.VIRTUAL_MACHINE, "easy", TEAM)
    cluster.settle(horizon=60)
    assert cluster.server.all(r.PARENT) == []
    assert cluster.disks.parents == {}
    assert (cluster.server.now - before).total_seconds() < 3600, "the template's retention"


def test_its_pool_waits_for_the_machine_and_then_takes_the_parent_along() -> None:
    cluster = a_cluster()
    cluster.server.remove(r.STORAGE_POOL, "std")
    cluster.settle()
    pool = cluster.server.find(r.STORAGE_POOL, "std")
    assert pool is not None
    assert [b["name"] for b in pool["status"]["blockers"]] == ["easy-root"]
    assert len(cluster.disks.parents) == 1
    cluster.server.remove(r.VIRTUAL_MACHINE, "easy", TEAM)
    cluster.settle()
    assert cluster.server.find(r.STORAGE_POOL, "std") is None
    assert cluster.disks.parents == {}


def test_once_a_golden_pool_appears_it_serves_everybody_that_comes() -> None:
    cluster = a_cluster()
    cluster.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
    cluster.settle()
    cluster.server.put(r.VIRTUAL_MACHINE, a_machine("later", golden="Preferred"))
    cluster.settle()
    pools = {
        name: the_machine(cluster, name)["status"].get("goldenPool") for name in ("easy", "strict", "later")
    }
    assert pools == {"easy": None, "strict": "golden", "later": "golden"}
    assert the_machine(cluster, "easy")["status"]["fallbackPool"] == "std", "what was placed stays"
