"""The cluster as the sources told it: raw objects by resource and key, with the indices controllers ask for.

Everything runs in one event loop and nothing here awaits, so a reader never sees half a change.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from goldpool.kube.port import Change, Key, Obj, Resource, key_of

Listener = Callable[[Change], None]
IndexFunction = Callable[[Obj], Iterable[str]]
Scope = Callable[[Obj], bool]
Objects = list[Obj]
Keys = list[Key]

TOMBSTONE_SECONDS: Final = 900.0


@dataclass(slots=True)
class _Index:
    values_of: IndexFunction
    keys: dict[str, dict[Key, None]] = field(default_factory=dict)

    def add(self, key: Key, obj: Obj) -> None:
        for value in self.values_of(obj):
            self.keys.setdefault(value, {})[key] = None

    def drop(self, key: Key, obj: Obj) -> None:
        for value in self.values_of(obj):
            members = self.keys.get(value)
            if members is not None:
                members.pop(key, None)
                if not members:
                    del self.keys[value]


@dataclass(slots=True)
class _Shelf:
    """All objects of one resource."""

    objects: dict[Key, Obj] = field(default_factory=dict)
    namespaces: dict[str, dict[Key, None]] = field(default_factory=dict)
    indices: dict[str, _Index] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)
    floors: dict[Scope, int] = field(default_factory=dict)
    """Versions of the last lists: what is older, and was not listed, is gone."""

    def was_unlisted(self, obj: Obj) -> bool:
        version = version_of(obj)
        return any(version <= floor and covers(obj) for covers, floor in self.floors.items())


class Cache:
    """Objects only ever become newer: of one UID, an older resourceVersion is ignored; what was seen deleted does not
    come back with a late MODIFIED; another UID under the same name is a deletion and an addition.

    Read-your-writes: answers of our own writes are stored at once (``observe_write``), but only if a source covers the
    object, so that nothing stays here that no watch would ever remove. A restored etcd turns versions back: restart.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shelves: dict[Resource, _Shelf] = {}
        self._listeners: list[Listener] = []
        self._tombstones: dict[str, float] = {}

    # --- reads: O(1), or O(what is returned)

    def get(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        return self.at(resource, Key(resource.kind, namespace, name))

    def at(self, resource: Resource, key: Key) -> Obj | None:
        shelf = self._shelves.get(resource)
        return shelf.objects.get(key) if shelf is not None else None

    def list(self, resource: Resource, namespace: str | None = None) -> Objects:
        """All objects of the resource, or those of one namespace, in no particular order."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return []
        if namespace is None:
            return [*shelf.objects.values()]
        return [shelf.objects[key] for key in shelf.namespaces.get(namespace, ())]

    def keys(self, resource: Resource) -> Keys:
        shelf = self._shelves.get(resource)
        return [*shelf.objects] if shelf is not None else []

    def by_index(self, resource: Resource, name: str, value: str) -> Objects:
        """The objects for which the index function named this value. Raises KeyError for an unknown index."""
        shelf = self._shelves[resource]
        return [shelf.objects[key] for key in shelf.indices[name].keys.get(value, ())]

    def count(self, resource: Resource) -> int:
        shelf = self._shelves.get(resource)
        return len(shelf.objects) if shelf is not None else 0

    def resources(self) -> Iterator[Resource]:
        return iter(self._shelves)

    def is_buried(self, uid: str) -> bool:
        """Whether this very object was seen deleted."""
        return uid in self._tombstones

    # --- wiring

    def add_index(self, resource: Resource, name: str, values_of: IndexFunction) -> None:
        """``values_of`` must be a pure function of the object. Registered once; it may come after the objects."""
        shelf = self._shelf(resource)
        if name in shelf.indices:
            raise ValueError(f"{resource.kind} already has an index {name!r}")
        index = shelf.indices[name] = _Index(values_of)
        for key, obj in shelf.objects.items():
            index.add(key, obj)

    def add_listener(self, listener: Listener) -> None:
        """Called for each change, after the cache shows it, in the order of changes. It must not block or raise."""
        self._listeners.append(listener)

    def add_scope(self, resource: Resource, covers: Scope) -> None:
        """A source promises to keep these objects true."""
        self._shelf(resource).scopes.append(covers)

    def covers(self, resource: Resource, obj: Obj) -> bool:
        shelf = self._shelves.get(resource)
        return shelf is not None and any(covers(obj) for covers in shelf.scopes)

    # --- what sources and writers tell

    def upsert(self, resource: Resource, obj: Obj, *, initial: bool = False, listed: bool = False) -> bool:
        """True if the object was news. ``listed``: it comes from a list that ``remove_unlisted`` will follow."""
        uid = obj["metadata"]["uid"]
        if uid in self._tombstones:
            return False
        key = key_of(resource, obj)
        old = self.at(resource, key)
        if old is None and not listed and self._shelf(resource).was_unlisted(obj):
            return False
        if old is not None:
            if version_of(obj) <= version_of(old):
                return False
            if old["metadata"]["uid"] != uid:
                self._drop(resource, key, old)
                old = None
        self._put(resource, key, old, obj, initial)
        return True

    def remove(self, resource: Resource, obj: Obj) -> bool:
        """The server said that this very object (by UID) is gone. True if that was news."""
        uid = obj["metadata"]["uid"]
        self._bury(uid)
        key = key_of(resource, obj)
        old = self.at(resource, key)
        if old is None or old["metadata"]["uid"] != uid:
            return False
        self._drop(resource, key, old)
        return True

    def observe_write(self, resource: Resource, obj: Obj) -> None:
        """The server's answer to a write of ours."""
        metadata = obj["metadata"]
        if "uid" not in metadata or not self.covers(resource, obj):
            return
        if metadata.get("deletionTimestamp") and is_gone(obj):
            self.remove(resource, obj)
        else:
            self.upsert(resource, obj)

    def remove_unlisted(self, resource: Resource, listed: Iterable[Key], version: int, covers: Scope) -> Keys:
        """After a list as of ``version``: drops what ``covers`` claims and the list lacked, and takes nothing older any
        more. What is newer than the list was written while it ran, and stays: the watch that follows will tell."""
        present = set(listed)
        shelf = self._shelf(resource)
        vanished = [
            (key, obj)
            for key, obj in shelf.objects.items()
            if key not in present and version_of(obj) <= version and covers(obj)
        ]
        for _, obj in vanished:
            self.remove(resource, obj)
        shelf.floors[covers] = version
        return [key for key, _ in vanished]

    # --- inside

    def _shelf(self, resource: Resource) -> _Shelf:
        return self._shelves.setdefault(resource, _Shelf())

    def _put(self, resource: Resource, key: Key, old: Obj | None, new: Obj, initial: bool) -> None:
        shelf = self._shelf(resource)
        for index in shelf.indices.values():
            if old is not None:
                index.drop(key, old)
            index.add(key, new)
        shelf.objects[key] = new
        shelf.namespaces.setdefault(key.namespace, {})[key] = None
        self._tell(Change(resource, key, old, new, initial and old is None))

    def _drop(self, resource: Resource, key: Key, old: Obj) -> None:
        self._bury(old["metadata"]["uid"])
        shelf = self._shelf(resource)
        for index in shelf.indices.values():
            index.drop(key, old)
        del shelf.objects[key]
        members = shelf.namespaces[key.namespace]
        del members[key]
        if not members:
            del shelf.namespaces[key.namespace]
        self._tell(Change(resource, key, old, None))

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)

    def _bury(self, uid: str) -> None:
        now = self._clock()
        self._tombstones.pop(uid, None)
        self._tombstones[uid] = now
        # Oldest first, as dicts keep the order of insertion.
        while self._tombstones:
            oldest = next(iter(self._tombstones))
            if now - self._tombstones[oldest] < TOMBSTONE_SECONDS:
                break
            del self._tombstones[oldest]


def version_of(obj: Obj) -> int:
    """resourceVersions of one resource are comparable numbers; an object without one is older than all."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def is_gone(obj: Obj) -> bool:
    """The answer to the write that took the last finalizer shows the object as it was when it vanished."""
    metadata = obj["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )
