"""The steps to a start, in order: each says what is still missing, or nothing."""

from collections.abc import Callable
from typing import Final

from goldpool.api.conditions import ConditionType, Reason, is_true, message_of, why_stalled
from goldpool.api.parent import ParentState
from goldpool.api.volume import Volume
from goldpool.controllers.naming import (
    HOLDER_ANNOTATION,
    LABEL_VM_NAME,
    MADE_FOR_ANNOTATION,
    RETRY_ANNOTATION,
)
from goldpool.controllers.verdict import MESSAGE_LIMIT, busy, seconds_since, stalled, timestamp
from goldpool.controllers.virtualmachine import medium
from goldpool.controllers.virtualmachine.allowances import heed_allowances
from goldpool.controllers.virtualmachine.effects import claim_lease, ensure_root, mark_used, release_claims
from goldpool.controllers.virtualmachine.observed import DiskView, Observed
from goldpool.controllers.virtualmachine.places import (
    failed_where_bound,
    is_permanent,
)
from goldpool.controllers.virtualmachine.placing import await_placement, await_templates, heed_plans
from goldpool.controllers.virtualmachine.pod import tied_host
from goldpool.controllers.virtualmachine.status import SAID_BY_VOLUMES_SECONDS, Draft
from goldpool.engine.plan import Patch, Plan
from goldpool.kube import resources as r


def await_root(o: Observed, draft: Draft) -> Plan | None:
    root, spec = o.root, o.machine.spec.root_volume
    if root.volume is not None and root.volume.deleting:
        return _give_up_going(o, draft, root)
    if root.volume is not None:
        made_for = root.volume.metadata.annotations.get(MADE_FOR_ANNOTATION)
        if spec.volume_ref is None and made_for != o.machine.metadata.uid and _restored_with(o, root.volume):
            return _take_over_root(o, draft, root.volume)
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
    if draft.get("first_start_time") is not None:
        message = (
            f"Volume {root.volume_name}, which the machine has booted from, is gone; it is never made anew: "
            "restore the object, or delete the machine"
        )
        return Plan(status=draft.status(stalled(Reason.VOLUME_LOST, message), "Failed"))
    if spec.template_ref is not None and (stop := _without_template(o, draft, spec.template_ref.name)):
        return stop
    if draft.may_stay_silent():
        return Plan(effects=ensure_root(o), again_after=SAID_BY_VOLUMES_SECONDS)
    return Plan(
        effects=ensure_root(o),
        status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, "the root volume is made"), "Pending"),
    )


def _without_template(o: Observed, draft: Draft, name: str) -> Plan | None:
    if o.template is None:
        message = f"there is no Template {name}"
        return Plan(status=draft.status(busy(Reason.TEMPLATE_NOT_FOUND, message), "Pending"))
    if medium.is_iso(o.template):
        message = (
            f"Template {name} is an ISO, and no disk is made of one: name it in spec.iso, and give spec.rootVolume a size "
            "instead of the template"
        )
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_IS_ISO, message), "Failed"))
    if o.template.deleting:
        message = f"Template {name} is being deleted"
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_DELETING, message), "Failed"))
    if (bad := why_stalled(o.template.status.conditions)) is not None:
        return Plan(status=draft.status(stalled(Reason.TEMPLATE_FAILED, f"Template {name}: {bad}"), "Failed"))
    return None


def _restored_with(o: Observed, root: Volume) -> bool:
    """A backup brought both back: the volume was made for a machine of this name, and the disk is that volume's own."""
    return (root.restored or root.adopted) and root.metadata.labels.get(
        LABEL_VM_NAME
    ) == o.machine.metadata.name


def _take_over_root(o: Observed, draft: Draft, root: Volume) -> Plan:
    metadata = root.metadata
    effects: tuple[Patch, ...] = ()
    if not root.restored:
        mine = {"metadata": {"annotations": {MADE_FOR_ANNOTATION: o.machine.metadata.uid}}}
        effects = (Patch(r.VOLUME, metadata.name, metadata.namespace, metadata.resource_version, mine),)
    message = (
        f"Volume {metadata.name} was restored: {message_of(root.status.conditions) or 'not looked at yet'}"
    )
    return Plan(effects=effects, status=draft.status(busy(Reason.WAITING_FOR_VOLUMES, message), "Pending"))


def await_attached(o: Observed, draft: Draft) -> Plan | None:
    names = [d.volume_name for d in o.disks]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        message = f"spec names Volume {twice[0]} twice: a disk is attached once"
        return Plan(status=draft.status(stalled(Reason.VOLUME_IN_USE, message), "Failed"))
    for disk in o.disks[1:]:
        if disk.volume is None:
            message = f"there is no Volume {disk.volume_name} in namespace {o.machine.metadata.namespace}"
            return Plan(status=draft.status(busy(Reason.VOLUME_NOT_FOUND, message), "Pending"))
        if disk.volume.deleting:
            return _give_up_going(o, draft, disk)
    return None


def _give_up_going(o: Observed, draft: Draft, disk: DiskView) -> Plan:
    """There is no pod yet, and the deletion waits for whoever holds the volume."""
    message = f"Volume {disk.volume_name} is being deleted"
    return Plan(
        effects=release_claims(o, (disk,)),
        status=draft.status(busy(Reason.VOLUME_NOT_FOUND, message), "Pending"),
    )


