"""Large worlds for the planner: pools on many hosts, half full, as a planner that was told them sees them."""

import random
from dataclasses import dataclass
from typing import Any, TypeVar

from goldpool.api.parent import Parent
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.volume import Volume
from goldpool.planning.allocators import ALLOCATORS
from goldpool.planning.identity import location_name
from goldpool.planning.placement import DiskWish, MachineWish, TemplateView
from goldpool.planning.planner import Planner
from goldpool.planning.snapshot import NodeView

GIB = 1 << 30
TEMPLATE = TemplateView("debian-12", golden=True, file_bytes=GIB, virtual_bytes=2 * GIB)
ROOT = DiskWish("root", 20 * GIB, template=TEMPLATE)
ROOT_OF_NEW = DiskWish("root", 20 * GIB, template=TemplateView("new", golden=True))
DATA = DiskWish("data", 50 * GIB)
LOGS = DiskWish("logs", 10 * GIB)
HUGE = DiskWish("root", 1 << 50, template=TEMPLATE)

QUESTIONS: dict[str, tuple[DiskWish, ...]] = {
    "golden root": (ROOT,),
    "golden root of a template nobody has": (ROOT_OF_NEW,),
    "1 disk": (DATA,),
    "3 disks": (ROOT, DATA, LOGS),
    "nothing fits": (HUGE,),
}
"""What is asked, by name."""


@dataclass(frozen=True, slots=True)
class Size:
    """One pool in ten is golden, one in twenty Shared. ``share``: percent of the (pool, host) pairs that are a location.
    ``volumes``: bound ones per ordinary location."""

    pools: int = 100
    hosts: int = 1_000
    share: int = 10
    volumes: int = 2
    fresh: bool = False
    """Nothing is used or promised: all locations are equal."""


P = TypeVar("P", bound=Planner)


def a_planner(size: Size = Size(), *, allocator: str = "firstfitleastconsumed") -> Planner:
    return told(Planner(ALLOCATORS[allocator]), size)


def told(planner: P, size: Size = Size()) -> P:
    """Told everything, and settled. The same for the same size."""
    draw = random.Random(7)
    for n in range(size.hosts):
        name = host_name(n)
        planner.put_node(name, NodeView(name, f"uid-{name}", {"zone": str(n % 3)}, True, False, (), False))
    planner.put_template("debian-12", _template("debian-12", size=GIB, virtualSize=2 * GIB))
    planner.put_template("new", _template("new"))
    for n in range(size.pools):
        golden, shared = n % 10 == 0, n % 20 == 5
        pool = f"{'golden' if golden else 'nfs' if shared else 'std'}-{n:03d}"
        planner.put_pool(pool, _pool(pool, golden=golden, shared=shared))
        hosts = (
            [""] if shared else [host_name(h) for h in range(size.hosts) if (h * 7 + n) % 100 < size.share]
        )
        for host in hosts:
            name = location_name(pool, f"uid-{pool}", host)
            used = 0 if size.fresh else draw.randrange(70)
            planner.put_location(name, _location(name, pool, host, free=(100 - used) * 10 * GIB))
            if golden and not size.fresh and draw.random() < 0.7:
                parent = f"debian-12-{pool}-{host}"
                planner.put_parent(parent, _parent(parent, pool, name, host))
            for v in range(0 if golden or size.fresh else size.volumes):
                volume = f"{pool}-{host}-{v}"
                planner.put_volume(("team-a", volume), _volume(volume, pool, host, draw.randrange(10, 400)))
    planner.settle()
    return planner


def ask(planner: Planner, question: str, seed: int) -> object:
    """One plan, as for the ``seed``-th machine of its kind."""
    wish = MachineWish(QUESTIONS[question], namespace="team-a", unknown_parent_bytes=planner.ledger.unknown)
    return planner.place(wish, seed=seed)


def host_name(n: int) -> str:
    return f"node-{n:04d}"


def _pool(name: str, *, golden: bool, shared: bool) -> StoragePool:
    backend = (
        {"nfs": {"server": "nfs.example", "path": "/export"}}
        if shared
        else {"hostPath": {"path": f"/srv/{name}"}}
    )
    spec: dict[str, Any] = {
        "golden": golden,
        "scope": "Shared" if shared else "Host",
        "backend": backend,
        "hostSelector": {"matchLabels": {}},
    }
    return StoragePool.read({"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec})


def _location(name: str, pool: str, host: str, *, free: int) -> StorageLocation:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "lastTransitionTime": "2026-05-01T12:00:00Z",
    }
    status = {"total": 1000 * GIB, "free": free, "conditions": [ready]}
    spec = {"pool": pool, "poolUID": f"uid-{pool}", "host": host}
    return StorageLocation.read({"metadata": {"name": name}, "spec": spec, "status": status})


def _template(name: str, **status: int) -> Template:
    spec = {"golden": True, "format": "qcow2", "source": {"url": "https://mirror.example/a.qcow2"}}
    return Template.read({"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec, "status": status})


def _parent(name: str, pool: str, location: str, host: str) -> Parent:
    spec = {
        "template": "debian-12", "templateUID": "uid-debian-12", "pool": pool, "location": location, "host": host,
        "format": "qcow2", "sourceHash": "h",
    }  # fmt: skip
    return Parent.read({"metadata": {"name": name}, "spec": spec, "status": {"state": "Ready"}})


def _volume(name: str, pool: str, host: str, gib: int) -> Volume:
    spec = {
        "type": "Data", "size": f"{gib}Gi", "storageID": "v-aaaaaaaa", "placement": {"pool": pool, "host": host},
    }  # fmt: skip
    return Volume.read({"metadata": {"name": name, "namespace": "team-a"}, "spec": spec})
