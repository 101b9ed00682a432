"""Gathers a template's world."""

from collections import Counter
from collections.abc import Collection, Iterable

from goldpool.api.conditions import ConditionType, Reason, is_true
from goldpool.api.parent import Parent, ParentState
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers.changes import differs, going, iso_of, iso_stake, readiness, soon_if_well, stake
from goldpool.controllers.fetch_policy import probe_policy
from goldpool.controllers.naming import source_hash
from goldpool.controllers.parent.progress import but_for_progress
from goldpool.controllers.template.asking import last_probe, operation_id
from goldpool.controllers.template.hosts import asker_of
from goldpool.controllers.template.observed import Observed, Wanted
from goldpool.controllers.template.plan import lacks_candidate, missing, plan
from goldpool.controllers.world import World
from goldpool.engine.plan import Plan, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.references import Users, bound, users_of_template


class TemplateController:
    name = "template"
    resource = r.TEMPLATE

    def __init__(self, world: World) -> None:
        self._world = world
        self._policy = probe_policy(world.settings)

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.TEMPLATE, key)
        if raw is None:
            return None
        template = world.read(Template, raw)
        name = template.metadata.name
        volumes, machines = world.volumes_of_template(name), world.machines_with_iso(name)
        users = _users(name, volumes, machines) if template.deleting else Users((), 0)
        parents = [p for p in world.parents_of_template(name) if p.spec.template_uid == template.metadata.uid]
        wanted = () if template.deleting else tuple(self._wanted(template, volumes, machines, parents))
        current = source_hash(raw["spec"])
        places = tuple(self._places(wanted, parents))
        if template.deleting and not users and not parents:
            users = _users(name, await world.fresh_volumes(), await world.fresh_machines())
            parents = await world.fresh_parents(template.metadata.uid)
        elif missing(template, wanted, parents, current) or lacks_candidate(
            template, places, parents, current
        ):
            parents = await world.fresh_parents(template.metadata.uid)
        known, probe_id = last_probe(template, current), operation_id(template, current)
        children = Counter(
            v.spec.placement.parent_pool
            for v in volumes
            if v.status.parent and v.spec.placement and v.spec.placement.parent_pool
        ) + Counter(m.status.iso.pool for m in machines if m.status.iso and m.status.iso.parent)
        return Observed(
            raw=raw,
            template=template,
            parents=tuple(sorted(parents, key=lambda p: (p.metadata.creation_timestamp, p.metadata.name))),
            wanted=wanted,
            users=users,
            children=children,
            tokens=tuple(world.token() for _ in range(len(wanted) + 2)),
            places=places,
            probe=world.dispatcher.outcome(probe_id),
            probe_id=probe_id,
            asker=asker_of(world, template, turn=known.failures if known is not None else 0),
            policy=self._policy,
            base_seconds=world.settings.retry_base_seconds,
            cap_seconds=world.settings.retry_cap_seconds,
            now=world.now(),
        )

    def _places(self, wanted: Iterable[Wanted], parents: Iterable[Parent]) -> Iterable[Wanted]:
        """Usable ones of where a copy is wanted, and of where one is."""
        world = self._world
        ready = (p for p in parents if p.status.state is ParentState.READY and not p.deleting)
        there = [Wanted(p.spec.location, p.spec.pool, p.spec.host, prepared=False, fallback=p.spec.fallback)
                 for p in sorted(ready, key=lambda p: (p.spec.fallback, p.metadata.name))]  # fmt: skip
        seen = set()
        for place in (*wanted, *there):
            location, pool = world.location(place.location), world.pool(place.pool)
            usable = location is not None and is_true(location.status.conditions, ConditionType.READY)
            gone = location is None or location.deleting or pool is None or pool.deleting
            if usable and not gone and place.location not in seen:
                seen.add(place.location)
                yield place

    def _wanted(
        self,
        template: Template,
        volumes: list[Volume],
        machines: list[VirtualMachine],
        parents: list[Parent],
    ) -> Iterable[Wanted]:
        """Every usable location of the pools to prepare, and every location where a bound volume or a machine's ISO waits
        for a copy."""
        world, seen = self._world, set()
        for pool_name in template.spec.prepare.pools:
            pool = world.pool(pool_name)
            if pool is None or pool.deleting or pool.spec.golden != template.spec.golden:
                continue
            for location in sorted(world.locations_of(pool_name), key=lambda x: x.metadata.name):
                usable = is_true(location.status.conditions, ConditionType.READY)
                if usable and not location.deleting:
                    seen.add(location.metadata.name)
                    yield Wanted(location.metadata.name, pool_name, location.spec.host, prepared=True)
        named = {p.metadata.name for p in parents}
        for pool_name, host in (*_awaited_by_volumes(volumes), *_awaited_by_machines(machines, named)):
            pool = world.pool(pool_name)
            if pool is None or pool.deleting:
                continue
            name = world.location_for(pool, host)
            found = world.location(name)
            if found is not None and not found.deleting and name not in seen:
                seen.add(name)
                stands_in = template.spec.golden and not pool.spec.golden
                yield Wanted(name, pool_name, found.spec.host, prepared=False, fallback=stands_in)

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _counts(self, key: Key) -> Key | Soon:
        return soon_if_well(key, self._world.cache.at(r.TEMPLATE, key))

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        cache = self._world.cache
        match change.resource:
            case r.TEMPLATE:
                yield change.key
            case r.PARENT if differs(change, but_for_progress):
                for obj in (change.old, change.new):
                    if obj is not None:
                        yield Key("Template", "", obj["spec"]["template"])
            case r.VOLUME if differs(change, stake):
                for obj in (change.old, change.new):
                    name = (
                        ((obj or {}).get("spec", {}).get("source") or {}).get("templateRef", {}).get("name")
                    )
                    if name:
                        key = Key("Template", "", name)
                        # A binding may want a copy that is not there; all else is counted only.
                        yield key if differs(change, _binding) else self._counts(key)
            case r.VIRTUAL_MACHINE if differs(change, iso_stake):
                for obj in (change.old, change.new):
                    if obj is not None and (name := iso_of(obj).get("template")):
                        yield Key("Template", "", name)
            case r.STORAGE_LOCATION if differs(change, readiness):
                # A location that has become usable may be one to prepare or to fetch a new revision to, or its host the
                # first that may ask a source.
                for obj in cache.list(r.TEMPLATE):
                    ahead = obj["spec"].get("prepare", {}).get("pools")
                    if ahead or (obj.get("status") or {}).get("refetch") or _waits_for_a_host(obj):
                        yield Key("Template", "", obj["metadata"]["name"])
            case r.NODE | r.STORAGE_POOL if differs(change, _asks):
                for obj in cache.list(r.TEMPLATE):
                    if _waits_for_a_host(obj):
                        yield Key("Template", "", obj["metadata"]["name"])


