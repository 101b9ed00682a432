"""What a controller is to the engine: gather (I/O), plan (pure), and effects as data.

A pass over a key is: ``gather`` reads the cache (and, before anything is destroyed, the API server itself),
``plan`` decides, the effects are applied in order, the status is applied once if it changed, then the
``afterwards`` effects. A crash after any of them and a second run end in the same place.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from goldpool.kube.port import Change, Key, Obj, Propagation, Resource

ObservedT = TypeVar("ObservedT")


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object. ``AlreadyExists`` ends the pass, which is repeated with what is really there: whether a
    namesake is ours is the plan's to decide, not the engine's."""

    resource: Resource
    obj: Obj


@dataclass(frozen=True, slots=True)
class Patch:
    """A guarded merge-patch of the main object: stale ``resource_version`` ends the pass, which is then repeated."""

    resource: Resource
    name: str
    namespace: str
    resource_version: str
    patch: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """A guarded merge-patch of another object's status, for the one field that is not its controller's to write."""

    resource: Resource
    name: str
    namespace: str
    resource_version: str
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly the object with this UID. NotFound is success."""

    resource: Resource
    name: str
    namespace: str
    uid: str
    resource_version: str | None = None
    propagation: Propagation = Propagation.BACKGROUND


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Guarded by the observed resourceVersion. The pass ends here and the key comes again with what was written."""

    resource: Resource
    obj: Obj
    finalizer: str


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    resource: Resource
    obj: Obj
    finalizer: str


class EventKind(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Record:
    """A Kubernetes Event about ``regarding``; the recorder drops what it said in the last two minutes."""

    regarding: Obj
    kind: EventKind
    reason: str
    action: str
    note: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Effects are of the types above, or of a type for which the app registered an executor (dispatch's ``Ask``, for one).
    ``status`` is the whole status this controller owns, or None to leave it; ``again_after`` seconds from now
    the key comes again though nothing changed (None: only when something changes)."""

    effects: tuple[object, ...] = ()
    status: dict[str, Any] | None = None
    afterwards: tuple[object, ...] = ()
    again_after: float | None = None


@dataclass(frozen=True, slots=True)
class Soon:
    """A key whose pass may wait ``seconds``, so that a burst of changes costs it one pass and not one for each. Only for
    what is counted for people; whatever somebody waits for is a bare key."""

    key: Key
    seconds: float = 1.0


class Controller(Protocol, Generic[ObservedT]):
    """One kind's controller."""

    name: str
    resource: Resource

    async def gather(self, key: Key) -> ObservedT | None:
        """The frozen world this key's plan may depend on; None when the object is gone."""
        ...

    def plan(self, observed: ObservedT) -> Plan:
        """Pure: no I/O, no clock but the time in ``observed``."""
        ...

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        """The keys of this controller's kind whose plan may depend on what changed."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended, for metrics and tests."""

    key: Key
    result: str
    effects: int = 0
    wrote_status: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
