"""Which finalizers may be taken off when Goldpool is left, and which must stay. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from goldpool.kube import resources
from goldpool.kube.port import Obj, Resource

PREFIX: Final = "goldpool.io/"
LABEL_VM_UID: Final = "goldpool.io/virtualmachine-uid"

ORDER: Final[tuple[Resource, ...]] = (
    resources.VIRTUAL_MACHINE, resources.VOLUME, resources.PARENT, resources.STORAGE_LOCATION,
    resources.TEMPLATE, resources.STORAGE_POOL, resources.POD,
)  # fmt: skip
"""Users before what they use."""


@dataclass(frozen=True)
class Release:
    """One object. ``kept`` says why it keeps its finalizers; empty: they go."""

    resource: Resource
    obj: Obj
    kept: str = ""

    @property
    def name(self) -> str:
        metadata = self.obj["metadata"]
        return "/".join(filter(None, [self.resource.kind, metadata.get("namespace"), metadata["name"]]))

    def patch(self) -> dict[str, Any]:
        """A merge patch that fits only the object that was looked at. Others' finalizers are not ours to remove."""
        metadata = self.obj["metadata"]
        rest = [each for each in metadata["finalizers"] if not each.startswith(PREFIX)]
        return {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": rest}}


def releases(
    found: Mapping[Resource, Sequence[Obj]], *, names: Iterable[str] = (), terminating: bool = False
) -> list[Release]:
    """Every object that bears a finalizer of Goldpool's, in the order of their release. ``names`` are
    ``KIND/NAME``, of which there must be none that is not found: raises KeyError with it.

    A pod whose processes may still write keeps its finalizer, and its machine with it: the object is what shows that
    the disk is in use.
    """
    running = {
        pod["metadata"].get("labels", {}).get(LABEL_VM_UID, ""): pod["metadata"]["name"]
        for pod in found.get(resources.POD, ())
        if may_write(pod)
    }
    wanted = {_key(name): name for name in names}
    left = dict(wanted)
    chosen = []
    for resource in ORDER:
        for obj in found.get(resource, ()):
            metadata = obj["metadata"]
            key = (resource.kind.lower(), metadata["name"])
            left.pop(key, None)
            if not any(each.startswith(PREFIX) for each in metadata.get("finalizers", ())):
                continue
            if (wanted and key not in wanted) or (terminating and "deletionTimestamp" not in metadata):
                continue
            chosen.append(Release(resource, obj, _kept(resource, obj, running)))
    if left:
        raise KeyError(next(iter(left.values())))
    return chosen


def may_write(pod: Obj) -> bool:
    """Whether a process of the pod may still write to a disk. Only the kubelet's report that all containers have ended
    says no, or that the pod was never given to a node; a phase alone proves nothing."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    if not pod["spec"].get("nodeName"):
        return False
    ended = all("terminated" in (status.get("state") or {}) for status in statuses)
    return not (ended and len(statuses) == len(pod["spec"]["containers"]))


def _kept(resource: Resource, obj: Obj, running: Mapping[str, str]) -> str:
    if resource is resources.POD and may_write(obj):
        return f"its containers have not ended on node {obj['spec']['nodeName']}"
    if resource is resources.VIRTUAL_MACHINE and (pod := running.get(obj["metadata"]["uid"])):
        return f"its pod {pod} runs: stop it first"
    return ""


def _key(name: str) -> tuple[str, str]:
    kind, _, rest = name.partition("/")
    return kind.lower(), rest
