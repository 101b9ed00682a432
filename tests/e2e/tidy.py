"""What a test left behind: asked about at its end, shown when it failed, and removed by force if it must be."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from goldpool.contracts.layout import DIRECTORIES, IDENTITY_FILE
from tests.e2e.api import DATA_NAMESPACE, Api, Obj, Refused
from tests.e2e.builders import PATHS, every_path
from tests.e2e.nodes import Nodes

_KINDS: Final = ("StoragePool", "StorageLocation", "Template", "Parent")
_TENANT_KINDS: Final = ("VirtualMachine", "Volume")
_KEPT_EMPTY: Final = ("templates", "volumes", "tmp")
NAMESPACE_PREFIX: Final = "e2e-"


@dataclass(frozen=True)
class Traces:
    """By what one test's things are known: its token is in every cluster-wide name."""

    api: Api
    nodes: Nodes
    token: str

    @property
    def namespace(self) -> str:
        return f"{NAMESPACE_PREFIX}{self.token}"


def left_of(site: Traces) -> list[str]:
    """Objects, Jobs, pods, Leases and files that the test's end should have removed."""
    api = site.api
    left = [f"{kind} {_name(o)}" for kind in _KINDS for o in api.every(kind) if site.token in _name(o)]
    left += [f"{kind} {_name(o)}" for kind in _TENANT_KINDS for o in api.every(kind, site.namespace)]
    left += [f"{kind} {_name(o)}" for kind, o in _in_data_namespace(site)]
    return left + files_left(site.nodes)


def files_left(nodes: Nodes) -> list[str]:
    """Bytes of templates, volumes and unfinished work on this worker's disks, and marks of pools: under one of those no
    later test could have a pool."""
    directories = " ".join(f"{path}/{directory}" for path in PATHS for directory in _KEPT_EMPTY)
    marks = " ".join(f"{path}/{IDENTITY_FILE}" for path in PATHS)
    look = (
        f"for d in {directories}; do [ ! -d $d ] || find $d -mindepth 1 -maxdepth 1; done; "
        f"for f in {marks}; do [ ! -e $f ] || echo $f; done"
    )
    return [f"{node}:{name}" for node in nodes.names() for name in nodes.run(node, "sh", "-c", look).split()]


def dump(site: Traces) -> str:
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


def force(site: Traces) -> None:
    """So that the next test finds the disks as the first one did. Proves nothing."""
    _strip_all(site)
    wipe(site.nodes, PATHS)


def clear_away_interrupted_runs(api: Api, nodes: Nodes) -> None:
    """Only while no test runs and no operator: whatever is found belongs to nobody any more."""
    for obj in api.every("Namespace"):
        if (name := _name(obj)).startswith(NAMESPACE_PREFIX):
            _strip_all(Traces(api, nodes, name.removeprefix(NAMESPACE_PREFIX)))
            api.delete("Namespace", name)
    wipe(nodes, every_path())


def wipe(nodes: Nodes, paths: Iterable[str]) -> None:
    """As if no pool had ever been at these paths."""
    names = " ".join(f"{path}/{name}" for path in paths for name in (".goldpool", *DIRECTORIES))
    for node in nodes.names():
        with suppress(RuntimeError):
            nodes.run(node, "sh", "-c", f"rm -rf {names}")


def _strip_all(site: Traces) -> None:
    api = site.api
    for kind in (*_TENANT_KINDS, "Template", "Parent", "StoragePool", "StorageLocation"):
        tenant = kind in _TENANT_KINDS
        namespace = site.namespace if tenant else ""
        for obj in api.every(kind, namespace):
            if tenant or site.token in _name(obj):
                _strip(api, kind, obj, namespace)
    for kind, obj in _in_data_namespace(site):
        _strip(api, kind, obj, DATA_NAMESPACE)


def _in_data_namespace(site: Traces) -> Iterator[tuple[str, Obj]]:
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
