"""What a machine needs next. Pure; a second call on the world it leads to returns no effects."""

from collections.abc import Callable
from typing import Any, Final

from goldpool.api.conditions import Reason
from goldpool.api.model import API_VERSION, format_quantity
from goldpool.api.virtualmachine import Avoided, RejectionCount, RunStrategy
from goldpool.api.volume import ReclaimPolicy
from goldpool.contracts.machine import Exit
from goldpool.controllers.landscape import Bind
from goldpool.controllers.naming import (
    FINALIZER,
    LABEL_MANAGED,
    LABEL_VOLUME_UID,
    MADE_FOR_ANNOTATION,
    MANAGED_BY,
    RETRY_ANNOTATION,
    STOPPED_FINALIZER,
    lease_name,
    storage_id,
)
from goldpool.controllers.verdict import busy, good, seconds_since, stalled, timestamp
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.controllers.virtualmachine.pod import (
    exit_text,
    is_ready,
    never_opened_disks,
    pinned_host,
    pod_manifest,
    proven_stopped,
    unschedulable,
    waiting_reason,
)
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import (
    AddFinalizer,
    Create,
    Delete,
    EventKind,
    PatchStatus,
    Plan,
    Record,
    RemoveFinalizer,
)
from goldpool.kube import resources as r
from goldpool.planning.placement import Placement, Unplaceable

_STEADY_SECONDS: Final = 60
"""A guest that ran this long ended for a reason of its own: it is started again without a pause."""


def plan(o: Observed) -> Plan:
    if o.machine.deleting:
        return _removal(o)
    if FINALIZER not in o.machine.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.VIRTUAL_MACHINE, o.raw, FINALIZER),))
    draft = Draft.of(o)
    if o.pod is not None:
        return _follow(o, draft, o.pod)
    if (why := reason_to_rest(o, draft)) is not None:
        return _rest(o, draft, *why)
    for step in _STEPS:
        if (verdict := step(o, draft)) is not None:
            return verdict
    return _start(o, draft)


# -- whether it should run


def reason_to_rest(o: Observed, draft: Draft) -> tuple[Reason, str, str] | None:
    """(reason, message, phase) when the machine should not run now."""
    strategy = o.machine.spec.run_strategy
    ended = draft.get("ended") or ""
    clean = ended.startswith((Exit.GUEST_SHUTDOWN, Exit.STOPPED, Exit.KILLED))
    if strategy is RunStrategy.HALTED:
        return Reason.HALTED, "spec.runStrategy is Halted", "Stopped"
    if o.maintenance:
        return Reason.MAINTENANCE, f"StoragePool {o.maintenance} is in Maintenance", "Stopped"
    if strategy is RunStrategy.ONCE and ended and draft.get("first_start_time"):
        return (
            Reason.SUCCEEDED if clean else Reason.FAILED,
            f"the guest ended: {ended}",
            "Succeeded" if clean else "Failed",
        )
    if strategy is RunStrategy.RERUN_ON_FAILURE and clean:
        return Reason.SUCCEEDED, f"the guest ended: {ended}", "Succeeded"
    return None


def _rest(o: Observed, draft: Draft, reason: Reason, message: str, phase: str) -> Plan:
    """Claims are given back only now that no pod is left: the next holder may be another machine."""
    verdict = stalled(reason, message) if reason is Reason.FAILED else good(reason, message)
    if reason is Reason.HALTED:
        draft.set(ended=None, restarts=None)
    effects = (*_ensure_root(o), *_release_claims(o))
    return Plan(effects=effects, status=draft.status(verdict, phase))


# -- the steps to a start


