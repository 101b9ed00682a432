"""Objects with defaults, so that a test names only what it is about.

An operator may run on the same cluster. Nothing here makes it do anything: pools select no node, machines are halted. It
may write statuses, and it deletes parents that nobody needs: a finalizer of our own keeps them until a test is done.
"""

from typing import Any, Final

from goldpool.api.model import API_VERSION
from tests.cluster.api.server import Obj, a_suffix

RUN: Final = a_suffix()
NAMESPACE: Final = f"api-test-{RUN}"
NO_NODE: Final = {"matchLabels": {"goldpool.io/api-test": RUN}}


def an_object(kind: str, spec: Obj, name: str, namespace: str = "") -> Obj:
    metadata: Obj = {"name": name or f"api-test-{a_suffix()}", "finalizers": ["goldpool.io/api-test"]}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def without_absent(spec: Obj) -> Obj:
    """None takes a field out of the builder's defaults."""
    return {key: value for key, value in spec.items() if value is not None}


def a_pool(name: str = "", **spec: Any) -> Obj:
    defaults: Obj = {
        "backend": {"hostPath": {"path": f"/srv/{a_suffix()}"}},
        "hostSelector": NO_NODE,
        "state": "Disabled",
    }
    return an_object("StoragePool", without_absent(defaults | spec), name)


def a_template(name: str = "", **spec: Any) -> Obj:
    defaults = {"format": "qcow2", "source": {"url": "http://images.example/a.qcow2"}}
    return an_object("Template", without_absent(defaults | spec), name)


def a_machine(name: str = "", **spec: Any) -> Obj:
    defaults = {
        "memory": "256Mi",
        "rootVolume": {"templateRef": {"name": "api-test-none"}},
        "runStrategy": "Halted",
    }
    return an_object("VirtualMachine", without_absent(defaults | spec), name, NAMESPACE)


def a_volume(name: str = "", **spec: Any) -> Obj:
    return an_object("Volume", without_absent({"size": "1Gi"} | spec), name, NAMESPACE)


def a_location(name: str = "", **spec: Any) -> Obj:
    defaults = {"pool": f"api-test-{RUN}", "poolUID": "u", "host": "h"}
    return an_object("StorageLocation", without_absent(defaults | spec), name)


def a_parent(name: str = "", **spec: Any) -> Obj:
    defaults = {
        "template": f"api-test-{RUN}",
        "templateUID": "t",
        "pool": f"api-test-{RUN}",
        "location": "l",
        "format": "qcow2",
        "sourceHash": "s",
    }
    return an_object("Parent", without_absent(defaults | spec), name)
