"""Gathers a volume's world."""

from collections.abc import Iterable

from goldpool.api.conditions import ConditionType
from goldpool.api.parent import ParentState
from goldpool.api.volume import Volume
from goldpool.controllers.backing import executing_host, mount_of
from goldpool.controllers.changes import differs, going, place_as_seen
from goldpool.controllers.indices import BY_PARENT, BY_POOL, BY_TEMPLATE
from goldpool.controllers.landscape import Landscape
from goldpool.controllers.naming import (
    HOLDER_ANNOTATION,
    VOLUME_ANNOTATION,
    OperationIds,
    lease_name,
    source_hash,
)
from goldpool.controllers.volume.adoption import rivals_of
from goldpool.controllers.volume.observed import Discard, Observed, Place
from goldpool.controllers.volume.plan import plan
from goldpool.controllers.world import World
from goldpool.dispatch.outcome import Outcome
from goldpool.engine.plan import Plan
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.references import template_of


class VolumeController:
    name = "volume"
    resource = r.VOLUME
    foreign_status = ("firstUsedTime",)
    """Written by the machine's controller, before its pod."""

    def __init__(self, world: World, landscape: Landscape) -> None:
        self._world = world
        self._landscape = landscape

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.VOLUME, key)
        if raw is None:
            return None
        volume = world.read(Volume, raw)
        spec, status = volume.spec, volume.status
        template = world.template(wanted) if (wanted := template_of(volume)) else None
        wish = spec.placement
        place, parent_location = None, None
        if wish is not None and wish.pool is not None and spec.storage_id:
            place = self._place(
                wish.pool, status.location if status.storage_id == spec.storage_id else None, wish.host
            )
            parent_pool = world.pool(wish.parent_pool) if wish.parent_pool else None
            parent_location = world.location_for(parent_pool, wish.host or "") if parent_pool else None
        fresh = None
        if status.parent and status.created_time is None:
            fresh = await world.fresh_parent(status.parent)
        storage = spec.storage_id or ""
        dispatcher = world.dispatcher
        lease = world.lease(lease_name(volume.metadata.uid))
        if lease is None and volume.deleting:
            # Its disk is removed on the word that nobody holds it: the cache's is not enough.
            lease = await world.refresh(
                r.LEASE, lease_name(volume.metadata.uid), world.settings.data_namespace
            )
        holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
        annotations = (lease or {}).get("metadata", {}).get("annotations") or {}
        adoption: Outcome | None = None
        rivals: tuple[str, ...] = ()
        if volume.restored and not volume.deleting:
            adoption = dispatcher.outcome(OperationIds.adopt(storage, volume.metadata.uid))
            if adoption is None and not volume.adopted:
                rivals = await rivals_of(world, volume)
        direct = None
        if (
            not volume.deleting
            and wish is not None
            and wish.pool
            and not storage
            and (wish.host or self._shared(wish.pool))
            and (template is not None or not wanted)
        ):
            direct = self._landscape.place_volume(volume)
        return Observed(
            raw=raw,
            volume=volume,
            template=template,
            place=place,
            adoption=adoption,
            rivals=rivals,
            discards=tuple(
                Discard(
                    disk,
                    self._place_of_location(disk.location),
                    dispatcher.outcome(OperationIds.delete_volume(disk.storage_id)),
                )
                for disk in status.discards
            ),
            parent_location=parent_location,
            candidates=tuple(
                p for p in world.parents_at(parent_location)
                if template is not None and p.spec.template_uid == template.metadata.uid
                # A failed copy of an earlier source says nothing about the corrected one.
                and p.spec.source_hash == self._source_of(template.metadata.name)
            ) if parent_location else (),
            fresh_parent=fresh,
            creation=dispatcher.outcome(OperationIds.create(storage, status.attempts or 0)),
            removal=dispatcher.outcome(OperationIds.delete_volume(storage)),
            parent=world.parent(status.parent) if status.parent else None,
            lease=lease,
            holder=holder,
            holder_name=annotations.get(HOLDER_ANNOTATION, ""),
            direct=direct,
            token=world.token(),
            trash_seconds=world.settings.trash_seconds,
            base_seconds=world.settings.retry_base_seconds,
            now=world.now(),
        )  # fmt: skip

    def _source_of(self, template: str) -> str:
        raw = self._world.cache.get(r.TEMPLATE, template)
        return source_hash(raw["spec"]) if raw is not None else ""

    def _shared(self, pool: str) -> bool:
        found = self._world.pool(pool)
        return found is not None and found.spec.scope == "Shared"

    def _place(self, pool_name: str, location_name: str | None, host: str | None) -> Place | None:
        pool = self._world.pool(pool_name)
        if pool is None:
            return None
        name = location_name or self._world.location_for(pool, host or "")
        return self._place_of_location(name)

    def _place_of_location(self, name: str) -> Place | None:
        world = self._world
        location = world.location(name)
        pool = world.pool(location.spec.pool) if location else None
        if location is None or pool is None or pool.metadata.uid != location.spec.pool_uid:
            return None
        return Place(
            pool=pool,
            location=location,
            mount=mount_of(pool, location, location.status.node_uid or "", world.cluster_uid),
            host=executing_host(world, pool, location),
            node_known=not location.spec.host or world.node(location.spec.host) is not None,
        )

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def affected(self, change: Change) -> Iterable[Key]:
        cache = self._world.cache
        match change.resource:
            case r.VOLUME:
                yield change.key
            case r.LEASE:
                for obj in (change.new, change.old):
                    volume = ((obj or {}).get("metadata", {}).get("annotations") or {}).get(
                        VOLUME_ANNOTATION, ""
                    )
                    if volume:
                        namespace, _, name = volume.partition("/")
                        yield Key("Volume", namespace, name)
            case r.PARENT if differs(change, _copy):
                parent = change.new or change.old or {}
                for obj in cache.by_index(r.VOLUME, BY_PARENT, change.key.name):
                    yield _key(obj)
                for obj in cache.by_index(r.VOLUME, BY_TEMPLATE, parent["spec"]["template"]):
                    if not (obj.get("status") or {}).get("createdTime"):
                        yield _key(obj)
            case r.STORAGE_LOCATION if differs(change, place_as_seen):
                spec = (change.new or change.old or {})["spec"]
                for obj in cache.by_index(r.VOLUME, BY_POOL, spec["pool"]):
                    yield _key(obj)
            case r.TEMPLATE if differs(change, _template):
                for obj in cache.by_index(r.VOLUME, BY_TEMPLATE, change.key.name):
                    if not (obj.get("status") or {}).get("createdTime"):
                        yield _key(obj)


def _copy(parent: Obj) -> object:
    """What a volume reads of a copy. Progress and counts, which change all the time, are not among it."""
    status = parent.get("status") or {}
    shown = ("state", "revision", "virtualSize", "permanent")
    failed = status.get("conditions") if status.get("state") == ParentState.FAILED else None
    return parent["spec"], [status.get(field) for field in shown], failed, going(parent)


def _template(template: Obj) -> object:
    status = template.get("status") or {}
    stalled = [c for c in status.get("conditions", ()) if c["type"] == ConditionType.STALLED]
    return template["spec"], status.get("revision"), status.get("virtualSize"), stalled, going(template)


def _key(obj: Obj) -> Key:
    return Key("Volume", obj["metadata"]["namespace"], obj["metadata"]["name"])