def await_root(o: Observed, draft: Draft) -> Plan | None:
    root, spec = o.root, o.machine.spec.root_volume
    if root.volume is not None:
        made_for = root.volume.metadata.annotations.get(MADE_FOR_ANNOTATION)
        if spec.volume_ref is None and made_for != o.machine.metadata.uid:
            message = (
                f"Volume {root.volume_name} exists and was not made for this machine: "
                "name it in spec.rootVolume.volumeRef to boot from it, or delete it"
            )
            return Plan(status=draft.status(stalled(Reason.VOLUME_NAME_TAKEN, message), "Failed"))
        return None
    if spec.volume_ref is not None:
        message = f"there is no Volume {root.volume_name} in namespace {o.machine.metadata.namespace}"
        return Plan(status=draft.status(busy(Reason.VOLUME_NOT_FOUND, message), "Pending"))
    name = spec.template_ref.name if spec.template_ref else ""
    if o.template is None:
        return Plan(
            status=draft.status(busy(Reason.TEMPLATE_NOT_FOUND, f"there is no Template {name}"), "Pending")
        )
    if o.template.deleting:
        return Plan(
            status=draft.status(
                stalled(Reason.TEMPLATE_DELETING, f"Template {name} is being deleted"), "Failed"
            )
        )
    bad = next(
        (c.message for c in o.template.status.conditions if c.type == "Stalled" and c.status == "True"), None
    )
    if bad is not None:
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_FAILED, f"Template {name}: {bad}"), "Failed"))
    return Plan(
        effects=_ensure_root(o),
        status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, "the root volume is made"), "Pending"),
    )


def await_attached(o: Observed, draft: Draft) -> Plan | None:
    for disk in o.disks[1:]:
        if disk.volume is None:
            message = f"there is no Volume {disk.volume_name} in namespace {o.machine.metadata.namespace}"
            return Plan(status=draft.status(busy(Reason.VOLUME_NOT_FOUND, message), "Pending"))
        if disk.volume.deleting:
            message = f"Volume {disk.volume_name} is being deleted"
            return Plan(status=draft.status(busy(Reason.VOLUME_NOT_FOUND, message), "Pending"))
    return None


def heed_failures(o: Observed, draft: Draft) -> Plan | None:
    """A disk that cannot be made anywhere stops the machine; what failed here only is for planning to avoid."""
    for disk in o.disks:
        if disk.volume is None or not _failed_where_bound(disk):
            continue
        status = disk.volume.status
        if status.failure in {"TemplateFailed", "SizeTooSmall"} or _permanent(disk):
            message = next((c.message for c in status.conditions if c.type == "Ready"), status.failure or "")
            reason = Reason.TEMPLATE_FAILED if status.failure == "TemplateFailed" else Reason.VOLUME_FAILED
            return Plan(
                status=draft.status(stalled(reason, f"Volume {disk.volume_name}: {message}"), "Failed")
            )
    return None


def avoid_failed_places(o: Observed, draft: Draft) -> None:
    """Places where a disk that was never used failed join the avoid set, unless it was just cleared: then they are
    given another chance."""
    if draft.reset:
        return
    for disk in o.disks:
        if _failed_where_bound(disk):
            draft.avoid(_avoided(o, disk))


def await_placement(o: Observed, draft: Draft) -> Plan | None:
    """All disks that need a place get it in one plan: one guarded write each, which is the reservation."""
    unbound = needing_place(o, draft)
    if not unbound:
        return None
    avoid_failed_places(o, draft)
    plans = draft.get("plans") or 0
    if plans >= o.limits.max_plans:
        message = (
            f"{plans} plans failed; last: {_last_failure(draft)}. Change the spec or set a new value of "
            f"{RETRY_ANNOTATION}"
        )
        return Plan(status=draft.status(stalled(Reason.TOO_MANY_PLANS, message), "Failed"))
    match o.placement:
        case None:
            return Plan(
                status=draft.status(busy(Reason.PLANNING, "a place is being chosen"), "Pending"),
                again_after=0,
            )
        case Unplaceable():
            draft.set(
                rejections=[
                    RejectionCount(reason=str(x), count=n, example=e) for x, n, e in o.placement.counts()
                ]
            )
            return Plan(
                effects=(
                    Record(o.raw, EventKind.WARNING, Reason.NOT_PLACEABLE, "Plan", o.placement.sentence()),
                ),
                status=draft.status(busy(Reason.NOT_PLACEABLE, o.placement.sentence()), "Pending"),
            )
        case Placement():
            return _bind(o, draft, o.placement, unbound)


