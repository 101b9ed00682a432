"""Goldpool's own kinds may be taken away: with their CRD goes every object of the kind, and no user meant a byte of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from goldpool.api.parent import ParentState
from goldpool.controllers.naming import FINALIZER
from goldpool.engine.plan import Controller, Plan, RemoveFinalizer, Soon
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, KubeApi, NotFound, Obj, Resource

_WITNESSES: Final = {r.PARENT: (r.VOLUME, r.VIRTUAL_MACHINE, r.TEMPLATE)}
"""Whose objects say that something is still needed. Without the kind nobody says so, which proves nothing."""

_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Released:
    """The object's CRD is being deleted, or is gone."""

    obj: Obj


@dataclass(frozen=True, slots=True)
class Undecided:
    """The CRD of a kind that could say whether the object is used is being deleted, or is gone."""


class Leaving:
    """A controller that lets an object go without touching anything else when its CRD is being deleted, and that removes
    nothing while the CRD of a witness is.

    The API server marks a CRD before it deletes the first object of its kind. So one look at the CRD, uncached, after an
    object was seen deleted, tells for good whether somebody meant that object.
    """

    def __init__(self, controller: Controller[Any], kube: KubeApi, cache: Cache) -> None:
        self.name = controller.name
        self.resource = controller.resource
        self.ignores_own_status: bool = getattr(controller, "ignores_own_status", True)
        self.foreign_status: tuple[str, ...] = tuple(getattr(controller, "foreign_status", ()))
        self._controller = controller
        self._kube = kube
        self._cache = cache
        self._meant: dict[Key, str] = {}
        """By key: the UID of an object whose deletion was meant."""

    async def gather(self, key: Key) -> Any:
        obj = self._cache.at(self.resource, key)
        if obj is None:
            self._meant.pop(key, None)
        elif obj["metadata"].get("deletionTimestamp"):
            if self._meant.get(key) != obj["metadata"]["uid"]:
                if await self._is_leaving(self.resource):
                    return Released(obj)
                self._meant[key] = obj["metadata"]["uid"]
            if await self._lacks_witness():
                return Undecided()
        elif _retires(obj) and await self._lacks_witness():
            return Undecided()
        return await self._controller.gather(key)

    def plan(self, observed: Any) -> Plan:
        match observed:
            case Released(obj):
                return Plan(effects=(RemoveFinalizer(self.resource, obj, FINALIZER),))
            case Undecided():
                return Plan(again_after=_AGAIN_SECONDS)
            case _:
                return self._controller.plan(observed)

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        return self._controller.affected(change)

    async def _lacks_witness(self) -> bool:
        for witness in _WITNESSES.get(self.resource, ()):
            if await self._is_leaving(witness):
                return True
        return False

    async def _is_leaving(self, resource: Resource) -> bool:
        name = f"{resource.plural}.{resource.group}"
        try:
            crd = await self._kube.get(r.CUSTOM_RESOURCE_DEFINITION, name)
        except NotFound:
            return True
        return bool(crd["metadata"].get("deletionTimestamp"))


def _retires(obj: Obj) -> bool:
    return (obj.get("status") or {}).get("state") == ParentState.RETIRING
