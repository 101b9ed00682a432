"""A machine that has a pod: its status is shown, its end is proven before anything else happens."""

from typing import Any, Final

from goldpool.api.conditions import Reason
from goldpool.api.parent import ParentState
from goldpool.api.virtualmachine import RunStrategy
from goldpool.contracts.machine import Exit
from goldpool.controllers.naming import STOPPED_FINALIZER
from goldpool.controllers.verdict import busy, good, seconds_since, timestamp
from goldpool.controllers.virtualmachine.effects import delete_pod, mark_used
from goldpool.controllers.virtualmachine.evidence import (
    ORDINARY_WAITS,
    eviction,
    exit_text,
    is_executing,
    is_ready,
    never_opened_disks,
    proven_stopped,
    unschedulable,
    waiting_reason,
)
from goldpool.controllers.virtualmachine.medium import change_to_come
from goldpool.controllers.virtualmachine.observed import Observed
from goldpool.controllers.virtualmachine.pause import sentence
from goldpool.controllers.virtualmachine.places import avoided_host
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import EventKind, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r

_STEADY_SECONDS: Final = 60
"""A guest that ran this long ended for a reason of its own: it is started again without a pause."""
_LOOK_AGAIN_SECONDS: Final = 5
"""The runtime's reason may reach the log a moment after the readiness has changed, and no event tells of it."""


def reason_to_rest(o: Observed, draft: Draft) -> tuple[Reason, str, str] | None:
    """(reason, message, phase) when the machine should not run now."""
    strategy = o.machine.spec.run_strategy
    ended = draft.get("ended") or ""
    by_itself = ended.startswith(Exit.GUEST_SHUTDOWN)
    clean = by_itself or ended.startswith((Exit.STOPPED, Exit.KILLED))
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
    if strategy is RunStrategy.RERUN_ON_FAILURE and by_itself:
        return Reason.SUCCEEDED, f"the guest ended: {ended}", "Succeeded"
    return None