def _bind(o: Observed, draft: Draft, placement: Placement, unbound: list[DiskView]) -> Plan:
    by_name = {p.disk: p for p in placement.disks}
    pinned = placement.hosts[0] if len(placement.hosts) == 1 else ""
    tied = any(p.host for p in placement.disks)
    effects: list[object] = []
    for disk, token in zip(unbound, o.tokens, strict=False):
        assert disk.volume is not None
        place = by_name[disk.volume_name]
        # One feasible host may be chance on Shared pools: only bytes on a host tie the machine to it.
        pin = place.host or (pinned if tied or place.parent_location in o.local_parents else "")
        effects.append(Bind.of(disk.volume, place, storage_id(token), pin=pin))
    where = ", ".join(f"{p.disk} in {p.pool}" for p in placement.disks)
    on = f" on {pinned}" if pinned else ""
    told = Record(o.raw, EventKind.NORMAL, "Placed", "Plan", f"placed{on}: {where}")
    draft.set(rejections=[])
    return Plan(
        effects=(*effects, told),
        status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, f"placed{on}"), "Provisioning"),
    )


def await_volumes(o: Observed, draft: Draft) -> Plan | None:
    for disk in o.disks:
        assert disk.volume is not None
        volume = disk.volume
        if any(c.type == "Stalled" and c.status == "True" for c in volume.status.conditions):
            message = next((c.message for c in volume.status.conditions if c.type == "Ready"), "")
            return Plan(
                status=draft.status(
                    stalled(Reason.VOLUME_FAILED, f"Volume {disk.volume_name}: {message}"), "Failed"
                )
            )
        made = volume.status.created_time is not None and volume.status.storage_id == volume.spec.storage_id
        if not made:
            message = next((c.message for c in volume.status.conditions if c.type == "Ready"), "not made yet")
            return Plan(
                status=draft.status(
                    busy(Reason.WAITING_FOR_VOLUMES, f"Volume {disk.volume_name}: {message}"), "Provisioning"
                )
            )
        if disk.mount is None or (
            volume.status.parent and (disk.parent is None or disk.parent_mount is None)
        ):
            missing = volume.status.parent if disk.mount is not None else volume.status.location
            message = f"Volume {disk.volume_name}: {missing} is not there"
            return Plan(status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, message), "Pending"))
        if disk.parent is not None and disk.parent.status.revision != volume.status.revision:
            message = f"Volume {disk.volume_name} is of revision {volume.status.revision}, its parent is not"
            return Plan(status=draft.status(stalled(Reason.WRONG_DISK, message), "Failed"))
    return None


def await_host(o: Observed, draft: Draft) -> Plan | None:
    """A machine tied to a host that is not ready or cordoned waits; it has nowhere else to go."""
    host = pinned_host(o.disks)
    if not host:
        return None
    if o.host_node is None:
        return Plan(status=draft.status(busy(Reason.WAITING_FOR_HOST, f"node {host} is gone"), "Pending"))
    if not o.host_node.ready:
        return Plan(
            status=draft.status(busy(Reason.WAITING_FOR_HOST, f"node {host} is not ready"), "Pending")
        )
    if o.host_node.cordoned:
        return Plan(status=draft.status(busy(Reason.WAITING_FOR_HOST, f"node {host} is cordoned"), "Pending"))
    return None


def await_pause(o: Observed, draft: Draft) -> Plan | None:
    """A guest that keeps ending is started again after longer and longer pauses, as a crashing container is."""
    restarts = draft.get("restarts") or 0
    if not restarts:
        return None
    pause = min(o.limits.restart_cap, 5 * 2 ** min(restarts - 1, 10))
    left = pause - seconds_since(draft.get("start_time"), o.now)
    if left <= 0:
        return None
    message = f"the guest ended ({draft.get('ended')}); start {restarts + 1} is due"
    return Plan(status=draft.status(busy(Reason.RESTARTING, message), "Pending"), again_after=left)


