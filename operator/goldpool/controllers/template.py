"""Template: makes a Parent wherever a copy is wanted, pins the revision, and guards itself while it is used."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from goldpool.api.conditions import ConditionType, Reason, is_true, message_of
from goldpool.api.model import API_VERSION
from goldpool.api.parent import Parent, ParentState
from goldpool.api.references import CopyException
from goldpool.api.template import PoolRef, Template, TemplateStatus
from goldpool.api.volume import Volume
from goldpool.controllers.naming import (
    FINALIZER,
    LABEL_MANAGED,
    LABEL_TEMPLATE_UID,
    MANAGED_BY,
    RETRY_ANNOTATION,
    parent_name,
    source_hash,
)
from goldpool.controllers.verdict import Verdict, blocked, busy, conditions, good, named, stalled
from goldpool.controllers.world import World, differs, going, readiness, soon_if_well, stake
from goldpool.engine.plan import AddFinalizer, Create, EventKind, Plan, Record, RemoveFinalizer, Soon
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Key, Obj
from goldpool.planning.references import Users, bound, users_of_template


@dataclass(frozen=True, slots=True)
class Wanted:
    """A location that should have a copy, and why."""

    location: str
    pool: str
    host: str
    prepared: bool
    fallback: bool = False
    """An ordinary pool stands in for a golden one."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A template, its copies, where copies are wanted, and who uses it."""

    raw: Obj
    template: Template
    parents: tuple[Parent, ...]
    """Fresh from the API server when a copy has to be made, because a cache that misses one would fetch twice."""
    wanted: tuple[Wanted, ...]
    users: Users
    """Bound volumes, once it is being deleted; fresh from the API server before it goes."""
    children: dict[str, int]
    """Volumes per pool of their parent."""
    tokens: tuple[str, ...]
    """One for each copy that may have to be made: names are minted, never derived."""
    now: datetime


class TemplateController:
    name = "template"
    resource = r.TEMPLATE

    def __init__(self, world: World) -> None:
        self._world = world

    async def gather(self, key: Key) -> Observed | None:
        world = self._world
        raw = world.cache.at(r.TEMPLATE, key)
        if raw is None:
            return None
        template = world.read(Template, raw)
        name = template.metadata.name
        volumes = world.volumes_of_template(name)
        users = _users(name, volumes if template.deleting else ())
        parents = [p for p in world.parents_of_template(name) if p.spec.template_uid == template.metadata.uid]
        wanted = () if template.deleting else tuple(self._wanted(template, volumes))
        if template.deleting and not users and not parents:
            users = _users(name, await world.fresh_volumes())
            parents = await world.fresh_parents(template.metadata.uid)
        elif missing(wanted, parents, source_hash(raw["spec"])):
            parents = await world.fresh_parents(template.metadata.uid)
        children: dict[str, int] = {}
        for volume in volumes:
            if volume.status.parent and volume.spec.placement and volume.spec.placement.parent_pool:
                pool = volume.spec.placement.parent_pool
                children[pool] = children.get(pool, 0) + 1
        return Observed(
            raw=raw,
            template=template,
            parents=tuple(sorted(parents, key=lambda p: (p.metadata.creation_timestamp, p.metadata.name))),
            wanted=wanted,
            users=users,
            children=children,
            tokens=tuple(world.token() for _ in wanted),
            now=world.now(),
        )

    def _wanted(self, template: Template, volumes: list[Volume]) -> Iterable[Wanted]:
        """Every usable location of the pools to prepare, and every location that a bound volume waits for."""
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
        for volume in volumes:
            place = volume.spec.placement
            if place is None or place.parent_pool is None or not volume.spec.storage_id or volume.deleting:
                continue
            if volume.status.created_time and volume.status.storage_id == volume.spec.storage_id:
                continue
            pool = world.pool(place.parent_pool)
            if pool is None or pool.deleting:
                continue
            name = world.location_for(pool, place.host or "")
            found = world.location(name)
            if found is not None and not found.deleting and name not in seen:
                seen.add(name)
                stands_in = template.spec.golden and not pool.spec.golden
                yield Wanted(name, place.parent_pool, found.spec.host, prepared=False, fallback=stands_in)

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _counts(self, key: Key) -> Key | Soon:
        return soon_if_well(key, self._world.cache.at(r.TEMPLATE, key))

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        cache = self._world.cache
        match change.resource:
            case r.TEMPLATE:
                yield change.key
            case r.PARENT:
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
            case r.STORAGE_LOCATION if differs(change, readiness):
                # A location that has become usable may be one to prepare.
                for obj in cache.list(r.TEMPLATE):
                    if obj["spec"].get("prepare", {}).get("pools"):
                        yield Key("Template", "", obj["metadata"]["name"])


