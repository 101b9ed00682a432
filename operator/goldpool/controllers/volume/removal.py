"""The end of a volume: not while it is held; its disks first, the object last."""

from goldpool.api.conditions import Reason
from goldpool.api.references import Blocker
from goldpool.controllers.abandonment import way_out
from goldpool.controllers.backing import HOST_AWAY_SECONDS
from goldpool.controllers.naming import FINALIZER, OperationIds
from goldpool.controllers.verdict import blocked, busy
from goldpool.controllers.volume.asking import ask, deletion
from goldpool.controllers.volume.observed import Observed, Place
from goldpool.controllers.volume.status import left, status_of
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import Delete, EventKind, Plan, Record, RemoveFinalizer
from goldpool.kube import resources as r


def removal(o: Observed) -> Plan:
    if o.holder and not o.holder_given_up:
        who = Blocker(
            kind="VirtualMachine",
            namespace=o.volume.metadata.namespace,
            name=o.holder_name.rpartition("/")[2] or o.holder,
        )
        sentence = f"VirtualMachine {o.holder_name or o.holder} holds the volume: delete or halt it"
        return Plan(
            effects=(Record(o.raw, EventKind.WARNING, Reason.DELETION_BLOCKED, "Delete", sentence),),
            status=status_of(o, blocked(sentence), blockers=[who], blockers_total=1),
        )
    if waste := left(o):
        message = f"{len(waste)} disk(s) of earlier bindings are being removed"
        return Plan(status=status_of(o, busy(Reason.TERMINATING, message), blockers=[], blockers_total=None))
    # A claim that was given up with its host has nobody left to give it back.
    claim = (
        [
            Delete(
                r.LEASE,
                o.lease["metadata"]["name"],
                o.lease["metadata"]["namespace"],
                o.lease["metadata"]["uid"],
            )
        ]
        if o.lease is not None and o.holder_given_up
        else []
    )
    release = (*claim, RemoveFinalizer(r.VOLUME, o.raw, FINALIZER))
    placement = o.volume.spec.placement
    ours = placement is not None and placement.volume_uid == o.volume.metadata.uid
    # The operation is asked for before the status says so.
    begun = o.volume.status.storage_id is not None or o.creation is not None
    if o.volume.spec.storage_id is None or not ours or not begun or o.place is None or not o.place.node_known:
        # Nothing was made, or it belongs to another object, or its place is gone for good.
        return Plan(effects=release)
    operation = OperationIds.delete_volume(o.volume.spec.storage_id)
    if o.given_up:
        spec = o.place.location.spec
        note = f"{spec.host or spec.pool} was given up: volumes/{o.volume.spec.storage_id} stays there, if it still exists"
        told = Record(o.raw, EventKind.WARNING, Reason.ABANDONED, "Delete", note)
        return Plan(effects=(told, *release), afterwards=(Settle(operation),))
    match o.removal:
        case Succeeded():
            return Plan(effects=release, afterwards=(Settle(operation),))
        case Failed(message=message):
            return Plan(
                status=status_of(o, busy(Reason.OPERATION_FAILED, message)),
                afterwards=(Settle(operation),),
                again_after=o.base_seconds,
            )
    if o.place.host is None:
        return Plan(
            status=status_of(
                o, busy(Reason.WAITING_FOR_HOST, _host_awaited(o, o.place)), blockers=[], blockers_total=None
            ),
            again_after=HOST_AWAY_SECONDS,
        )
    request = deletion(o, o.place.location.metadata.name, o.volume.spec.storage_id)
    return Plan(
        effects=(ask(o, o.place, o.place.host, request),),
        status=status_of(
            o, busy(Reason.TERMINATING, "the disk is being removed"), blockers=[], blockers_total=None
        ),
    )


def _host_awaited(o: Observed, place: Place) -> str:
    metadata, spec = o.volume.metadata, place.location.spec
    what = f"-n {metadata.namespace} volume {metadata.name}"
    return "its host is not ready" + way_out(metadata.annotations, spec.host or spec.pool, what)