def claim(o: Observed, draft: Draft) -> Plan | None:
    """One Lease per volume is the claim on its disk: created, never taken over."""
    uid = o.machine.metadata.uid
    for disk in o.disks:
        if disk.lease is not None and disk.holder != uid:
            holder = (disk.lease["metadata"].get("annotations") or {}).get("goldpool.io/holder", disk.holder)
            message = f"Volume {disk.volume_name} is in use by VirtualMachine {holder}"
            return Plan(status=draft.status(busy(Reason.VOLUME_IN_USE, message), "Pending"))
    missing = [d for d in o.disks if d.lease is None]
    if missing:
        return Plan(
            effects=tuple(_lease(o, d) for d in missing),
            status=draft.status(busy(Reason.STARTING, "its volumes are claimed"), "Starting"),
        )
    first = [d for d in o.disks if d.volume is not None and d.volume.status.first_used_time is None]
    if first:
        # Written before the pod is made: from here on the disk is somebody's, and its place is frozen.
        return Plan(
            effects=tuple(_mark_used(d, timestamp(o.now)) for d in first),
            status=draft.status(busy(Reason.STARTING, "its volumes are claimed"), "Starting"),
        )
    return None


_STEPS: Final[tuple[Callable[[Observed, Draft], Plan | None], ...]] = (
    await_root,
    await_attached,
    heed_failures,
    await_placement,
    await_volumes,
    await_host,
    await_pause,
    claim,
)


def _start(o: Observed, draft: Draft) -> Plan:
    manifest = pod_manifest(o)
    draft.set(start_time=timestamp(o.now), ended=None)
    return Plan(
        effects=(Create(r.POD, manifest),),
        status=draft.status(busy(Reason.STARTING, "the pod is made"), "Starting"),
    )


# -- with a pod


