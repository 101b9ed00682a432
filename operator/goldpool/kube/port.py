"""The port to the API server: every read and write of Goldpool goes through ``KubeApi``.

Each method is one request. Answers are raw objects. Errors are one of the exceptions below, classified once,
here, from the Status body's ``reason`` (api-server.md §2); nothing else escapes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Obj = dict[str, Any]
"""A Kubernetes object as JSON, without ``metadata.managedFields``. Treated as immutable by everyone."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and where the server keeps it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """An object's place in the cluster; hashable, and the unit of the queue. ``namespace`` is "" if there is none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Head:
    """Which object it is, and how new."""

    uid: str
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a source delivers and the cache passes on. ``old`` is None for a first sight, ``new`` for a deletion.
    ``initial`` marks the first list of a source: these keys may wait behind what people do now."""

    resource: Resource
    key: Key
    old: Obj | None
    new: Obj | None
    initial: bool = False


class KubeError(Exception):
    """Anything the API server refuses. ``message`` is the server's own text."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason


class NotFound(KubeError):
    """The object, or its CRD, is not there."""


class AlreadyExists(KubeError):
    """A create of a name that is taken."""


class Conflict(KubeError):
    """A stale resourceVersion or a wrong UID: read again, decide again."""


class Invalid(KubeError):
    """The request can never succeed as it is (schema, CEL, admission): our bug or the user's input."""


class Forbidden(KubeError):
    """RBAC, or an admission policy with reason Forbidden."""


class Unavailable(KubeError):
    """Try again later: refused, timed out, 429, 5xx. ``retry_after`` in seconds if the server named one."""

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, reason=reason)
        self.retry_after = retry_after


class Expired(KubeError):
    """A watch or a page from a version that is gone (410): list again."""


class Propagation(StrEnum):
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """``type`` is ADDED, MODIFIED, DELETED or BOOKMARK; errors arrive as exceptions."""

    type: str
    object: Obj


class KubeApi(Protocol):
    """The only way to the API server. Safe for many tasks at once; writes pass a token bucket."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        """The object as the server has it now. Raises NotFound."""
        ...

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Sequence[Obj]:
        """All objects, read page by page from a quorum (never the watch cache): fit for destructive decisions."""
        ...

    async def list_with_version(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[Sequence[Obj], str]:
        """As ``list``, with the resourceVersion a watch can go on from."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent]:
        """Events from that version on, bookmarks included, until the server ends it. Raises Expired on 410."""
        ...

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        """Raises AlreadyExists."""
        ...

    async def apply(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        """Server-side apply, forced, as Goldpool's one field manager. Put ``metadata.uid`` in to mean an update
        only, and ``metadata.resourceVersion`` into a status write (api-server.md §1)."""
        ...

    async def merge_patch(
        self, resource: Resource, name: str, patch: Obj, namespace: str = "", *, subresource: str = ""
    ) -> Obj:
        """With ``metadata.resourceVersion`` in the patch it is guarded: a stale one raises Conflict."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> None:
        """Delete exactly this object. Raises NotFound, and Conflict when the name is another object's now."""
        ...

    async def pod_log(self, name: str, namespace: str, *, tail_lines: int | None = None) -> str:
        """The current end of a pod's log."""
        ...

    def follow_pod_log(self, name: str, namespace: str) -> AsyncIterator[str]:
        """Lines as they are written, until the container ends."""
        ...


def key_of(resource: Resource, obj: Mapping[str, Any]) -> Key:
    metadata = obj["metadata"]
    return Key(resource.kind, metadata.get("namespace", ""), metadata["name"])
