"""Gathers a parent's world."""

import random
from collections.abc import Callable, Iterable

from goldpool.api.conditions import ConditionType, is_true
from goldpool.api.parent import Parent, ParentState
from goldpool.controllers.backing import executing_hosts, mount_of
from goldpool.controllers.changes import differs, going, iso_of, iso_stake, place_as_seen, soon_if_well, stake
from goldpool.controllers.fetch_policy import fetch_policy, within_bandwidth
from goldpool.controllers.indices import BY_LOCATION, BY_POOL, BY_TEMPLATE
from goldpool.controllers.naming import LABEL_LOCATION, PARENTS_ANNOTATION, OperationIds, source_hash
from goldpool.controllers.parent.observed import Observed
from goldpool.controllers.parent.plan import plan
from goldpool.controllers.world import World, left_behind
from goldpool.engine.plan import Plan, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.references import Users, inserts_parent, users_of_parent, uses_parent
from goldpool.planning.retention import is_prepared


class ParentController:
    name = "parent"
    resource = r.PARENT

    def __init__(self, world: World, *, jitter: Callable[[], float] = random.random) -> None:
        self._world = world
        self._jitter = jitter
        self._policy = fetch_policy(world.settings)

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.PARENT, key)
        if raw is None:
            return None
        parent = world.read(Parent, raw)
        spec, status = parent.spec, parent.status
        template = world.template(spec.template)
        if template is not None and template.metadata.uid != spec.template_uid:
            template = None
        template_raw = world.cache.get(r.TEMPLATE, spec.template)
        pool, location = world.pool(spec.pool), world.location(spec.location)
        node = world.node(spec.host) if spec.host else None
        volumes, machines = world.volumes_of_template(spec.template), world.machines_with_iso(spec.template)
        users = users_of_parent(parent, volumes, machines)
        if status.state is ParentState.RETIRING and not users:
            users = await self._witnesses(parent)
        attempt = status.attempt or 1
        turn = attempt - 1
        ready = location is not None and is_true(location.status.conditions, ConditionType.READY)
        settings = world.settings
        hosts = executing_hosts(world, pool, location, turn) if pool and location else ()
        host = next((name for name in hosts if name not in status.tried_hosts), next(iter(hosts), None))
        return Observed(
            raw=raw,
            parent=parent,
            template=template,
            source_hash=source_hash(template_raw["spec"]) if template is not None and template_raw else "",
            pool=pool,
            location=location,
            location_ready=ready,
            host=host,
            hosts=hosts,
            host_location=world.label_of_node(host, LABEL_LOCATION) if host else "",
            node_known=not spec.host or node is not None,
            mount=mount_of(pool, location, location.status.node_uid or "", world.cluster_uid)
            if pool and location
            else None,
            fetch=world.dispatcher.outcome(OperationIds.fetch(parent.metadata.name, attempt)),
            removal=world.dispatcher.outcome(OperationIds.delete_parent(parent.metadata.name)),
            users=users,
            waiting=sum(v.status.created_time is None and uses_parent(v, parent) for v in volumes)
            + sum(inserts_parent(m, parent) for m in machines),
            prepared=is_prepared(parent, template),
            copies=tuple(world.parents_of_template(spec.template)),
            volumes=tuple(volumes),
            policy=within_bandwidth(self._policy, pool, settings),
            base_seconds=settings.retry_base_seconds,
            cap_seconds=settings.retry_cap_seconds,
            jitter=self._jitter(),
            now=world.now(),
        )

    async def _witnesses(self, parent: Parent) -> Users:
        """Three independent ones, read from the API server: a finalizer can be stripped, a cache can be stale."""
        world, name = self._world, parent.metadata.name
        pods = [
            p["metadata"]["name"]
            for p in await world.fresh_pods()
            if name in (p["metadata"].get("annotations") or {}).get(PARENTS_ANNOTATION, "").split(",")
            and not left_behind(p)
        ]
        jobs = await world.dispatcher.users_of(name)
        volumes, machines = await world.fresh_volumes(), await world.fresh_machines()
        return users_of_parent(parent, volumes, machines, pods=pods, jobs=jobs)

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        world = self._world
        match change.resource:
            case r.PARENT:
                yield change.key
                if change.new is None or change.old is None or _state(change.old) != _state(change.new):
                    # Whether this is the last copy of a revision depends on the others.
                    for other in world.cache.by_index(
                        r.PARENT, BY_TEMPLATE, (change.new or change.old or {})["spec"]["template"]
                    ):
                        yield Key("Parent", "", other["metadata"]["name"])
            case r.TEMPLATE if differs(change, _of_template):
                yield from self._copies_of({change.key.name})
            case r.VOLUME if differs(change, stake):
                keys = self._copies_of({_template_of(obj) for obj in (change.old, change.new) if obj})
                yield from map(self._counts, keys)
            case r.VIRTUAL_MACHINE if differs(change, iso_stake):
                templates = {iso_of(obj).get("template", "") for obj in (change.old, change.new) if obj}
                yield from map(self._counts, self._copies_of(templates - {""}))
            case r.STORAGE_LOCATION | r.STORAGE_POOL if differs(change, place_as_seen):
                index = BY_LOCATION if change.resource is r.STORAGE_LOCATION else BY_POOL
                for obj in world.cache.by_index(r.PARENT, index, change.key.name):
                    yield Key("Parent", "", obj["metadata"]["name"])

    def _counts(self, key: Key) -> Key | Soon:
        """One that is there and stays counts its children; all others are waited for, or wait for their users."""
        parent = self._world.cache.at(r.PARENT, key)
        return (
            soon_if_well(key, parent) if parent is not None and _state(parent) == ParentState.READY else key
        )

    def _copies_of(self, templates: Iterable[str]) -> Iterable[Key]:
        for template in templates:
            for obj in self._world.cache.by_index(r.PARENT, BY_TEMPLATE, template):
                yield Key("Parent", "", obj["metadata"]["name"])


def _state(obj: Obj) -> object:
    return (obj.get("status") or {}).get("state")


def _of_template(obj: Obj) -> object:
    """What a copy reads of its template."""
    metadata = obj["metadata"]
    status = obj.get("status") or {}
    pinned = [status.get(field) for field in ("revision", "refetches", "refetch")]
    return obj["spec"], pinned, metadata.get("annotations"), going(obj)


def _template_of(volume: Obj) -> str:
    name: str = (volume["spec"].get("source") or {}).get("templateRef", {}).get("name", "")
    return name
