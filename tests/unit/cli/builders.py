"""Objects with defaults, so that a test names only what it is about."""

from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume

NOW = "2026-01-01T00:00:00Z"


def ready(status: str = "True", reason: str = "Ready", message: str = "") -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
    }


def stalled() -> dict[str, Any]:
    return {"type": "Stalled", "status": "True", "reason": "Failed", "lastTransitionTime": NOW}


def a_pool(
    name: str = "golden", *, golden: bool = True, deleting: bool = False, **status: Any
) -> StoragePool:
    spec = {"golden": golden, "backend": {"hostPath": {"path": f"/srv/{name}"}}}
    fields = {"phase": "Ready", "conditions": [ready()], **status}
    return StoragePool.read({"metadata": _metadata(name, "", deleting), "spec": spec, "status": fields})


def a_template(name: str = "debian", **status: Any) -> Template:
    spec = {"golden": True, "format": "qcow2", "source": {"url": "http://images.example/a.qcow2"}}
    return Template.read({"metadata": _metadata(name), "spec": spec, "status": status})


def a_parent(
    name: str = "debian-1", *, pool: str = "golden", host: str = "node-1", state: str = "Ready", **status: Any
) -> Parent:
    spec = {
        "template": "debian", "templateUID": "t", "pool": pool, "location": f"{pool}-{host}", "host": host,
        "format": "qcow2", "sourceHash": "h",
        "fallback": status.pop("fallback", False),
    }  # fmt: skip
    return Parent.read({"metadata": _metadata(name), "spec": spec, "status": {"state": state, **status}})


def a_volume(
    name: str = "web-root",
    *,
    namespace: str = "team",
    template: str | None = "debian",
    parent: str | None = None,
    pool: str | None = "standard",
    **status: Any,
) -> Volume:
    spec: dict[str, Any] = {"type": "Root" if template else "Data", "size": "1Gi"}
    if template:
        spec["source"] = {"templateRef": {"name": template}}
    if pool:
        spec["placement"] = {"pool": pool, "host": "node-1"}
    fields = {"phase": "InUse", "conditions": [ready()], "parent": parent, **status}
    return Volume.read({"metadata": _metadata(name, namespace), "spec": spec, "status": fields})


def a_machine(
    name: str = "web",
    *,
    namespace: str = "team",
    root: str | None = "web-root",
    attached: tuple[str, ...] = (),
    deleting: bool = False,
    **status: Any,
) -> VirtualMachine:
    spec = {
        "memory": "256Mi",
        "rootVolume": {"templateRef": {"name": "debian"}},
        "volumes": [{"name": each, "volumeRef": {"name": each}} for each in attached],
    }
    fields = {"phase": "Running", "conditions": [ready(reason="Running")], "rootVolume": root, **status}
    return VirtualMachine.read(
        {"metadata": _metadata(name, namespace, deleting), "spec": spec, "status": fields}
    )


def _metadata(name: str, namespace: str = "", deleting: bool = False) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "uid": f"{name}-uid", "resourceVersion": "1"} | (
        {"deletionTimestamp": NOW} if deleting else {}
    )
