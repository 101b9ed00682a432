"""By what the controllers find objects in the cache, and what a raw object says of that."""

from collections.abc import Iterable
from typing import Any, Final

from goldpool.controllers.naming import HOLDER_ANNOTATION, LABEL_VM_NAME, LABEL_VM_NAMESPACE
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Obj

BY_POOL: Final = "pool"
BY_PARENT_POOL: Final = "parentPool"
BY_TEMPLATE: Final = "template"
BY_PARENT: Final = "parent"
BY_LOCATION: Final = "location"
BY_HOST: Final = "host"
BY_VOLUME: Final = "volume"
BY_MACHINE: Final = "machine"
BY_HOLDER: Final = "holder"
BY_ISO: Final = "iso"
BY_ISO_POOL: Final = "isoPool"


def register_indices(cache: Cache) -> None:
    """Called once, before any source delivers."""
    cache.add_index(r.VOLUME, BY_POOL, lambda o: _text(o, "spec", "placement", "pool"))
    cache.add_index(r.VOLUME, BY_PARENT_POOL, lambda o: _text(o, "spec", "placement", "parentPool"))
    cache.add_index(r.VOLUME, BY_TEMPLATE, lambda o: _text(o, "spec", "source", "templateRef", "name"))
    cache.add_index(r.VOLUME, BY_PARENT, lambda o: _text(o, "status", "parent"))
    cache.add_index(r.PARENT, BY_TEMPLATE, lambda o: _text(o, "spec", "template"))
    cache.add_index(r.PARENT, BY_LOCATION, lambda o: _text(o, "spec", "location"))
    cache.add_index(r.PARENT, BY_POOL, lambda o: _text(o, "spec", "pool"))
    cache.add_index(r.STORAGE_LOCATION, BY_POOL, lambda o: _text(o, "spec", "pool"))
    cache.add_index(r.STORAGE_LOCATION, BY_HOST, lambda o: _text(o, "spec", "host"))
    cache.add_index(r.VIRTUAL_MACHINE, BY_VOLUME, volumes_named_by)
    cache.add_index(r.VOLUME, BY_MACHINE, machine_of_volume)
    cache.add_index(r.POD, BY_MACHINE, machine_of_pod)
    cache.add_index(r.LEASE, BY_HOLDER, lambda o: _text(o, "metadata", "annotations", HOLDER_ANNOTATION))
    cache.add_index(r.VIRTUAL_MACHINE, BY_TEMPLATE, templates_named_by)
    cache.add_index(r.VIRTUAL_MACHINE, BY_ISO, lambda o: _text(o, "status", "iso", "template"))
    cache.add_index(r.VIRTUAL_MACHINE, BY_ISO_POOL, lambda o: _text(o, "status", "iso", "pool"))


def root_volume_name(machine: Obj) -> str:
    """Of a raw VirtualMachine: the Volume it boots from, whether it exists yet or not."""
    given: str = machine["spec"]["rootVolume"].get("volumeRef", {}).get("name", "")
    return given or f"{machine['metadata']['name']}-root"


def volumes_named_by(machine: Obj) -> Iterable[str]:
    """``namespace/name`` of each Volume a raw VirtualMachine uses."""
    namespace = machine["metadata"].get("namespace", "")
    yield f"{namespace}/{root_volume_name(machine)}"
    for attached in machine["spec"].get("volumes", ()):
        yield f"{namespace}/{attached['volumeRef']['name']}"


def templates_named_by(machine: Obj) -> Iterable[str]:
    """Of a raw VirtualMachine: the template it boots from, and that of its ISO."""
    yield from _text(machine, "spec", "rootVolume", "templateRef", "name")
    yield from _text(machine, "spec", "iso", "templateRef", "name")


def machine_of_volume(volume: Obj) -> Iterable[str]:
    """``namespace/name`` of the machine a raw root Volume was made for."""
    name = (volume["metadata"].get("labels") or {}).get(LABEL_VM_NAME)
    return (f"{volume['metadata'].get('namespace', '')}/{name}",) if name else ()


def machine_of_pod(pod: Obj) -> Iterable[str]:
    labels = pod["metadata"].get("labels") or {}
    return (
        (f"{labels[LABEL_VM_NAMESPACE]}/{labels.get(LABEL_VM_NAME, '')}",)
        if LABEL_VM_NAMESPACE in labels
        else ()
    )


def _text(obj: Obj, *path: str) -> Iterable[str]:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return ()
    return (str(value),) if value != "" else ()
