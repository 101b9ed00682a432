"""The Job of a batch. Pure: the same batch gives the same manifest."""

from collections.abc import Sequence
from typing import Any, Final

from goldpool.contracts.layout import STORAGE_UID
from goldpool.contracts.operations import BATCH_ENV, Batch, Fetch, Operation, Probe, ProbeSource
from goldpool.dispatch import record
from goldpool.dispatch.claims import allowed_on_cordoned, needs_root
from goldpool.dispatch.mounts import pool_volume, source_volumes
from goldpool.dispatch.record import JobRecord
from goldpool.dispatch.request import Request
from goldpool.dispatch.settings import DispatchSettings
from goldpool.kube.port import Obj

CONTAINER: Final = "worker"
TTL_SECONDS: Final = 3600
"""Only a fallback: a Job is deleted when what it did is recorded."""

CORDONED: Final = {
    "key": "node.kubernetes.io/unschedulable",
    "operator": "Exists",
    "effect": "NoSchedule",
}
_ROOT_CAPABILITIES: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER")


def batch_json(requests: Sequence[Request]) -> str:
    """The batch as the pod's environment carries it. ``$`` is written as an escape of JSON's, because the kubelet
    replaces ``$$`` and ``$(NAME)`` in values, and a URL may hold either."""
    batch = Batch(
        operations=tuple(request.operation for request in requests),
        identities=(mount.identity,) if (mount := requests[0].mount) is not None else (),
    )
    return _without_dollar(batch.to_json())


def size_of(operation: Operation) -> int:
    """Bytes the operation adds to a batch, its comma included."""
    return len(_without_dollar(operation.to_json()).encode()) + 1


def job(job_record: JobRecord, requests: Sequence[Request], settings: DispatchSettings) -> Obj:
    """``requests`` share one mount, one host and the same tolerations."""
    labels = {
        record.MANAGED_BY: record.MANAGER,
        record.JOB_LABEL: job_record.kind.value,
    }
    if job_record.lane.location:
        labels[record.LOCATION_LABEL] = record.label_value(job_record.lane.location)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_record.name,
            "namespace": settings.namespace,
            "labels": labels,
            "annotations": record.annotations(job_record),
        },
        "spec": {
            # Retry is the operator's: it knows what was done. A replacement beside a pod on a lost node would write
            # next to it (jobs.md §5).
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(requests, settings)},
        },
    }


def _pod(requests: Sequence[Request], settings: DispatchSettings) -> dict[str, Any]:
    first = requests[0]
    operations = [request.operation for request in requests]
    as_root = any(needs_root(operation) for operation in operations)
    looks_only = all(isinstance(operation, Probe) for operation in operations)
    volumes, mounts = _pool_of(first, read_only=looks_only)
    sources = {operation.source for operation in operations if isinstance(operation, Fetch | ProbeSource)}
    assert len(sources) <= 1, "a Job has one place for a source's Secret"
    mounted = [pair for source in sources for pair in source_volumes(source)]
    cordoned = [CORDONED] if all(allowed_on_cordoned(operation) for operation in operations) else []
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": [{"name": BATCH_ENV, "value": batch_json(requests)}],
        "resources": {"requests": dict(settings.requests), "limits": {"memory": settings.memory_limit}},
        "securityContext": _container_security(as_root=as_root),
        # Not FallbackToLogsOnError: a log's tail is no report.
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            *mounts,
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            *(volume_mount for _, volume_mount in mounted),
        ],
    }
    if settings.command:
        container["command"] = list(settings.command)
    return {
        "restartPolicy": "Never",
        # On the pod, not on the Job: the Job's own deadline deletes the pod and its result with it (jobs.md §5).
        "activeDeadlineSeconds": _deadline(operations, settings),
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"priorityClassName": settings.priority_class} if settings.priority_class else {}),
        "affinity": _on_node(first.host),
        "tolerations": [*cordoned, *(dict(toleration) for toleration in first.tolerations)],
        "securityContext": _pod_security(as_root=as_root),
        "containers": [container],
        "volumes": [
            *volumes,
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            *(volume for volume, _ in mounted),
        ],
    }


def _pool_of(request: Request, *, read_only: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(volumes, volumeMounts) of the location; none for what touches no pool."""
    if request.mount is None:
        return [], []
    volume, mount = pool_volume(request.mount, "pool", read_only=read_only)
    return [volume], [mount]


def _deadline(operations: Sequence[Operation], settings: DispatchSettings) -> int:
    transfers = int(sum(o.policy.total_seconds for o in operations if isinstance(o, Fetch | ProbeSource)))
    if all(isinstance(operation, ProbeSource) for operation in operations):
        return settings.probe_deadline_seconds + transfers
    return settings.deadline_seconds + transfers


def _on_node(host: str) -> dict[str, Any]:
    """Not ``nodeName``, which skips the scheduler's checks: a full node rejects such a pod (jobs.md §8)."""
    field = {"key": "metadata.name", "operator": "In", "values": [host]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _pod_security(*, as_root: bool) -> dict[str, Any]:
    user = 0 if as_root else STORAGE_UID
    return {
        "runAsUser": user,
        "runAsGroup": user,
        "runAsNonRoot": not as_root,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security(*, as_root: bool) -> dict[str, Any]:
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if as_root:
        capabilities["add"] = list(_ROOT_CAPABILITIES)
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": capabilities,
    }


def _without_dollar(text: str) -> str:
    return text.replace("$", "\\u0024")