def _follow(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    """The pod is what runs: its status is shown, its end is proven before anything else happens."""
    going = "deletionTimestamp" in pod["metadata"]
    if proven_stopped(pod, o.pod_node):
        return _ended(o, draft, pod)
    if going:
        lost = bool(pod["spec"].get("nodeName")) and (o.pod_node is None or not o.pod_node.ready)
        if lost:
            return Plan(status=draft.status(busy(Reason.HOST_LOST, _lost(pod)), "HostLost"))
        return Plan(status=draft.status(busy(Reason.STOPPING, "the guest is shutting down"), "Stopping"))
    if (why := reason_to_rest(o, draft)) is not None:
        told = Record(o.raw, EventKind.NORMAL, Reason.STOPPING, "Stop", why[1])
        return Plan(
            effects=(told, _delete_pod(pod)), status=draft.status(busy(Reason.STOPPING, why[1]), "Stopping")
        )
    if is_ready(pod):
        effects: tuple[object, ...] = ()
        if not draft.get("first_start_time"):
            effects = (
                Record(
                    o.raw, EventKind.NORMAL, Reason.RUNNING, "Start", f"runs on {pod['spec']['nodeName']}"
                ),
            )
        draft.set(first_start_time=draft.get("first_start_time") or timestamp(o.now))
        return Plan(effects=effects, status=draft.status(good(Reason.RUNNING, "the guest runs"), "Running"))
    return _not_running(o, draft, pod)


def _not_running(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    if pod["spec"].get("nodeName") and (o.pod_node is None or not o.pod_node.ready):
        return Plan(status=draft.status(busy(Reason.HOST_LOST, _lost(pod)), "HostLost"))
    age = seconds_since(pod["metadata"]["creationTimestamp"], o.now)
    nowhere = unschedulable(pod)
    started = draft.get("first_start_time") is not None
    ran = any(
        "running" in (c.get("state") or {}) for c in pod.get("status", {}).get("containerStatuses") or []
    )
    if nowhere is not None:
        reason = Reason.WAITING_FOR_HOST
        message = f"the pod cannot be scheduled: {nowhere}"
        deadline: float = o.limits.unschedulable
    elif ran and started:
        return Plan(
            status=draft.status(busy(Reason.GUEST_PAUSED, "QEMU does not say that the guest runs"), "Paused")
        )
    else:
        reason = Reason.STARTING
        why = waiting_reason(pod)
        message = f"the pod is starting{f' ({why})' if why else ''}"
        deadline = o.limits.start_deadline
    if started:
        # After its first boot a machine only waits: its disk is where it is.
        return Plan(status=draft.status(busy(reason, message), "Starting"))
    if age < deadline:
        return Plan(status=draft.status(busy(reason, message), "Starting"), again_after=deadline - age)
    told = Record(
        o.raw,
        EventKind.WARNING,
        Reason.START_FAILED,
        "Start",
        f"not started within {deadline:.0f} s: {message}",
    )
    draft.set(ended=f"NeverStarted: {message}"[:1024])
    return Plan(
        effects=(told, _delete_pod(pod)), status=draft.status(busy(Reason.START_FAILED, message), "Starting")
    )


def _ended(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    """The end is recorded first, then the pod goes, its finalizer last: a crash between repeats, and loses nothing."""
    text = exit_text(pod)
    fresh = draft.get("first_start_time") is None
    untouched = fresh and never_opened_disks(pod)
    undo: tuple[object, ...] = ()
    if untouched:
        undo = tuple(
            _mark_used(d, None)
            for d in o.disks
            if d.volume is not None and d.volume.status.first_used_time is not None
        )
        draft.avoid(_avoided_host(o, pod, draft.get("ended") or text))
    elif draft.counts_end_of(pod):
        ran = seconds_since(draft.get("start_time"), o.now)
        draft.set(restarts=1 if ran > _STEADY_SECONDS else (draft.get("restarts") or 0) + 1)
    if not untouched:
        # It may have ended before anybody saw it ready; all the same it ran.
        draft.set(first_start_time=draft.get("first_start_time") or draft.get("start_time"))
    draft.set(ended=text)
    kind = EventKind.NORMAL if text.startswith((Exit.GUEST_SHUTDOWN, Exit.STOPPED)) else EventKind.WARNING
    gone: list[object] = [] if "deletionTimestamp" in pod["metadata"] else [_delete_pod(pod)]
    if STOPPED_FINALIZER in pod["metadata"].get("finalizers", ()):
        gone.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
    return Plan(
        effects=(*undo, Record(o.raw, kind, Reason.GUEST_STOPPED, "Stop", text)),
        status=draft.status(busy(Reason.GUEST_STOPPED, text), "Stopping"),
        afterwards=tuple(gone),
    )


def _lost(pod: dict[str, Any]) -> str:
    return (
        f"node {pod['spec']['nodeName']} does not answer, and its processes may still write: the machine stays there "
        "until the node returns or carries the taint node.kubernetes.io/out-of-service"
    )


# -- deletion


def _removal(o: Observed) -> Plan:
    if FINALIZER not in o.machine.metadata.finalizers:
        return Plan()
    draft = Draft.of(o)
    if o.pod is not None:
        return _remove_pod(o, draft, o.pod)
    effects: list[object] = [*_release_claims(o)]
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
    effects: list[object] = [] if going else [_delete_pod(pod)]
    if proven_stopped(pod, o.pod_node) or (going and node_gone):
        # A Node that was deleted will not come back as itself; nothing is started in its place.
        if STOPPED_FINALIZER in pod["metadata"].get("finalizers", ()):
            effects.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
        return Plan(effects=tuple(effects))
    lost = bool(pod["spec"].get("nodeName")) and (o.pod_node is None or not o.pod_node.ready)
    message = _lost(pod) if lost else "the guest is shutting down"
    return Plan(effects=tuple(effects), status=draft.status(busy(Reason.TERMINATING, message), "Terminating"))


# -- effects


def _ensure_root(o: Observed) -> tuple[Create, ...]:
    spec = o.machine.spec.root_volume
    if o.root.volume is not None or spec.template_ref is None or o.template is None:
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
                    "labels": {LABEL_MANAGED: MANAGED_BY, "goldpool.io/virtualmachine": metadata.name},
                    "annotations": {MADE_FOR_ANNOTATION: metadata.uid},
                },
                "spec": {
                    "type": "Root",
                    **({"size": format_quantity(size)} if size else {}),
                    "source": {"templateRef": {"name": spec.template_ref.name}},
                    "reclaimPolicy": spec.reclaim_policy,
                    "poolTags": list(spec.pool_tags),
                    **({"iops": spec.iops} if spec.iops else {}),
                },
            },
        ),
    )


