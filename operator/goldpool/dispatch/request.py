"""What a controller asks for, and the two effects that carry it to the dispatcher."""

from dataclasses import dataclass
from typing import Any

from goldpool.contracts.operations import Operation
from goldpool.dispatch.mounts import LocationMount
from goldpool.kube.port import Key


@dataclass(frozen=True, slots=True)
class Request:
    """One operation, on ``mount``, executed on the Node ``host``; ``owner`` is woken when its outcome changes.

    ``mount`` is None for what touches no pool.
    ``tolerations`` are the pool's. ``estimated_bytes`` is what a fetch may bring, for display only.
    """

    operation: Operation
    mount: LocationMount | None
    host: str
    owner: Key
    tolerations: tuple[dict[str, Any], ...] = ()
    estimated_bytes: int = 0

    @property
    def id(self) -> str:
        return self.operation.id


@dataclass(frozen=True, slots=True)
class Ask:
    """Level-triggered: asked again each pass for as long as the outcome is needed. Asking twice is asking once."""

    request: Request


@dataclass(frozen=True, slots=True)
class Settle:
    """The outcome stands in a status now, or nobody wants it any more: forget the operation.

    Its Job is deleted once all operations of that Job are settled.
    """

    operation_id: str
