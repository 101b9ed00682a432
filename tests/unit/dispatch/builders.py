"""Requests, reports and pods with defaults, so that a test names only what it is about."""

import itertools
from typing import Any

from goldpool.contracts.layout import ImageFormat, LocationIdentity, Owner
from goldpool.contracts.operations import (
    Adopt,
    CreateBlank,
    CreateChild,
    DeleteParent,
    DeleteVolume,
    Fetch,
    FetchPolicy,
    Initialize,
    Operation,
    Probe,
    ProbeSource,
)
from goldpool.contracts.report import Failure, FailureReason, Report
from goldpool.contracts.source import Source
from goldpool.dispatch.mounts import Backing, HostPath, LocationMount
from goldpool.dispatch.pods import JOB_NAME, JOB_UID
from goldpool.dispatch.request import Request
from goldpool.kube.port import Key, Obj

REVISION = "a" * 64


def an_identity(location: str = "loc-1", pool: str = "std-a") -> LocationIdentity:
    return LocationIdentity(location=location, cluster="c-1", pool=pool, node="node-1", node_uid="n-1")


def a_mount(location: str = "loc-1", pool: str = "std-a", backing: Backing | None = None) -> LocationMount:
    return LocationMount(location, backing or HostPath("/srv/std-a"), an_identity(location, pool))


def a_request(
    operation: Operation,
    *,
    host: str = "node-1",
    pool: str = "std-a",
    owner: str = "",
    tolerations: tuple[dict[str, Any], ...] = (),
) -> Request:
    key = Key("Volume", "team-a", owner or operation.id)
    mount = None if isinstance(operation, ProbeSource) else a_mount(operation.location, pool)
    return Request(operation, mount, host, key, tolerations)


def a_child(name: str = "v-1", parent: str = "p-1", location: str = "loc-1") -> CreateChild:
    return CreateChild(
        id=f"create-{name}",
        location=location,
        storage_id=name,
        owner=Owner(namespace="team-a", name=name, uid=f"uid-{name}"),
        virtual_bytes=1 << 30,
        parent=parent,
        parent_location="gold-1",
        parent_format=ImageFormat.QCOW2,
        parent_virtual_bytes=1 << 20,
        revision=REVISION,
    )


def a_blank(name: str = "v-1", location: str = "loc-1") -> CreateBlank:
    owner = Owner(namespace="team-a", name=name, uid=f"uid-{name}")
    return CreateBlank(
        id=f"create-{name}", location=location, storage_id=name, owner=owner, virtual_bytes=1 << 30
    )


def an_adoption(name: str = "v-1", location: str = "loc-1") -> Adopt:
    owner = Owner(namespace="team-a", name=name, uid=f"new-uid-{name}")
    return Adopt(id=f"adopt-{name}", location=location, storage_id=name, owner=owner)


def a_deletion(name: str = "v-1", location: str = "loc-1") -> DeleteVolume:
    return DeleteVolume(id=f"delete-{name}", location=location, storage_id=name)


def a_parent_deletion(parent: str = "p-1", location: str = "loc-1") -> DeleteParent:
    return DeleteParent(id=f"delete-{parent}", location=location, parent=parent)


def a_probe(location: str = "loc-1", number: int = 1) -> Probe:
    return Probe(id=f"probe-{location}-{number}", location=location)


def an_initialization(location: str = "loc-1") -> Initialize:
    return Initialize(id=f"init-{location}", location=location, identity=an_identity(location))


def a_fetch(parent: str = "p-1", location: str = "loc-1", attempt: int = 1, url: str = "") -> Fetch:
    return Fetch(
        id=f"fetch-{parent}-{attempt}",
        location=location,
        parent=parent,
        template="debian",
        template_uid="t-1",
        format=ImageFormat.QCOW2,
        source=Source(urls=(url or "https://mirror.example/debian.qcow2",)),
    )


def a_source_probe(template: str = "debian", number: int = 1) -> ProbeSource:
    return ProbeSource(
        id=f"probe-source-{template}-{number}",
        template=template,
        template_uid="t-1",
        format=ImageFormat.QCOW2,
        source=Source(urls=("https://mirror.example/debian.qcow2",)),
        policy=FetchPolicy(total_seconds=20),
    )


def a_report(
    count: int, *, failed: dict[int, FailureReason] | None = None, unknown: set[int] | None = None
) -> Report:
    """All of ``count`` operations done, but for these."""
    failed, unknown = failed or {}, unknown or set()
    done = sum(1 << index for index in range(count) if index not in failed and index not in unknown)
    failures = tuple(Failure(index=index, reason=reason, message="so") for index, reason in failed.items())
    return Report(done=f"{done:x}", failures=failures)


_NUMBERS = itertools.count(1)


def a_pod(
    *,
    job: str = "slot-x-0",
    job_uid: str = "j-1",
    state: dict[str, Any] | None = None,
    node: str = "node-1",
    phase: str = "Pending",
    deleted: str = "",
    **status: Any,
) -> Obj:
    """``state`` is its container's; None: the kubelet has said nothing yet."""
    metadata: dict[str, Any] = {
        "name": f"{job}-abcde",
        "namespace": "goldpool-data",
        "uid": f"pod-{next(_NUMBERS)}",
        "labels": {JOB_NAME: job, JOB_UID: job_uid},
    }
    if deleted:
        metadata["deletionTimestamp"] = deleted
    containers = {"containerStatuses": [{"name": "worker", "state": state}]} if state is not None else {}
    spec = {"nodeName": node} if node else {}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, **containers, **status}}


def terminated(message: str = "", *, code: int = 0, reason: str = "Completed") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason} | ({"message": message} if message else {})}
