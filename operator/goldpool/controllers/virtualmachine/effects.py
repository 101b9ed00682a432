"""What a machine's plan asks the engine to write."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.model import API_VERSION, format_quantity
from goldpool.api.template import TemplateFormat
from goldpool.controllers.naming import (
    ABANDONED_ANNOTATION,
    FINALIZER,
    FIRST_USE_ANNOTATION,
    HOLDER_ANNOTATION,
    LABEL_MANAGED,
    LABEL_VM_NAME,
    LABEL_VOLUME_UID,
    MADE_FOR_ANNOTATION,
    MANAGED_BY,
    VOLUME_ANNOTATION,
    lease_name,
)
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.engine.plan import Create, Delete, Patch, PatchStatus
from goldpool.kube import resources as r


def ensure_root(o: Observed) -> tuple[Create, ...]:
    spec = o.machine.spec.root_volume
    if o.root.volume is not None or spec.volume_ref is not None:
        return ()
    if spec.template_ref is not None and (o.template is None or o.template.spec.format is TemplateFormat.ISO):
        return ()
    if o.machine.status.first_start_time is not None:
        # What the machine has written would be gone without a word.
        return ()
    size = spec.size
    metadata = o.machine.metadata
    return (
        Create(
            r.VOLUME,
            {
                "apiVersion": API_VERSION,
                "kind": "Volume",
                "metadata": {
                    "name": o.root.volume_name,
                    "namespace": metadata.namespace,
                    "finalizers": [FINALIZER],
                    "labels": {LABEL_MANAGED: MANAGED_BY, LABEL_VM_NAME: metadata.name},
                    "annotations": {MADE_FOR_ANNOTATION: metadata.uid},
                },
                "spec": {
                    "type": "Root",
                    **({"size": format_quantity(size)} if size else {}),
                    **(
                        {"source": {"templateRef": {"name": spec.template_ref.name}}}
                        if spec.template_ref
                        else {}
                    ),
                    "reclaimPolicy": spec.reclaim_policy,
                    "poolTags": list(spec.pool_tags),
                    **({"iops": spec.iops} if spec.iops else {}),
                },
            },
        ),
    )


def claim_lease(o: Observed, disk: DiskView, *, first: bool) -> Create:
    """``first``: an effect before this one marks the disk used, guarded, so nobody can have used it earlier."""
    assert disk.volume is not None
    volume, machine = disk.volume.metadata, o.machine.metadata
    return Create(
        r.LEASE,
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": lease_name(volume.uid),
                "namespace": o.pods.namespace,
                "labels": {LABEL_MANAGED: MANAGED_BY, LABEL_VOLUME_UID: volume.uid},
                "annotations": {
                    VOLUME_ANNOTATION: f"{volume.namespace}/{volume.name}",
                    HOLDER_ANNOTATION: f"{machine.namespace}/{machine.name}",
                    **({FIRST_USE_ANNOTATION: "true"} if first else {}),
                },
            },
            "spec": {"holderIdentity": machine.uid},
        },
    )


def mark_used(disk: DiskView, when: str | None) -> PatchStatus:
    assert disk.volume is not None
    metadata = disk.volume.metadata
    return PatchStatus(
        r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, {"firstUsedTime": when}
    )


def release_claims(o: Observed, disks: Iterable[DiskView]) -> tuple[Delete, ...]:
    return tuple(
        Delete(r.LEASE, d.lease["metadata"]["name"], o.pods.namespace, d.lease["metadata"]["uid"])
        for d in disks
        if d.lease is not None and d.holder == o.machine.metadata.uid and not d.abandoned_on
    )


def abandon_claims(o: Observed, host: str) -> tuple[Patch, ...]:
    """Claims that another host could use are never given back on a person's word that this one is lost: a process there
    may still write. Where only the lost host reaches the bytes, QEMU's own lock on the file keeps a second writer out."""
    return tuple(
        Patch(
            r.LEASE,
            d.lease["metadata"]["name"],
            o.pods.namespace,
            d.lease["metadata"]["resourceVersion"],
            {"metadata": {"annotations": {ABANDONED_ANNOTATION: host}}},
        )
        for d in o.disks
        if d.lease is not None
        and d.holder == o.machine.metadata.uid
        and d.host != host
        and not d.abandoned_on
    )


def delete_pod(pod: dict[str, Any]) -> Delete:
    metadata = pod["metadata"]
    return Delete(r.POD, metadata["name"], metadata["namespace"], metadata["uid"])