def follow(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    """The pod is what runs: its status is shown, its end is proven before anything else happens."""
    going = "deletionTimestamp" in pod["metadata"]
    if proven_stopped(pod, o.pod_node):
        return _ended(o, draft, pod)
    if draft.is_new(pod):
        # Its creation may have been the last thing a crashed pass did: what is recorded is of the pod before.
        draft.set(ended=None, start_time=pod["metadata"]["creationTimestamp"])
    if going:
        if is_lost(o, pod):
            return Plan(status=draft.status(busy(Reason.HOST_LOST, host_lost(o, pod)), "HostLost"))
        evicted = f"evicted ({eviction(pod)}): " if eviction(pod) else ""
        message = f"{evicted}the guest is shutting down"
        return Plan(status=draft.status(busy(Reason.STOPPING, message), "Stopping"))
    if (why := reason_to_rest(o, draft)) is not None:
        told = Record(o.raw, EventKind.NORMAL, Reason.STOPPING, "Stop", why[1])
        return Plan(
            effects=(told, delete_pod(pod)), status=draft.status(busy(Reason.STOPPING, why[1]), "Stopping")
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
        return Plan(
            effects=effects,
            status=draft.status(
                good(Reason.RUNNING, f"the guest runs{_in_spite_of(o)}{change_to_come(o)}"), "Running"
            ),
        )
    return _not_running(o, draft, pod)


def _not_running(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    if is_lost(o, pod):
        # Where the taint's effect is not NoExecute nobody else deletes the pod, and only a deleted one counts as ended.
        release = o.pod_node is not None and o.pod_node.out_of_service
        return Plan(
            effects=(delete_pod(pod),) if release else (),
            status=draft.status(busy(Reason.HOST_LOST, host_lost(o, pod)), "HostLost"),
        )
    if o.pauses:
        # Also before it ever was ready: another host would not help, and giving it up would throw its writes away.
        return Plan(
            status=draft.status(busy(Reason.STORAGE_PAUSED, sentence(o.pauses, o.disks)), "StoragePaused"),
            again_after=_LOOK_AGAIN_SECONDS,
        )
    age = seconds_since(pod["metadata"]["creationTimestamp"], o.now)
    nowhere = unschedulable(pod)
    started = draft.get("first_start_time") is not None
    if nowhere is not None:
        reason = Reason.WAITING_FOR_HOST
        message = f"the pod cannot be scheduled: {nowhere}"
        deadline: float = o.limits.unschedulable
    elif is_executing(pod) and started:
        return Plan(
            status=draft.status(busy(Reason.GUEST_PAUSED, "QEMU does not say that the guest runs"), "Paused"),
            again_after=_LOOK_AGAIN_SECONDS,
        )
    else:
        reason = Reason.STARTING
        deadline = o.limits.start_deadline
        why = waiting_reason(pod)
        if why in ORDINARY_WAITS and age < deadline:
            why = ""  # it comes and goes with every start, each time a write
        message = f"the pod is starting{f' ({why})' if why else ''}"
    if started:
        # After its first boot a machine only waits: its disk is where it is.
        return Plan(status=draft.status(busy(reason, message), "Starting"))
    if age < deadline:
        again = min(deadline - age, _LOOK_AGAIN_SECONDS if is_executing(pod) else deadline)
        return Plan(status=draft.status(busy(reason, message), "Starting"), again_after=again)
    told = Record(
        o.raw,
        EventKind.WARNING,
        Reason.START_FAILED,
        "Start",
        f"not started within {deadline:.0f} s: {message}",
    )
    if draft.counts_end_of(pod):
        draft.failed_start(avoided_host(o, pod, message))
        draft.set(ended=f"NeverStarted: {message}"[:1024])
    return Plan(
        effects=(told, delete_pod(pod)), status=draft.status(busy(Reason.START_FAILED, message), "Starting")
    )


def _ended(o: Observed, draft: Draft, pod: dict[str, Any]) -> Plan:
    """The end is recorded first, then the pod goes, its finalizer last: a crash between repeats, and loses nothing."""
    text = exit_text(pod)
    fresh = draft.get("first_start_time") is None
    untouched = fresh and never_opened_disks(pod)
    undo: tuple[object, ...] = ()
    if untouched:
        undo = tuple(
            mark_used(d, None)
            for d in o.disks
            if d.volume is not None
            and d.volume.status.first_used_time is not None
            and d.holder == o.machine.metadata.uid
            and d.first_used_by_holder
        )
        if draft.counts_end_of(pod):
            draft.failed_start(avoided_host(o, pod, text))
    elif _was_asked_for(pod, text):
        # An eviction or a deletion is no failing of the guest: it is started again without a pause.
        draft.set(restarts=None)
    elif draft.counts_end_of(pod):
        ran = seconds_since(draft.get("start_time"), o.now)
        draft.set(restarts=1 if ran > _STEADY_SECONDS else (draft.get("restarts") or 0) + 1)
    if not untouched:
        # It may have ended before anybody saw it ready; all the same it ran.
        draft.set(first_start_time=draft.get("first_start_time") or draft.get("start_time"))
    draft.set(ended=text)
    kind = EventKind.NORMAL if text.startswith((Exit.GUEST_SHUTDOWN, Exit.STOPPED)) else EventKind.WARNING
    gone: list[object] = [] if "deletionTimestamp" in pod["metadata"] else [delete_pod(pod)]
    if STOPPED_FINALIZER in pod["metadata"].get("finalizers", ()):
        gone.append(RemoveFinalizer(r.POD, pod, STOPPED_FINALIZER))
    return Plan(
        effects=(*undo, Record(o.raw, kind, Reason.GUEST_STOPPED, "Stop", text)),
        status=draft.status(busy(Reason.GUEST_STOPPED, text), "Stopping"),
        afterwards=tuple(gone),
    )


def _in_spite_of(o: Observed) -> str:
    """QEMU holds what it has opened, even if it is not where it was any more."""
    parents = [d.parent for d in o.disks] + ([o.medium.parent] if o.medium is not None else [])
    lost = [p.metadata.name for p in parents if p and p.status.state is not ParentState.READY]
    return f", but reads may fail: Parent {', '.join(lost)} is not at its location any more" if lost else ""


def _was_asked_for(pod: dict[str, Any], text: str) -> bool:
    return "deletionTimestamp" in pod["metadata"] and text.startswith((Exit.STOPPED, Exit.KILLED))


def is_lost(o: Observed, pod: dict[str, Any]) -> bool:
    """The host does not say any more what became of the pod."""
    return bool(pod["spec"].get("nodeName")) and (o.pod_node is None or not o.pod_node.ready)


def host_lost(o: Observed, pod: dict[str, Any]) -> str:
    what = "does not answer" if o.pod_node_known else "was deleted"
    return (
        f"node {pod['spec']['nodeName']} {what}, and its processes may still write: the machine stays there "
        "until the node returns or, once it is known to be off, carries the taint node.kubernetes.io/out-of-service"
    )