def _waits_for_a_host(template: Obj) -> bool:
    conditions = (template.get("status") or {}).get("conditions", ())
    return any(c.get("reason") == Reason.NO_HOST_TO_ASK for c in conditions) or not conditions


def _asks(obj: Obj) -> object:
    """Of a node or a pool: what decides whether a source may be asked from there."""
    spec = obj.get("spec", {})
    return readiness(obj), spec.get("unschedulable"), spec.get("state")


def _awaited_by_volumes(volumes: Iterable[Volume]) -> Iterable[tuple[str, str]]:
    """(pool, host)"""
    for volume in volumes:
        place = volume.spec.placement
        if place is None or place.parent_pool is None or not volume.spec.storage_id or volume.deleting:
            continue
        if volume.status.created_time and volume.status.storage_id == volume.spec.storage_id:
            continue
        yield place.parent_pool, place.host or ""


def _awaited_by_machines(
    machines: Iterable[VirtualMachine], parents: Collection[str]
) -> Iterable[tuple[str, str]]:
    """(pool, host). A machine that has named its copy wants another one only when that one is gone."""
    for machine in machines:
        iso = machine.status.iso
        if iso is not None and iso.parent not in parents and not machine.deleting:
            yield iso.pool, iso.host


def _binding(volume: Obj) -> object:
    return volume["spec"].get("placement"), volume["spec"].get("storageID"), going(volume)


def _users(name: str, volumes: Iterable[Volume], machines: Iterable[VirtualMachine]) -> Users:
    """A volume that was never bound holds nothing up: it only waits."""
    return users_of_template(name, (v for v in volumes if bound(v) or v.status.parent), machines)
