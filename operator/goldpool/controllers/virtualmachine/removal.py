"""The end of a machine: its pod first, then its claims, then the root volume that was made for it."""

from typing import Any

from goldpool.api.conditions import Reason
from goldpool.api.volume import ReclaimPolicy
from goldpool.controllers.naming import FINALIZER, MADE_FOR_ANNOTATION, STOPPED_FINALIZER
from goldpool.controllers.verdict import busy
from goldpool.controllers.virtualmachine.effects import delete_pod, release_claims
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.pod import proven_stopped
from goldpool.controllers.virtualmachine.running import host_lost
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import Delete, Plan, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if FINALIZER not in o.machine.metadata.finalizers:
        return Plan()
    draft = Draft.of(o)
    if o.pod is not None:
        return _remove_pod(o, draft, o.pod)
    effects: list[object] = [*release_claims(o, o.disks)]
    root = o.root.volume
    ours = root is not None and root.metadata.annotations.get(MADE_FOR_ANNOTATION) == o.machine.metadata.uid
    if (
        root is not None
        and ours
        and o.machine.spec.root_volume.reclaim_policy is ReclaimPolicy.DELETE
        and not root.deleting
    ):
        effects.append(Delete(r.VOLUME, root.metadata.name, root.metadata.namespace, root.metadata.uid))
    effects.append(RemoveFinalizer(r.VIRTUAL_MACHINE, o.raw, FINALIZER))
    return Plan(effects=tuple(effects))


def _remove_pod(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    going = "deletionTimestamp" in pod["metadata"]
    node_gone = bool(pod["spec"].get("nodeName")) and not o.pod_node_known
    effects: list[object] = [] if going else [delete_pod(pod)]
    if proven_stopped(pod, o.pod_node) or (going and node_gone):
        # A Node that was deleted will not come back as itself; nothing is started in its place.
        if STOPPED_FINALIZER in pod["metadata"].get("finalizers", ()):
            effects.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
        return Plan(effects=tuple(effects))
    lost = bool(pod["spec"].get("nodeName")) and (o.pod_node is None or not o.pod_node.ready)
    message = host_lost(pod) if lost else "the guest is shutting down"
    return Plan(effects=tuple(effects), status=draft.status(busy(Reason.TERMINATING, message), "Terminating"))
