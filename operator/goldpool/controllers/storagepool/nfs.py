"""The claim by which storage Jobs and machines mount a pool's NFS export."""

from collections.abc import Iterable
from typing import Any

from goldpool.api.model import API_VERSION
from goldpool.controllers.backing import nfs_claim_name
from goldpool.controllers.naming import LABEL_MANAGED, MANAGED_BY
from goldpool.controllers.storagepool.observed import Observed
from goldpool.engine.plan import Create
from goldpool.kube import resources as r


def claim_for_nfs(o: Observed) -> Iterable[Create]:
    """The kubelet mounts the export; mount options need a PersistentVolume."""
    nfs = o.pool.spec.backend.nfs
    if nfs is None or o.claim_exists:
        return
    name = nfs_claim_name(o.pool)
    common: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeMode": "Filesystem",
    }
    # Collected with the pool. Retain keeps what lies on the export.
    owner = {
        "apiVersion": API_VERSION,
        "kind": "StoragePool",
        "name": o.pool.metadata.name,
        "uid": o.pool.metadata.uid,
    }
    owned: dict[str, Any] = {"labels": {LABEL_MANAGED: MANAGED_BY}, "ownerReferences": [owner]}
    persistent_volume = Create(
        r.PERSISTENT_VOLUME,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": owned | {"name": name},
            "spec": common
            | {
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "mountOptions": nfs.mount_options,
                "nfs": {"server": nfs.server, "path": nfs.path},
                "claimRef": {"namespace": o.data_namespace, "name": name},
            },
        },
    )
    if not o.persistent_volume_exists:
        yield persistent_volume
    yield Create(
        r.PERSISTENT_VOLUME_CLAIM,
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": owned | {"name": name, "namespace": o.data_namespace},
            "spec": common | {"volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
        },
    )
