"""The disks of earlier bindings, on their way out."""

from goldpool.controllers.backing import HOST_AWAY_SECONDS
from goldpool.controllers.naming import OperationIds
from goldpool.controllers.volume.asking import ask, deletion
from goldpool.controllers.volume.observed import Observed
from goldpool.controllers.volume.status import left
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Settle
from goldpool.engine.plan import Plan


def discard(o: Observed, then: Plan) -> Plan:
    """``then``, and each old disk removed, however often that fails. ``then`` has the status that remembers the rest."""
    effects: list[object] = []
    settled: list[object] = []
    again_after = then.again_after
    waiting = {disk.storage_id for disk in left(o)}
    for each in o.discards:
        if isinstance(each.outcome, Succeeded | Failed):
            settled.append(Settle(OperationIds.delete_volume(each.disk.storage_id)))
        elif each.disk.storage_id in waiting and each.place is not None and each.place.host is not None:
            request = deletion(o, each.disk.location, each.disk.storage_id)
            effects.append(ask(o, each.place, each.place.host, request))
            continue
        if each.disk.storage_id in waiting:
            again_after = HOST_AWAY_SECONDS if again_after is None else min(again_after, HOST_AWAY_SECONDS)
    return Plan((*effects, *then.effects), then.status, (*settled, *then.afterwards), again_after)
