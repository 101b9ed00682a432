"""An API server in memory: versions, conflicts, finalizers, generations, and statuses that server-side apply owns.

Every request gives way before and after it takes effect, so that passes can interleave, and can be cut off there.
"""

from collections.abc import Callable, Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from goldpool.kube import resources as r
from goldpool.kube.port import (
    AlreadyExists,
    Conflict,
    Invalid,
    Key,
    NotFound,
    Obj,
    Propagation,
    Resource,
    Unavailable,
    key_of,
)
from goldpool.kube.selectors import matches_labels

Place = tuple[Resource, Key]


class Killed(BaseException):
    """The operator's process ends here."""


class Pause:
    """Awaited: the coroutine gives way once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Server:
    """``faults`` is asked before each write: "" goes on, "before" refuses it, "after" loses the answer, "killed" is
    the last thing the operator ever did."""

    now: datetime = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    objects: dict[Place, Obj] = field(default_factory=dict)
    events: list[tuple[Resource, Obj, bool]] = field(default_factory=list)
    """What watches will tell: the resource, the object, whether it is gone."""
    writes: list[str] = field(default_factory=list)
    faults: Callable[[], str] = lambda: ""
    allowed: Callable[[Resource, Obj | None, Obj], None] = lambda *_: None
    """Admission: raises for what must never be written."""
    _version: int = 100
    _applied: dict[Place, set[str]] = field(default_factory=dict)

    # -- the port

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        await Pause()
        return deepcopy(self._at(resource, name, namespace))

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Sequence[Obj]:
        await Pause()
        matches = matches_labels(labels)
        found = [o for (kind, _), o in self.objects.items() if kind is resource and matches(o)]
        if fields:
            path, _, value = fields.partition("=")
            found = [o for o in found if _at_path(o, path.split(".")) == value]
        return [deepcopy(o) for o in found if not namespace or o["metadata"].get("namespace") == namespace]

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return await self._write(f"create {key_of(resource, obj)}", lambda: self.put(resource, obj))

    async def merge_patch(
        self, resource: Resource, name: str, patch: Obj, namespace: str = "", *, subresource: str = ""
    ) -> Obj:
        def act() -> Obj:
            old = self._at(resource, name, namespace)
            self._guard(old, patch)
            wanted = {k: v for k, v in patch.items() if (k == "status") == (subresource == "status")}
            wanted.setdefault("metadata", patch.get("metadata", {}) if not subresource else {})
            wanted["metadata"] = {k: v for k, v in wanted["metadata"].items() if k != "resourceVersion"}
            return self._store(resource, old, _merged(old, wanted))

        return await self._write(f"patch {Key(resource.kind, namespace, name)} {subresource}", act)

    async def apply(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        assert subresource == "status", "the controllers apply nothing else"
        key = key_of(resource, obj)

        def act() -> Obj:
            old = self._at(resource, key.name, key.namespace)
            self._guard(old, obj)
            owned = self._applied.get((resource, key), set())
            kept = {k: v for k, v in old.get("status", {}).items() if k not in owned}
            self._applied[resource, key] = set(obj["status"])
            return self._store(resource, old, old | {"status": kept | deepcopy(obj["status"])})

        return await self._write(f"apply {key} status", act)

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
        def act() -> Obj:
            old = self._at(resource, name, namespace)
            if old["metadata"]["uid"] != uid:
                raise Conflict("the name is another object's")
            return self.remove(resource, name, namespace) or old

        await self._write(f"delete {Key(resource.kind, namespace, name)}", act)

    # -- what users, kubelets and the garbage collector do

    def find(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        return self.objects.get((resource, Key(resource.kind, namespace, name)))

    def all(self, resource: Resource) -> "Sequence[Obj]":
        return [o for (kind, _), o in self.objects.items() if kind is resource]

    def put(self, resource: Resource, obj: Obj) -> Obj:
        """A new object."""
        place = (resource, key_of(resource, obj))
        if place in self.objects:
            raise AlreadyExists(f"{place[1]} exists")
        new = deepcopy(obj)
        stamp = {"uid": f"u{self._version}", "generation": 1, "creationTimestamp": self.stamp()}
        new["metadata"] = new["metadata"] | stamp
        return self._store(resource, None, new)

    def edit(self, resource: Resource, name: str, namespace: str = "", **parts: Any) -> Obj:
        """An unguarded merge of ``metadata``, ``spec`` or ``status``."""
        old = self._at(resource, name, namespace)
        return self._store(resource, old, _merged(old, parts))

    def remove(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        old = self.find(resource, name, namespace)
        if old is None or "deletionTimestamp" in old["metadata"]:
            return old
        going = {"deletionTimestamp": self.stamp()}
        if resource is r.POD and old["spec"].get("nodeName"):
            going["deletionGracePeriodSeconds"] = 30  # type: ignore[assignment]
        return self._store(resource, old, old | {"metadata": old["metadata"] | going})

    def stamp(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- inside

    async def _write(self, what: str, act: Callable[[], Obj]) -> Obj:
        await Pause()
        fault = self.faults()
        if fault == "before":
            raise Unavailable("try again")
        answer = deepcopy(act())
        self.writes.append(what)
        if fault == "killed":
            raise Killed
        await Pause()
        if fault == "after":
            raise Unavailable("the answer was lost")
        return answer

    def _at(self, resource: Resource, name: str, namespace: str) -> Obj:
        found = self.find(resource, name, namespace)
        if found is None:
            raise NotFound(f"{resource.kind} {namespace}/{name}")
        return found

    @staticmethod
    def _guard(old: Obj, patch: Obj) -> None:
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")

    def _store(self, resource: Resource, old: Obj | None, new: Obj) -> Obj:
        if old is not None and new == old:
            return old
        self.allowed(resource, old, new)
        if resource is r.VOLUME and old is not None and old.get("status", {}).get("firstUsedTime"):
            for frozen in ("placement", "storageID"):
                if old["spec"].get(frozen) != new["spec"].get(frozen):
                    raise Invalid(
                        "spec.placement and spec.storageID are frozen: a machine has used this disk"
                    )
        self._version += 1
        metadata = new["metadata"] | {"resourceVersion": str(self._version)}
        if old is not None and old.get("spec") != new.get("spec"):
            metadata["generation"] = metadata.get("generation", 1) + 1
        stored = new | {"metadata": metadata}
        place = (resource, key_of(resource, stored))
        gone = (
            "deletionTimestamp" in metadata
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
        )
        if gone:
            self.objects.pop(place, None)
            self._applied.pop(place, None)
            self._collect(metadata["uid"])
        else:
            self.objects[place] = stored
        self.events.append((resource, deepcopy(stored), gone))
        return stored

    def _collect(self, owner: str) -> None:
        for (resource, key), obj in [*self.objects.items()]:
            if any(o["uid"] == owner for o in obj["metadata"].get("ownerReferences", ())):
                self.remove(resource, key.name, key.namespace)


def _at_path(obj: Any, path: Sequence[str]) -> Any:
    for step in path:
        obj = obj.get(step) or {}
    return obj


def _merged(old: Obj, patch: Obj) -> Obj:
    new = dict(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            new[name] = _merged(new.get(name) or {}, value)
        else:
            new[name] = deepcopy(value)
    return new
