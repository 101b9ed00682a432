"""Things with defaults, so that a test names only what it is about. All fit each other unless told otherwise."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.planning.fallback import planned
from goldpool.planning.filters import Ask
from goldpool.planning.index import Index
from goldpool.planning.placement import (
    Avoid,
    DiskWish,
    HostView,
    LocationView,
    MachineWish,
    ParentView,
    Placement,
    TemplateView,
    Unplaceable,
    firstfitleastconsumed,
    place,
)
from goldpool.planning.reservation import by_place
from goldpool.planning.snapshot import NodeView
from goldpool.planning.views import ISO
from goldpool.planning.walk import walk

NODE = "node-1"


def a_location(pool: str = "std-a", host: str = NODE, **changes: Any) -> LocationView:
    """An empty ordinary location of 1,000 bytes, not over-provisioned, limits 85 %; ``used`` is short for free_bytes."""
    shared = changes.setdefault("shared", False)
    changes.setdefault("hosts", frozenset({host}))
    total = changes.setdefault("total_bytes", 1000)
    used = changes.pop("used", 0)
    where = "" if shared else host
    defaults: dict[str, Any] = {
        "name": f"{pool}.{where}",
        "pool": pool,
        "host": where,
        "golden": False,
        "tags": frozenset(),
        "enabled": True,
        "ready": True,
        "free_bytes": total - used,
        "capacity_bytes": None,
        "capacity_iops": None,
        "overprovisioning_percent": 100,
        "used_limit_percent": 85,
        "allocated_limit_percent": 85,
        "allocated_bytes": 0,
        "allocated_iops": 0,
    }
    return LocationView(**(defaults | changes))


def a_shared_location(pool: str = "nfs", hosts: Iterable[str] = (NODE,), **changes: Any) -> LocationView:
    return a_location(pool, shared=True, hosts=frozenset(hosts), **changes)


def a_golden_location(pool: str = "golden-ssd", host: str = NODE, **changes: Any) -> LocationView:
    return a_location(pool, host, golden=True, **changes)


def a_host(name: str = NODE, **changes: Any) -> HostView:
    return HostView(name, **changes)


def a_template(name: str = "debian-12", *, golden: bool = True, **changes: Any) -> TemplateView:
    return TemplateView(name, golden, **({"file_bytes": 50, "virtual_bytes": 100} | changes))


def a_disk(name: str = "root", **changes: Any) -> DiskWish:
    return DiskWish(name, **({"size_bytes": 100} | changes))


def a_golden_disk(name: str = "root", **changes: Any) -> DiskWish:
    return a_disk(name, **({"template": a_template()} | changes))


def a_wish(*disks: DiskWish, **changes: Any) -> MachineWish:
    return MachineWish(disks or (a_disk(),), **changes)


def a_parent_view(location: LocationView, template: str = "debian-12", **changes: Any) -> ParentView:
    return ParentView(template, location.name, **({"ready": True} | changes))


def an_ask(
    disk: DiskWish | None = None,
    *,
    parents: Iterable[ParentView] = (),
    hosts: Iterable[str] = (NODE,),
    **changes: Any,
) -> Ask:
    """One disk's question, on a host that objects to nothing."""
    defaults: dict[str, Any] = {"avoid": Avoid(), "objections": {}, "unknown_parent_bytes": 0}
    return Ask(
        disk=disk or a_disk(), hosts=frozenset(hosts), parents=by_place(parents), **(defaults | changes)
    )


def plan(
    wish: MachineWish,
    locations: Iterable[LocationView],
    *,
    hosts: Iterable[HostView] | None = None,
    parents: Iterable[ParentView] = (),
    seed: int = 0,
    **options: Any,
) -> Placement | Unplaceable:
    """``place`` on every host that a location names, all of them ready, and its fallback. The walk must say the same."""
    known, views = list(locations), list(parents)
    names = sorted({host for loc in known for host in loc.hosts})
    machines = list(hosts) if hosts is not None else [a_host(n) for n in names]

    def alone(asked: MachineWish) -> Placement | Unplaceable:
        answer = place(asked, machines, known, views, seed=seed, **options)
        if asked.disks:
            index = an_index(machines, known, views)
            allocator = options.get("allocator", firstfitleastconsumed)
            walked = walk(index, asked, [], seed=seed, allocator=allocator)
            assert walked == (None if isinstance(answer, Unplaceable) else answer)
        return answer

    return planned(wish, alone)


