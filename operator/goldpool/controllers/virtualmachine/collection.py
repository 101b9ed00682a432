"""How goes what machines left behind."""

from goldpool.controllers.naming import STOPPED_FINALIZER
from goldpool.controllers.virtualmachine.effects import delete_pod
from goldpool.controllers.virtualmachine.evidence import proven_stopped
from goldpool.controllers.virtualmachine.orphans import Orphans, holder, machine_of
from goldpool.engine.plan import Delete, Plan, RemoveFinalizer
from goldpool.kube import resources as r

_LOOK_SECONDS = 10


def collect(o: Orphans) -> Plan:
    """Pods are ended as any machine's; a claim goes when none of them is left, and its disk is in no pod's hands."""
    effects: list[object] = []
    for pod in o.pods:
        if "deletionTimestamp" not in pod["metadata"]:
            effects.append(delete_pod(pod))
        if proven_stopped(pod, o.nodes.get(pod["spec"].get("nodeName", ""))):
            effects.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
    running = {machine_of(pod) for pod in o.pods}
    for claim in o.claims:
        if holder(claim.lease) not in running and not claim.users:
            metadata = claim.lease["metadata"]
            effects.append(
                Delete(
                    r.LEASE,
                    metadata["name"],
                    metadata["namespace"],
                    metadata["uid"],
                    metadata["resourceVersion"],
                )
            )
    for root in o.roots:
        # Bound meanwhile it has another version, and stays.
        found = root.metadata
        effects.append(Delete(r.VOLUME, found.name, found.namespace, found.uid, found.resource_version))
    return Plan(effects=tuple(effects), again_after=_LOOK_SECONDS if o.pods or o.claims else None)
