"""Objects as the API server stores them, with defaults that fit each other: a test names only what it is about.

``status`` and ``metadata`` keywords replace single fields; None takes a field away.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from goldpool.api.model import API_VERSION
from goldpool.controllers.naming import FINALIZER, MADE_FOR_ANNOTATION, STOPPED_FINALIZER, source_hash
from goldpool.kube.port import Obj
from goldpool.planning.snapshot import NodeView
from goldpool.settings import Settings

NOW: Final = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
NODE: Final = "node-1"
DATA: Final = "goldpool-data"
TEAM: Final = "team-a"
REVISION: Final = "a" * 64
OTHER_REVISION: Final = "b" * 64
GIB: Final = 1 << 30
SETTINGS: Final = Settings()


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_condition(kind: str = "Ready", status: str = "True", reason: str = "Ready", **more: Any) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": ago(60), **more}


def an_object(kind: str, name: str, spec: Obj, *, namespace: str = "", **more: Any) -> Obj:
    """``deleting``, ``finalizers``, ``annotations``, ``labels``, ``uid`` and ``generation`` go into the metadata."""
    metadata: Obj = {
        "name": name,
        "uid": more.get("uid", f"uid-{name}"),
        "resourceVersion": more.get("version", "1"),
        "generation": more.get("generation", 1),
        "creationTimestamp": more.get("created", ago(3600)),
        "finalizers": more.get("finalizers", [FINALIZER]),
        "annotations": more.get("annotations", {}),
        "labels": more.get("labels", {}),
    }
    if namespace:
        metadata["namespace"] = namespace
    if more.get("deleting"):
        metadata["deletionTimestamp"] = ago(5)
    status = {name: value for name, value in more.get("status", {}).items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": status}


def a_pool(name: str = "std-a", *, path: str | None = None, **more: Any) -> Obj:
    """A Host-scoped pool on every node. ``spec`` replaces fields of the spec."""
    backend = {"hostPath": {"path": path or f"/srv/{name}", "requireMount": True}}
    spec = {"golden": False, "backend": backend, "scope": "Host", "hostSelector": {"matchLabels": {}}}
    return an_object("StoragePool", name, spec | more.pop("spec", {}), **more)


def a_golden_pool(name: str = "golden-ssd", **more: Any) -> Obj:
    return a_pool(name, **(more | {"spec": {"golden": True} | more.get("spec", {})}))


def a_location(pool: str = "std-a", host: str = NODE, *, ready: bool = True, **more: Any) -> Obj:
    """Initialised an hour ago, looked at a minute ago. Its name is told by pool and host."""
    status = {
        "initializedTime": ago(3600),
        "nodeUID": f"uid-{host}" if host else None,
        "total": "100Gi",
        "free": "90Gi",
        "probeTime": ago(60),
        "conditions": [a_condition(status="True" if ready else "False")],
    }
    spec = {"pool": pool, "poolUID": f"uid-{pool}", "host": host}
    name = more.pop("name", f"{pool}.{host}" if host else pool)
    return an_object("StorageLocation", name, spec, **(more | {"status": status | more.get("status", {})}))


def a_template(name: str = "debian-12", **more: Any) -> Obj:
    """Golden, without copies wanted ahead; nothing is known of its bytes yet."""
    spec = {
        "golden": True,
        "directDownload": True,
        "format": "qcow2",
        "source": {"url": "https://mirror.example/debian-12.qcow2"},
        "prepare": {"pools": []},
        "retention": "1h",
    }
    return an_object("Template", name, spec | more.pop("spec", {}), **more)


def a_pinned_template(name: str = "debian-12", **more: Any) -> Obj:
    known = {"revision": REVISION, "size": "1Gi", "virtualSize": "2Gi"}
    return a_template(name, **(more | {"status": known | more.get("status", {})}))


SOURCE_HASH: Final = source_hash(a_template()["spec"])


def a_parent(
    name: str = "debian-12-aaaaaaaa", *, pool: str = "golden-ssd", host: str = NODE, **more: Any
) -> Obj:
    """Ready, of the pinned revision. ``spec`` and ``status`` replace fields."""
    spec = {
        "template": "debian-12",
        "templateUID": "uid-debian-12",
        "pool": pool,
        "location": f"{pool}.{host}" if host else pool,
        "host": host,
        "format": "qcow2",
        "sourceHash": SOURCE_HASH,
        "revision": "",
    }
    published = {
        "state": "Ready",
        "attempt": 1,
        "revision": REVISION,
        "size": "1Gi",
        "virtualSize": "2Gi",
        "publishedTime": ago(600),
    }
    status = more.pop("status", {})
    if status.get("state") in {None, "Ready", "Published", "Retiring"} or "revision" in status:
        status = published | status
    return an_object("Parent", name, spec | more.pop("spec", {}), **(more | {"status": status}))


def a_volume(name: str = "web-1-root", *, bound: bool = True, made: bool = False, **more: Any) -> Obj:
    """A root volume of the template; ``bound`` to std-a on node-1 with its parent on golden-ssd; ``made``: its disk
    is there."""
    uid = more.setdefault("uid", f"uid-{name}")
    spec: Obj = {"type": "Root", "size": "20Gi", "source": {"templateRef": {"name": "debian-12"}}}
    status: Obj = {}
    if bound or made:
        place = {"pool": "std-a", "host": NODE, "parentPool": "golden-ssd", "volumeUID": uid}
        spec |= {"placement": place, "storageID": "v-aaaaaaaa"}
    if made:
        status = {
            "storageID": "v-aaaaaaaa",
            "location": f"std-a.{NODE}",
            "parentLocation": f"golden-ssd.{NODE}",
            "parent": "debian-12-aaaaaaaa",
            "revision": REVISION,
            "createdTime": ago(300),
            "capacity": "20Gi",
            "conditions": [a_condition(reason="Bound")],
        }
    spec = {k: v for k, v in (spec | more.pop("spec", {})).items() if v is not None}
    more["status"] = status | more.get("status", {})
    return an_object("Volume", name, spec, namespace=TEAM, **more)


def a_blank_volume(name: str = "web-1-data", **more: Any) -> Obj:
    blank = {"type": "Data", "source": None}
    return a_volume(name, **(more | {"spec": blank | more.get("spec", {})}))


def a_root_of(machine: Obj, **more: Any) -> Obj:
    """The root volume that was made for this very machine."""
    metadata = machine["metadata"]
    return a_volume(f"{metadata['name']}-root", annotations={MADE_FOR_ANNOTATION: metadata["uid"]}, **more)


def a_machine(name: str = "web-1", **more: Any) -> Obj:
    """Boots from the template, never started."""
    spec = {
        "cpus": 2,
        "memory": "2Gi",
        "rootVolume": {"templateRef": {"name": "debian-12"}, "reclaimPolicy": "Delete"},
        "runStrategy": "Always",
    }
    status = {"plannedGeneration": more.get("generation", 1)} | more.pop("status", {})
    return an_object(
        "VirtualMachine", name, spec | more.pop("spec", {}), namespace=TEAM, status=status, **more
    )


def a_lease(
    volume: Obj, *, holder: str = "uid-web-1", holder_name: str = f"{TEAM}/web-1", **more: Any
) -> Obj:
    metadata = volume["metadata"]
    annotations = {
        "goldpool.io/volume": f"{metadata['namespace']}/{metadata['name']}",
        "goldpool.io/holder": holder_name,
    } | more.pop("annotations", {})
    lease = an_object(
        "Lease", f"volume-{metadata['uid']}", {"holderIdentity": holder}, namespace=DATA, finalizers=[],
        annotations=annotations, **more,
    )  # fmt: skip
    lease["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "goldpool",
        "goldpool.io/volume-uid": metadata["uid"],
    }
    return lease


def a_container(state: str = "running", **details: Any) -> Obj:
    return {"name": "machine", "state": {state: details}}


def a_terminated(message: str = "", **details: Any) -> Obj:
    return a_container("terminated", **({"startedAt": ago(30), "exitCode": 0, "message": message} | details))


def a_pod(*, node: str = NODE, containers: list[Obj] | None = None, ready: bool = False, **more: Any) -> Obj:
    """The machine's pod, bound to a node, nothing reported yet. ``status`` replaces fields of the status."""
    spec: Obj = {"containers": [{"name": "machine"}]}
    if node:
        spec["nodeName"] = node
    status: Obj = {"phase": "Running" if ready else "Pending", "conditions": []}
    if containers is not None:
        status["containerStatuses"] = containers
    if ready:
        status["conditions"] = [{"type": "Ready", "status": "True"}]
        status.setdefault("containerStatuses", [a_container()])
    more.setdefault("finalizers", [STOPPED_FINALIZER])
    return an_object(
        "Pod", "web-1-pod", spec, namespace=DATA, **(more | {"status": status | more.get("status", {})})
    )


def a_node(name: str = NODE, **changes: Any) -> NodeView:
    defaults: dict[str, Any] = {
        "uid": f"uid-{name}",
        "labels": {"kubernetes.io/hostname": name},
        "ready": True,
        "cordoned": False,
        "taints": (),
        "out_of_service": False,
    }
    return NodeView(name=name, **(defaults | changes))
