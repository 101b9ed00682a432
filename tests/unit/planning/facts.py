"""Facts of a small cluster, as a planner is told them one by one."""

from typing import Any

from hypothesis import strategies as st

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.identity import location_name
from goldpool.planning.planner import Planner
from goldpool.planning.snapshot import NodeView

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
            planner.put_pool(name, None if said is None else a_told_pool(name, said))
        case "location":
            planner.put_location(name, None if said is None else a_told_location(name, said))
        case "node":
            labels = {"rack": said["rack"]} if said else {}
            planner.put_node(
                name, None if said is None else NodeView(name, "u", labels, True, False, (), False)
            )
        case "template":
            planner.put_template(name, None if said is None else a_told_template(name, said))
        case "parent":
            planner.put_parent(name, None if said is None else a_told_parent(name, said))
        case _:
            planner.put_volume(("team-a", name), None if said is None else a_told_volume(name, said))


def a_told_pool(name: str, said: dict[str, Any]) -> StoragePool:
    shared = name == "nfs"
    spec = {
        "golden": POOLS[name], "scope": "Shared" if shared else "Host", "state": said["state"],
        "backend": {"nfs": {"server": "s", "path": "/e"}} if shared else {"hostPath": {"path": f"/srv/{name}"}},
        "hostSelector": {"matchLabels": {"rack": "1"}},
    }  # fmt: skip
    return StoragePool.read({"metadata": {"name": name, "uid": said["uid"]}, "spec": spec})


def a_told_location(name: str, said: dict[str, Any]) -> StorageLocation:
    spec = {key: said[key] for key in ("pool", "poolUID", "host")}
    ready = {
        "type": "Ready", "status": "True" if said["ready"] else "False", "reason": "Ready",
        "lastTransitionTime": "2026-05-01T12:00:00Z",
    }  # fmt: skip
    status = {"total": 1000, "free": said["free"], "conditions": [ready]}
    return StorageLocation.read({"metadata": {"name": name}, "spec": spec, "status": status})


def a_told_template(name: str, said: dict[str, Any]) -> Template:
    spec = {"golden": True, "format": "qcow2", "source": {"url": "https://mirror.example/a"}}
    return Template.read({"metadata": {"name": name}, "spec": spec, "status": said})


def a_told_parent(name: str, said: dict[str, Any]) -> Parent:
    spec = {key: said[key] for key in ("template", "location", "host", "pool")} | {
        "templateUID": "t", "format": "qcow2", "sourceHash": "h",
    }  # fmt: skip
    return Parent.read({"metadata": {"name": name}, "spec": spec, "status": {"state": said["state"]}})


def a_told_volume(name: str, said: dict[str, Any]) -> Volume:
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