def _binding(volume: Obj) -> object:
    return volume["spec"].get("placement"), volume["spec"].get("storageID"), going(volume)


def plan(o: Observed) -> Plan:
    """A Parent for each wanted location that has none; the first published one decides the revision."""
    if o.template.deleting:
        return _removal(o)
    if FINALIZER not in o.template.metadata.finalizers:
        return Plan(effects=(AddFinalizer(r.TEMPLATE, o.raw, FINALIZER),))
    if not o.template.spec.direct_download:
        message = "spec.directDownload is false and there are no image stores yet: set it to true"
        return Plan(status=_status(o, stalled(Reason.IMAGE_STORE_REQUIRED, message)))
    current = source_hash(o.raw["spec"])
    create = tuple(
        _parent(o, want, current, token)
        for want, token in zip(missing(o.wanted, o.parents, current), o.tokens, strict=False)
    )
    verdict = _verdict(o, current)
    told = _told(o, verdict)
    return Plan(effects=(*create, *told), status=_status(o, verdict))


def missing(wanted: Iterable[Wanted], parents: Iterable[Parent], current: str) -> list[Wanted]:
    """Wanted locations without a copy of the current source. One that retires does not count: it may be gone soon,
    or be reverted, and then the next pass sees it."""
    held = {
        p.spec.location
        for p in parents
        if p.spec.source_hash == current and not p.deleting and p.status.state is not ParentState.RETIRING
    }
    return [w for w in wanted if w.location not in held]


def _parent(o: Observed, want: Wanted, current: str, token: str) -> Create:
    metadata = o.template.metadata
    return Create(
        r.PARENT,
        {
            "apiVersion": API_VERSION,
            "kind": "Parent",
            "metadata": {
                "name": parent_name(metadata.name, token),
                "finalizers": [FINALIZER],
                "labels": {
                    LABEL_MANAGED: MANAGED_BY,
                    LABEL_TEMPLATE_UID: metadata.uid,
                    "goldpool.io/template": metadata.name,
                    "goldpool.io/pool": want.pool,
                },
            },
            "spec": {
                "template": metadata.name,
                "templateUID": metadata.uid,
                "pool": want.pool,
                "location": want.location,
                "host": want.host,
                "format": o.template.spec.format,
                "sourceHash": current,
                "revision": o.template.status.revision or "",
                "fallback": want.fallback,
            },
        },
    )


def revision_of(o: Observed, current: str) -> Parent | None:
    """The copy that decides: the first published one of the current source, unless the revision is known."""
    published = (
        p for p in o.parents
        if p.spec.source_hash == current and p.status.revision
        and p.status.state in {ParentState.PUBLISHED, ParentState.READY}
    )  # fmt: skip
    return min(published, key=lambda p: (p.status.published_time or "", p.metadata.name), default=None)


def _verdict(o: Observed, current: str) -> Verdict:
    copies = [p for p in o.parents if p.spec.source_hash == current]
    ready = [p for p in copies if p.status.state is ParentState.READY]
    broken = [p for p in copies if p.status.state is ParentState.FAILED]
    hopeless = [p for p in broken if p.status.permanent]
    want = len(o.wanted)
    if hopeless and not ready:
        return stalled(Reason.SOURCE_INVALID, f"{_message(hopeless[0])} (correct spec.source or spec.checksum, or set "
                       f"a new value of {RETRY_ANNOTATION})")  # fmt: skip
    if not copies and not o.wanted:
        return good(Reason.NO_COPY_WANTED, "registered; it is fetched when something needs it")
    held = {p.spec.location for p in ready}
    if all(w.location in held for w in o.wanted):
        return good(Reason.READY, f"{len(ready)} verified copies")
    if broken:
        return busy(Reason.FETCH_FAILED, f"{len(broken)} of {want} copies failed: {_message(broken[0])}")
    return busy(Reason.FETCHING, f"{len(held)} of {want} copies are there")


