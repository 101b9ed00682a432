"""Operations on a volume's disks."""

from goldpool.contracts.operations import DeleteVolume, Operation
from goldpool.controllers.backing import tolerations_of
from goldpool.controllers.naming import OperationIds
from goldpool.controllers.volume.observed import Observed, Place
from goldpool.dispatch.request import Ask, Request
from goldpool.kube.port import Key


def ask(o: Observed, place: Place, host: str, operation: Operation) -> Ask:
    metadata = o.volume.metadata
    return Ask(
        Request(
            operation=operation,
            mount=place.mount,
            host=host,
            owner=Key("Volume", metadata.namespace, metadata.name),
            tolerations=tolerations_of(place.pool.spec.tolerations),
        )
    )


def deletion(o: Observed, location: str, storage_id: str) -> DeleteVolume:
    return DeleteVolume(
        id=OperationIds.delete_volume(storage_id),
        location=location,
        storage_id=storage_id,
        trash_seconds=o.trash_seconds,
    )
