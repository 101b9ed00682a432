"""The machine's pod: what it may see and do, and what its end proves."""

from collections.abc import Iterable
from typing import Any, Final

from goldpool.api.storagepool import Scope, StoragePool
from goldpool.contracts.health import HEALTH_PORT, READY_TIMEOUT_SECONDS
from goldpool.contracts.layout import ImageFormat, parent_directory, volume_directory
from goldpool.contracts.machine import (
    DISKS_ROOT,
    MACHINE_ENV,
    PARENTS_ROOT,
    Disk,
    Machine,
    ParentDisk,
)
from goldpool.contracts.model import CONTRACT_VERSION
from goldpool.controllers.backing import tolerations_of
from goldpool.controllers.naming import (
    LABEL_MANAGED,
    LABEL_VM_NAME,
    LABEL_VM_NAMESPACE,
    LABEL_VM_UID,
    MANAGED_BY,
    PARENTS_ANNOTATION,
    RESERVED_PREFIXES,
    STOPPED_FINALIZER,
    lease_name,
    pod_name,
)
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.dispatch.mounts import directory_volume
from goldpool.kube.port import Obj

_GRACE_BEYOND_STOP: Final = 30
_TMP: Final = "/tmp"  # noqa: S108 - an emptyDir of the pod


def pod_manifest(o: Observed) -> Obj:
    """One QEMU pod. It sees its own volumes' and parents' directories, nothing beside them, and has no token."""
    machine, settings = o.machine, o.pods
    metadata, spec = machine.metadata, machine.spec
    volumes, mounts = _storage(o)
    images = len(o.disks) + (o.iso is not None)
    memory = spec.memory + settings.memory_overhead_bytes + settings.memory_per_disk_bytes * images
    root_lease = o.root.lease or {}
    priority = spec.priority_class_name or settings.priority_class
    labels = {k: v for k, v in metadata.labels.items() if not k.startswith(RESERVED_PREFIXES)}
    container = {
        "name": "machine",
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "env": [{"name": MACHINE_ENV, "value": machine_contract(o).to_json()}],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": "health"},
            "periodSeconds": 1,
            "timeoutSeconds": READY_TIMEOUT_SECONDS,
            "failureThreshold": 1,
        },
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": "health"},
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        },
        "resources": {
            "requests": {
                "cpu": f"{max(spec.cpus * 1000 // settings.cpu_allocation_ratio, 10)}m",
                "memory": str(memory),
            },
            "limits": {"memory": str(memory)},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            *mounts,
            {"name": "run", "mountPath": "/run/goldpool"},
            {"name": "tmp", "mountPath": _TMP},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(metadata.name, metadata.uid),
            "namespace": settings.namespace,
            "finalizers": [STOPPED_FINALIZER],
            "labels": labels
            | {
                LABEL_MANAGED: MANAGED_BY,
                LABEL_VM_UID: metadata.uid,
                LABEL_VM_NAME: metadata.name,
                LABEL_VM_NAMESPACE: metadata.namespace,
            },
            "annotations": {
                PARENTS_ANNOTATION: ",".join(_parents(o)),
                "goldpool.io/contract": str(CONTRACT_VERSION),
            },
            # The Lease is the pod's controller, so that kubectl drain takes it for a managed pod and evicts it.
            "ownerReferences": [
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "name": lease_name(o.root.volume.metadata.uid if o.root.volume else ""),
                    "uid": root_lease.get("metadata", {}).get("uid", ""),
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": spec.stop_timeout_seconds + _GRACE_BEYOND_STOP,
            "serviceAccountName": settings.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostname": metadata.name,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 107,
                "runAsGroup": 107,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **({"priorityClassName": priority} if priority else {}),
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _affinity(o)}},
            "tolerations": _tolerations(o),
            "containers": [container],
            "volumes": [*volumes, {"name": "run", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def machine_contract(o: Observed) -> Machine:
    machine = o.machine
    return Machine(
        name=machine.metadata.name,
        uid=machine.metadata.uid,
        cpus=machine.spec.cpus,
        memory_bytes=machine.spec.memory,
        disks=tuple(_disk(d) for d in o.disks),
        cdrom=_cdrom(o),
        stop_seconds=machine.spec.stop_timeout_seconds,
    )


def _cdrom(o: Observed) -> ParentDisk | None:
    if o.iso is None:
        return None
    return ParentDisk(parent=o.iso.parent or "", format=ImageFormat.ISO, revision=o.iso.revision or "")


def _parents(o: Observed) -> list[str]:
    """Names of all parents the guest reads."""
    names = {d.parent.metadata.name for d in o.disks if d.parent}
    return sorted(names | ({o.iso.parent} if o.iso is not None and o.iso.parent else set()))


def _disk(disk: DiskView) -> Disk:
    assert disk.volume is not None
    parent = disk.parent
    return Disk(
        name=disk.name,
        storage_id=disk.volume.spec.storage_id or "",
        volume_uid=disk.volume.metadata.uid,
        boot=disk.root,
        parent=ParentDisk(
            parent=parent.metadata.name,
            format=ImageFormat(parent.spec.format),
            revision=disk.volume.status.revision or "",
        )
        if parent is not None
        else None,
    )


def _storage(o: Observed) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes, mounts = [], []
    for number, disk in enumerate(o.disks):
        assert disk.volume is not None
        assert disk.mount is not None
        storage = disk.volume.spec.storage_id or ""
        volume, mount = directory_volume(
            disk.mount,
            volume_directory(storage),
            f"{DISKS_ROOT}/{storage}",
            f"disk-{number}",
            read_only=False,
        )
        volumes.append(volume)
        mounts.append(mount)
        if disk.parent is not None and disk.parent_mount is not None:
            name = disk.parent.metadata.name
            path = f"{PARENTS_ROOT}/{name}"
            if any(m["mountPath"] == path for m in mounts):
                continue
            volume, mount = directory_volume(
                disk.parent_mount, parent_directory(name), path, f"parent-{number}", read_only=True
            )
            volumes.append(volume)
            mounts.append(mount)
    if o.iso is not None and o.iso.parent is not None:
        assert o.medium is not None
        assert o.medium.mount is not None
        name = o.iso.parent
        path = f"{PARENTS_ROOT}/{name}"
        volume, mount = directory_volume(o.medium.mount, parent_directory(name), path, "iso", read_only=True)
        volumes.append(volume)
        mounts.append(mount)
    return volumes, mounts


def pinned_host(disks: Iterable[DiskView]) -> str:
    """The host a machine's bytes tie it to; empty when every disk and parent is on Shared pools."""
    for disk in disks:
        placement = disk.volume.spec.placement if disk.volume else None
        if placement is not None and placement.host:
            return placement.host
    return ""


def tied_host(o: Observed) -> str:
    """The only host the machine can run on: that of its bytes, or of its ISO until another place is chosen for that."""
    return pinned_host(o.disks) or (o.iso.host if o.iso is not None else "")


def _pools(o: Observed) -> Iterable[StoragePool]:
    """Of everything the guest reads."""
    found = [pool for disk in o.disks for pool in (disk.pool, disk.parent_pool)]
    if o.iso is not None and o.medium is not None:
        found.append(o.medium.pool)
    return (pool for pool in found if pool is not None)


def _affinity(o: Observed) -> dict[str, Any]:
    """By the node's name when bytes pin the machine, else kube-scheduler chooses among all that reach the pools."""
    host = tied_host(o)
    if host:
        return {"nodeSelectorTerms": [{"matchFields": [_field("In", host)]}]}
    labels = dict(o.machine.spec.node_selector)
    for pool in _pools(o):
        if pool.spec.scope is Scope.SHARED:
            labels |= pool.spec.host_selector.match_labels
    avoided = sorted({a.host for a in o.machine.status.avoid if a.host and not a.pool})
    term: dict[str, Any] = {"matchFields": [_field("NotIn", a) for a in avoided]} if avoided else {}
    expressions = [{"key": k, "operator": "In", "values": [v]} for k, v in sorted(labels.items())]
    return {"nodeSelectorTerms": [term | {"matchExpressions": expressions or [_any_node()]}]}


def _field(operator: str, host: str) -> dict[str, Any]:
    return {"key": "metadata.name", "operator": operator, "values": [host]}


def _any_node() -> dict[str, Any]:
    # An empty term matches no node at all.
    return {"key": "kubernetes.io/hostname", "operator": "Exists"}


def _tolerations(o: Observed) -> list[dict[str, Any]]:
    """Never evicted by node loss: a machine on a lost host stays there until its end is proven."""
    lost = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute"}
        for what in ("not-ready", "unreachable")
    ]
    asked = [*tolerations_of(o.machine.spec.tolerations)]
    for pool in _pools(o):
        asked += [t for t in tolerations_of(pool.spec.tolerations) if t not in asked]
    return [*lost, *asked]