def _message(parent: Parent) -> str:
    found = message_of(parent.status.conditions)
    return f"{parent.spec.host or parent.spec.location}: {found or parent.status.failure or 'failed'}"


def _told(o: Observed, verdict: Verdict) -> tuple[Record, ...]:
    before = next((c for c in o.template.status.conditions if c.type == "Ready"), None)
    if before is not None and before.reason == verdict.reason:
        return ()
    if verdict.reason is Reason.READY:
        return (Record(o.raw, EventKind.NORMAL, Reason.READY, "Fetch", verdict.message),)
    if verdict.reason in {Reason.SOURCE_INVALID, Reason.FETCH_FAILED}:
        return (Record(o.raw, EventKind.WARNING, verdict.reason, "Fetch", verdict.message),)
    return ()


def _removal(o: Observed) -> Plan:
    if FINALIZER not in o.template.metadata.finalizers:
        return Plan()
    if o.users:
        sentence = f"{o.users.total} volume(s) depend on the template: {named(o.users)}; delete them or their machines"
        return Plan(
            effects=(Record(o.raw, EventKind.WARNING, Reason.DELETION_BLOCKED, "Delete", sentence),),
            status=_status(o, blocked(sentence)),
        )
    if o.parents:
        # Each copy retires by itself once it sees that its template goes: only it may say that nobody needs it.
        return Plan(status=_status(o, busy(Reason.TERMINATING, f"{len(o.parents)} copies are being removed")))
    return Plan(effects=(RemoveFinalizer(r.TEMPLATE, o.raw, FINALIZER),))


def _status(o: Observed, verdict: Verdict) -> dict[str, Any]:
    before = o.template.status
    current = source_hash(o.raw["spec"])
    pin = revision_of(o, current) if before.revision is None else None
    known = pin or next(
        (p for p in o.parents if before.revision and p.status.revision == before.revision), None
    )
    ready = sum(p.status.state is ParentState.READY for p in o.parents)
    return TemplateStatus(
        observed_generation=o.template.metadata.generation,
        phase=_phase(o, verdict, ready),
        conditions=conditions(
            verdict, previous=before.conditions, generation=o.template.metadata.generation, now=o.now
        ),
        revision=before.revision or (pin.status.revision if pin else None),
        size=known.status.size if known else before.size,
        virtual_size=known.status.virtual_size if known else before.virtual_size,
        copies=f"{ready}/{max(len(o.wanted), ready)}",
        children=sum(o.children.values()),
        pool_refs=_pool_refs(o, current),
        exceptions=[
            CopyException(
                location=p.spec.location,
                host=p.spec.host,
                reason=p.status.failure or "Failed",
                message=_message(p),
            )
            for p in {p.spec.location: p for p in o.parents if p.status.state is ParentState.FAILED}.values()
        ][:20],
        retry=o.template.metadata.annotations.get(RETRY_ANNOTATION),
        blockers=list(o.users.blockers) if o.template.deleting else [],
        blockers_total=o.users.total if o.template.deleting else None,
    ).to_dict()


def _pool_refs(o: Observed, current: str) -> list[PoolRef]:
    pools = sorted({w.pool for w in o.wanted} | {p.spec.pool for p in o.parents} | set(o.children))[:64]
    refs = []
    for pool in pools:
        here = [p for p in o.parents if p.spec.pool == pool]
        states = [p.status.state for p in here if p.spec.source_hash == current]
        ready = [p for p in here if p.status.state is ParentState.READY]
        refs.append(
            PoolRef(
                pool=pool,
                wanted=sum(w.pool == pool for w in o.wanted),
                ready=len(ready),
                fetching=sum(
                    s in {None, ParentState.PENDING, ParentState.FETCHING, ParentState.PUBLISHED}
                    for s in states
                ),
                failed=sum(s is ParentState.FAILED for s in states),
                children=o.children.get(pool, 0),
                digest=ready[0].status.revision or "" if ready else "",
            )
        )
    return refs


def _phase(o: Observed, verdict: Verdict, ready: int) -> str:
    if o.template.deleting:
        return "Terminating"
    if verdict.stalled:
        return "Failed"
    if verdict.ready:
        return "Ready" if ready else "Registered"
    return "Degraded" if ready else "Fetching"


def _users(name: str, volumes: Iterable[Volume]) -> Users:
    """A volume that was never bound holds nothing up: it only waits."""
    return users_of_template(name, (v for v in volumes if bound(v) or v.status.parent))