def a_node_view(host: HostView) -> NodeView:
    taints = ({"key": "gpu", "effect": "NoSchedule"},) if host.tainted else ()
    labels = dict(host.labels)
    return NodeView(host.name, f"uid-{host.name}", labels, host.ready, not host.schedulable, taints, False)


def an_index(
    hosts: Iterable[HostView], locations: Iterable[LocationView], parents: Iterable[ParentView]
) -> Index:
    index = Index()
    for host in hosts:
        index.put_node(a_node_view(host))
    for view in locations:
        index.put_location(view)
    for (template, at), parent in by_place(parents).items():
        index.put_parent(template, at, parent)
    return index


def placed(answer: Placement | Unplaceable) -> Placement:
    assert isinstance(answer, Placement), answer.sentence()
    return answer


def refused(answer: Placement | Unplaceable) -> Unplaceable:
    assert isinstance(answer, Unplaceable), answer
    return answer


def a_volume(
    name: str = "web-1-root",
    *,
    template: str | None = "debian-12",
    bound_to: tuple[str, str] | None = None,
    **more: Any,
) -> Volume:
    """``bound_to`` is (pool, host); ``parent_pool`` and status fields as keywords, status about the current binding."""
    spec: dict[str, Any] = {"type": "Root"}
    if (size := more.pop("size", 100)) is not None:
        spec["size"] = size
    if template is not None:
        spec["source"] = {"templateRef": {"name": template}}
    if (iops := more.pop("iops", None)) is not None:
        spec["iops"] = iops
    if bound_to is not None:
        spec["placement"] = {
            "pool": bound_to[0],
            "host": bound_to[1],
            "parentPool": more.pop("parent_pool", None),
        }
        spec["storageID"] = more.pop("storage_id", "v-00000001")
        more.setdefault("storageID", spec["storageID"])
    metadata = {"name": name, "namespace": more.pop("namespace", "team-a")}
    return Volume.read({"metadata": metadata, "spec": spec, "status": more})


def a_parent(name: str = "par-1", *, pool: str = "golden-ssd", host: str = NODE, **status: Any) -> Parent:
    spec = {
        "template": status.pop("template", "debian-12"),
        "templateUID": "t-1",
        "pool": pool,
        "location": f"{pool}.{host}",
        "host": host,
        "format": "qcow2",
        "sourceHash": "h",
        "fallback": status.pop("fallback", False),
    }
    metadata = {"name": name, "deletionTimestamp": status.pop("deleted", None)}
    return Parent.read(
        {"metadata": metadata, "spec": spec, "status": {"state": "Ready", "revision": "r1"} | status}
    )


def a_registered_template(name: str = "debian-12", *, prepare: Iterable[str] = (), **more: Any) -> Template:
    metadata = {"name": name, "deletionTimestamp": more.pop("deleted", None)}
    spec = {
        "golden": True,
        "format": "qcow2",
        "source": {"url": "https://mirror.example/debian-12.qcow2"},
        "prepare": {"pools": list(prepare)},
        "retention": more.pop("retention", "1h"),
    }
    return Template.read({"metadata": metadata, "spec": spec, "status": more})


def a_medium(**changes: Any) -> DiskWish:
    """The ISO in a machine's CD drive."""
    return a_disk(ISO, **({"size_bytes": 0, "template": a_template("tools"), "medium": True} | changes))


def a_machine(name: str = "web-1", namespace: str = "team-a", **iso: Any) -> VirtualMachine:
    """An empty disk; the fields of ``status.iso`` as keywords, with a template for a start."""
    spec = {"memory": "1Gi", "rootVolume": {"size": "1Gi"}}
    status = {"iso": {"pool": "golden-ssd", "location": f"golden-ssd.{NODE}"} | iso} if iso else {}
    metadata = {"name": name, "namespace": namespace}
    return VirtualMachine.read({"metadata": metadata, "spec": spec, "status": status})


def a_storage_location(pool: str = "golden-ssd", host: str = NODE) -> StorageLocation:
    spec = {"pool": pool, "poolUID": "p-1", "host": host}
    return StorageLocation.read({"metadata": {"name": f"{pool}.{host}"}, "spec": spec})
