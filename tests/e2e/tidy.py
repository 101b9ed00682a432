"""What a test left behind: asked about at its end, shown when it failed, and removed by force if it must be."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from goldpool.contracts.layout import DIRECTORIES
from tests.e2e.api import DATA_NAMESPACE, Api, Obj, Refused
from tests.e2e.builders import SHARED_GOLDEN, SHARED_STANDARD, TEST_GOLDEN, TEST_STANDARD
from tests.e2e.nodes import Nodes

if TYPE_CHECKING:
    from tests.e2e.site import Site

_KINDS: Final = ("StoragePool", "StorageLocation", "Template", "Parent")
_TENANT_KINDS: Final = ("VirtualMachine", "Volume")
_PATHS: Final = (TEST_GOLDEN, TEST_STANDARD, SHARED_GOLDEN, SHARED_STANDARD)
_KEPT_EMPTY: Final = ("templates", "volumes", "tmp")


def left_of(site: "Site") -> list[str]:
    """Objects, Jobs, pods, Leases and files that the test's end should have removed."""
    api = site.api
    left = [f"{kind} {_name(o)}" for kind in _KINDS for o in api.every(kind) if site.token in _name(o)]
    left += [f"{kind} {_name(o)}" for kind in _TENANT_KINDS for o in api.every(kind, site.namespace)]
    left += [f"{kind} {_name(o)}" for kind, o in _in_data_namespace(site)]
    return left + files_left(site.nodes)


def files_left(nodes: Nodes) -> list[str]:
    """Bytes of templates, volumes and unfinished work on the pools of tests."""
    return [
        f"{node}:{path}/{directory}/{name}"
        for node in nodes.names()
        for path in _PATHS
        for directory in _KEPT_EMPTY
        for name in nodes.names_in(node, f"{path}/{directory}")
    ]


def dump(site: "Site") -> str:
    """Everything that could say why a test failed."""
    api, parts = site.api, []
    objects = [o for kind in _KINDS for o in api.every(kind) if site.token in _name(o)]
    objects += [o for kind in _TENANT_KINDS for o in api.every(kind, site.namespace)]
    for obj in objects:
        obj["metadata"].pop("managedFields", None)
        parts.append(json.dumps({k: obj[k] for k in ("kind", "metadata", "spec", "status") if k in obj}))
    for kind, obj in _in_data_namespace(site):
        status = obj.get("status") or {}
        brief = {"phase": status.get("phase"), "containers": status.get("containerStatuses")}
        parts.append(
            f"{kind} {_name(obj)} deleted={obj['metadata'].get('deletionTimestamp')} {json.dumps(brief)}"
        )
        if kind == "Pod":
            parts.append(api.log(_name(obj))[-1500:])
    parts += [f"file {name}" for name in files_left(site.nodes)]
    for event in api.every("Event", site.namespace) + api.every("Event", DATA_NAMESPACE)[-60:]:
        about = event["regarding"] if "regarding" in event else event["involvedObject"]
        parts.append(f"event {about['kind']} {about['name']}: {event.get('reason')} {event.get('message')}")
    return "\n".join(parts)


def force(site: "Site") -> None:
    """So that the next test finds the disks as the first one did. Proves nothing."""
    api = site.api
    for kind in (*_TENANT_KINDS, "Template", "Parent", "StoragePool", "StorageLocation"):
        tenant = kind in _TENANT_KINDS
        namespace = site.namespace if tenant else ""
        for obj in api.every(kind, namespace):
            if tenant or site.token in _name(obj):
                _strip(api, kind, obj, namespace)
    for kind, obj in _in_data_namespace(site):
        _strip(api, kind, obj, DATA_NAMESPACE)
    wipe(site.nodes)


def wipe(nodes: Nodes) -> None:
    """The disks of tests are as if no pool had ever been there."""
    for node in nodes.names():
        for path in _PATHS:
            names = " ".join(f"{path}/{name}" for name in (".goldpool", *DIRECTORIES))
            with suppress(RuntimeError):
                nodes.run(node, "sh", "-c", f"rm -rf {names}")


def _in_data_namespace(site: "Site") -> Iterator[tuple[str, Obj]]:
    for kind in ("Job", "Pod", "Lease"):
        for obj in site.api.every(kind, DATA_NAMESPACE):
            metadata = obj["metadata"]
            notes = json.dumps([metadata.get("annotations"), metadata.get("labels")])
            if site.token in notes or site.token in metadata["name"]:
                yield kind, obj


def _strip(api: Api, kind: str, obj: Obj, namespace: str) -> None:
    with suppress(Refused):
        api.delete(kind, _name(obj), namespace, grace=0 if kind == "Pod" else None)
    with suppress(Refused):
        api.patch(kind, _name(obj), {"metadata": {"finalizers": None}}, namespace)


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])