def heed_failures(o: Observed, draft: Draft) -> Plan | None:
    """A disk that cannot be made anywhere stops the machine; what failed here only is for planning to avoid."""
    for disk in o.disks:
        if disk.volume is None or not failed_where_bound(disk):
            continue
        status = disk.volume.status
        message = f"Volume {disk.volume_name}: {message_of(status.conditions) or status.failure}"
        if status.failure in {"TemplateFailed", "SizeTooSmall"}:
            reason = Reason.TEMPLATE_FAILED if status.failure == "TemplateFailed" else Reason.VOLUME_FAILED
            return Plan(status=draft.status(stalled(reason, message), "Failed"))
        if is_permanent(disk) and not draft.reset:
            # Under another name, or elsewhere, it may be made; that a person must want.
            remedy = f"set a new value of {RETRY_ANNOTATION} to have the disk made anew, or delete the volume"
            return Plan(
                status=draft.status(stalled(Reason.VOLUME_FAILED, _with_remedy(message, remedy)), "Failed")
            )
    return None


def _with_remedy(message: str, remedy: str) -> str:
    """Within what a condition's message holds."""
    return f"{message[: MESSAGE_LIMIT - len(remedy) - 2]}; {remedy}"


def await_volumes(o: Observed, draft: Draft) -> Plan | None:
    for disk in o.disks:
        assert disk.volume is not None
        volume = disk.volume
        if is_true(volume.status.conditions, ConditionType.STALLED):
            message = message_of(volume.status.conditions)
            return Plan(
                status=draft.status(
                    stalled(Reason.VOLUME_FAILED, f"Volume {disk.volume_name}: {message}"), "Failed"
                )
            )
        made = volume.status.created_time is not None and volume.status.storage_id == volume.spec.storage_id
        if not made:
            silent = not volume.status.conditions and draft.may_stay_silent()
            if silent and seconds_since(volume.metadata.creation_timestamp, o.now) < SAID_BY_VOLUMES_SECONDS:
                return Plan(again_after=SAID_BY_VOLUMES_SECONDS)
            message = message_of(volume.status.conditions) or "not made yet"
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
        if disk.parent is not None and disk.parent.status.state is not ParentState.READY:
            message = (
                f"Volume {disk.volume_name}: {disk.parent.metadata.name} is {disk.parent.status.state}: "
                + (message_of(disk.parent.status.conditions))
            )
            return Plan(status=draft.status(busy(Reason.WAITING_FOR_PARENT, message), "Pending"))
        if disk.parent is not None and disk.parent.status.revision != volume.status.revision:
            message = f"Volume {disk.volume_name} is of revision {volume.status.revision}, its parent is not"
            return Plan(status=draft.status(stalled(Reason.WRONG_DISK, message), "Failed"))
    return None


def await_host(o: Observed, draft: Draft) -> Plan | None:
    """A machine tied to a host that is not ready or cordoned waits; it has nowhere else to go."""
    host = tied_host(o)
    if not host:
        return None
    if o.host_node is None:
        message = (
            f"node {host}, which holds the machine's bytes, was deleted: the machine starts when it is back"
        )
        return Plan(status=draft.status(busy(Reason.WAITING_FOR_HOST, message), "Pending"))
    if not o.host_node.ready:
        return Plan(
            status=draft.status(busy(Reason.WAITING_FOR_HOST, f"node {host} is not ready"), "Pending")
        )
    if o.host_node.cordoned:
        message = f"node {host}, which holds the machine's bytes, is cordoned: kubectl uncordon {host}"
        return Plan(status=draft.status(busy(Reason.HOST_CORDONED, message), "Pending"))
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
            holder = (disk.lease["metadata"].get("annotations") or {}).get(HOLDER_ANNOTATION, disk.holder)
            message = f"Volume {disk.volume_name} is in use by VirtualMachine {holder}" + _if_abandoned(
                o, disk
            )
            return Plan(status=draft.status(busy(Reason.VOLUME_IN_USE, message), "Pending"))
    effects: list[object] = []
    for disk in o.disks:
        assert disk.volume is not None
        first = disk.volume.status.first_used_time is None
        if first:
            # Written before the pod is made: from here on the disk is somebody's, and its place is frozen. And before
            # the Lease, which says who was the first: a failed start gives back only what it took itself.
            effects.append(mark_used(disk, timestamp(o.now)))
        if disk.lease is None:
            effects.append(claim_lease(o, disk, first=not disk.volume.used))
    if not effects:
        return None
    # Without a status: the next pass makes the pod and says so, and every write a start waits for is one too many.
    return Plan(effects=tuple(effects), again_after=0)


def _if_abandoned(o: Observed, disk: DiskView) -> str:
    if not disk.abandoned_on or disk.lease is None:
        return ""
    name = f"{o.pods.namespace}/{disk.lease['metadata']['name']}"
    return (
        f", which was given up on node {disk.abandoned_on} and may still write there: when that node is known to be off, "
        f"delete Lease {name}"
    )


STEPS: Final[tuple[Callable[[Observed, Draft], Plan | None], ...]] = (
    heed_allowances,
    await_root,
    await_attached,
    heed_failures,
    heed_plans,
    await_templates,
    await_placement,
    await_volumes,
    medium.await_medium,
    await_host,
    await_pause,
    claim,
)
