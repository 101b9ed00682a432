"""The end of a machine: its pod first, then its claims, then the root volume that was made for it."""

from typing import Any

from goldpool.api.conditions import Reason
from goldpool.api.volume import ReclaimPolicy
from goldpool.controllers.abandonment import abandons, way_out
from goldpool.controllers.naming import (
    ABANDON_ANNOTATION,
    FINALIZER,
    MADE_FOR_ANNOTATION,
    STOPPED_FINALIZER,
)
from goldpool.controllers.verdict import busy
from goldpool.controllers.virtualmachine.effects import abandon_claims, delete_pod, release_claims
from goldpool.controllers.virtualmachine.evidence import proven_stopped
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.controllers.virtualmachine.running import host_lost, is_lost
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import Delete, EventKind, Patch, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if FINALIZER not in o.machine.metadata.finalizers:
        return Plan()
    draft = Draft.of(o)
    if o.pod is not None and not _left_behind(o, o.pod):
        return _remove_pod(o, draft, o.pod)
    effects: list[object] = [*release_claims(o, o.disks), *_remove_root(o, o.root)]
    return Plan(effects=(*effects, RemoveFinalizer(r.VIRTUAL_MACHINE, o.raw, FINALIZER)))


def _remove_root(o: Observed, disk: DiskView) -> list[object]:
    root = disk.volume
    if (
        root is None
        or root.deleting
        or root.metadata.annotations.get(MADE_FOR_ANNOTATION) != o.machine.metadata.uid
        or o.machine.spec.root_volume.reclaim_policy is not ReclaimPolicy.DELETE
    ):
        return []
    metadata = root.metadata
    effects: list[object] = []
    if abandons(o.machine.metadata.annotations, disk.host) and not abandons(metadata.annotations, disk.host):
        # Who gave up the host gave up the disk that goes with the machine, too.
        note = {"metadata": {"annotations": {ABANDON_ANNOTATION: disk.host}}}
        effects.append(Patch(r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, note))
    return [*effects, Delete(r.VOLUME, metadata.name, metadata.namespace, metadata.uid)]


def _given_up(o: Observed, pod: dict[str, Any]) -> str:
    """Why the machine's deletion need not wait for its lost host; empty while it must."""
    if not is_lost(o, pod):
        return ""
    host = pod["spec"]["nodeName"]
    if not o.pod_node_known:
        # A Node that was deleted will not come back as itself.
        return f"node {host} was deleted"
    return f"node {host} was given up" if abandons(o.machine.metadata.annotations, host) else ""


def _left_behind(o: Observed, pod: dict[str, Any]) -> bool:
    """The object waits for a kubelet that may never answer; nothing of ours waits for the object."""
    held = STOPPED_FINALIZER in pod["metadata"].get("finalizers", ())
    return not held and "deletionTimestamp" in pod["metadata"] and bool(_given_up(o, pod))


def _remove_pod(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    going = "deletionTimestamp" in pod["metadata"]
    held = STOPPED_FINALIZER in pod["metadata"].get("finalizers", ())
    effects: list[object] = [] if going else [delete_pod(pod)]
    if proven_stopped(pod, o.pod_node):
        if held:
            effects.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
        return Plan(effects=tuple(effects))
    if going and held and (why := _given_up(o, pod)):
        # Nothing is started in its place: claims that another host could use are kept.
        host = pod["spec"]["nodeName"]
        note = f"{why}: the machine's deletion does not wait for it; its processes there may still run"
        told = Record(o.raw, EventKind.WARNING, Reason.ABANDONED, "Delete", note)
        kept = abandon_claims(o, host)
        return Plan(effects=(*kept, told, RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER)), again_after=0)
    message = "the guest is shutting down"
    if is_lost(o, pod):
        machine = o.machine.metadata
        what = f"-n {machine.namespace} virtualmachine {machine.name}"
        message = host_lost(o, pod) + way_out(machine.annotations, pod["spec"]["nodeName"], what)
    return Plan(effects=tuple(effects), status=draft.status(busy(Reason.TERMINATING, message), "Terminating"))