def _lease(o: Observed, disk: DiskView) -> Create:
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
                    "goldpool.io/volume": f"{volume.namespace}/{volume.name}",
                    "goldpool.io/holder": f"{machine.namespace}/{machine.name}",
                },
            },
            "spec": {"holderIdentity": machine.uid},
        },
    )


def _mark_used(disk: DiskView, when: str | None) -> PatchStatus:
    assert disk.volume is not None
    metadata = disk.volume.metadata
    return PatchStatus(
        r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, {"firstUsedTime": when}
    )


def _release_claims(o: Observed) -> tuple[Delete, ...]:
    return tuple(
        Delete(r.LEASE, d.lease["metadata"]["name"], o.pods.namespace, d.lease["metadata"]["uid"])
        for d in o.disks
        if d.lease is not None and d.holder == o.machine.metadata.uid
    )


def _delete_pod(pod: dict[str, Any]) -> Delete:
    metadata = pod["metadata"]
    return Delete(r.POD, metadata["name"], metadata["namespace"], metadata["uid"])


# -- failures


def needing_place(o: Observed, draft: Draft) -> list[DiskView]:
    """Disks without a place, and never used disks whose place has failed."""
    return [
        d
        for d in o.disks
        if d.volume is not None
        and not d.volume.deleting
        and (d.volume.spec.storage_id is None or _failed_where_bound(d) or _bound_where_avoided(d, draft))
    ]


def _failed_where_bound(disk: DiskView) -> bool:
    volume = disk.volume
    if volume is None or volume.status.first_used_time is not None or volume.spec.storage_id is None:
        return False
    return volume.status.failure is not None and volume.status.storage_id == volume.spec.storage_id


def _bound_where_avoided(disk: DiskView, draft: Draft) -> bool:
    """A start failed on the host before the disk was opened: its bytes mean nothing yet."""
    volume = disk.volume
    if volume is None or volume.status.first_used_time is not None or volume.spec.placement is None:
        return False
    hosts = {a.host for a in draft.get("avoid") if not a.pool}
    return bool(volume.spec.placement.host) and volume.spec.placement.host in hosts


def _permanent(disk: DiskView) -> bool:
    assert disk.volume is not None
    return any(c.type == "Stalled" and c.status == "True" for c in disk.volume.status.conditions)


def _avoided(o: Observed, disk: DiskView) -> Avoided:
    assert disk.volume is not None
    status, placement = disk.volume.status, disk.volume.spec.placement
    parent_failed = status.failure == "ParentFailed"
    location = (status.parent_location if parent_failed else status.location) or ""
    pool = (placement.parent_pool if parent_failed else placement.pool) if placement else ""
    message = next((c.message for c in status.conditions if c.type == "Ready"), "")
    return Avoided(
        location=location or (placement.pool if placement else None) or disk.volume_name,
        host=(placement.host if placement else "") or "",
        pool=pool or "",
        reason=status.failure or "",
        message=message,
        time=timestamp(o.now),
    )


def _avoided_host(o: Observed, pod: dict[str, Any], why: str) -> Avoided:
    host = pod["spec"].get("nodeName") or pinned_host(o.disks)
    return Avoided(
        location=host or f"pod {pod['metadata']['uid']}",
        host=host,
        pool="",
        reason=Reason.START_FAILED,
        message=why[:1024],
        time=timestamp(o.now),
    )


def _last_failure(draft: Draft) -> str:
    entries = draft.get("avoid") or []
    if not entries:
        return "unknown"
    last = entries[-1]
    return f"{last.reason} at {last.location}: {last.message}"
