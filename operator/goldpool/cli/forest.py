"""The tree pools -> parents -> children -> machines, from lists of objects. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from goldpool.api.conditions import Condition, ConditionStatus, ConditionType
from goldpool.api.model import Kind, format_quantity, human_bytes
from goldpool.api.parent import Parent, ParentState
from goldpool.api.references import Blocker
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.cli.inventory import Inventory

K = TypeVar("K", bound=Kind)

NAMED_BLOCKERS = 3


class Health(StrEnum):
    """How a person should take a state; the renderer makes a colour of it."""

    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    NONE = "none"


@dataclass(frozen=True)
class Branch:
    """One line: ``what`` it is, its ``name``, its ``state``, and the ``facts`` a person asks next."""

    what: str
    name: str
    state: str = ""
    health: Health = Health.NONE
    facts: tuple[str, ...] = ()
    below: tuple["Branch", ...] = ()


def tree(inventory: Inventory, *, golden_only: bool = False) -> list[Branch]:
    """Golden pools first. Each volume and machine is shown at least once: a child below its parent, any other volume
    below its pool, and what has no place yet, or names what is not there, at the end. A machine with an ISO is named below
    the copy, too."""
    machines = _by_volume(inventory.machines)
    children = _grouped(inventory.volumes, lambda volume: volume.status.parent or "")
    readers = _grouped(inventory.machines, lambda m: (m.status.iso.parent or "") if m.status.iso else "")
    parents = _grouped(inventory.parents, lambda parent: parent.spec.pool)
    names = {pool.metadata.name for pool in inventory.pools}
    known_parents = {parent.metadata.name for parent in inventory.parents}

    def volume_branch(volume: Volume) -> Branch:
        users = machines.get((volume.metadata.namespace, volume.metadata.name), ())
        return _volume(volume, tuple(map(_machine, users)))

    def parent_branch(parent: Parent) -> Branch:
        name = parent.metadata.name
        inserted = map(_reader, readers.get(name, ()))
        return _parent(parent, (*map(volume_branch, children.get(name, ())), *inserted))

    def pool_branch(pool: StoragePool) -> Branch:
        copies = sorted(parents.get(pool.metadata.name, ()), key=lambda p: (p.spec.template, p.spec.host))
        loose = [
            volume
            for volume in inventory.volumes
            if _pool_of(volume) == pool.metadata.name and volume.status.parent not in known_parents
        ]
        below = (*map(parent_branch, copies), *map(volume_branch, _sorted(loose)))
        return _pool(pool, (*_troubles(pool), *below))

    shown = [pool for pool in inventory.pools if pool.spec.golden or not golden_only]
    branches = [
        pool_branch(pool) for pool in sorted(shown, key=lambda p: (not p.spec.golden, p.metadata.name))
    ]
    if golden_only:
        return branches
    lost = [parent_branch(parent) for parent in inventory.parents if parent.spec.pool not in names]
    homeless = [
        volume
        for volume in inventory.volumes
        if _pool_of(volume) not in names and volume.status.parent not in known_parents
    ]
    existing = {(volume.metadata.namespace, volume.metadata.name) for volume in inventory.volumes}
    waiting = [machine for machine in inventory.machines if not existing & set(_volumes_of(machine))]
    idle = [template for template in inventory.templates if not _copies(template, inventory.parents)]
    rest = (
        *lost,
        *map(volume_branch, _sorted(homeless)),
        *map(_machine, _sorted(waiting)),
    )
    if rest:
        branches.append(Branch("", "not placed", below=rest))
    if idle:
        branches.append(Branch("", "templates without a copy", below=tuple(map(_template, _sorted(idle)))))
    return branches


def _pool(pool: StoragePool, below: tuple[Branch, ...]) -> Branch:
    status, spec = pool.status, pool.spec
    facts = [f"{status.hosts} hosts"] if status.hosts else []
    if status.total:
        facts.append(f"{status.used_percent or '0%'} of {human_bytes(status.total)} used")
    if spec.tags:
        facts.append(f"tags {' '.join(spec.tags)}")
    what = "golden pool" if spec.golden else "pool"
    state, health = _state(pool.deleting, status.phase, status.conditions)
    if spec.state != "Enabled":
        facts.insert(0, spec.state)
    facts += _explained(health, pool.deleting, status.conditions, status.blockers, status.blockers_total)
    return Branch(what, pool.metadata.name, state, health, tuple(facts), below)


def _troubles(pool: StoragePool) -> Iterable[Branch]:
    """The pool's hosts that cannot be used now."""
    for trouble in pool.status.exceptions:
        facts = (trouble.message,) if trouble.message else ()
        yield Branch("location", trouble.host or trouble.location, trouble.reason, Health.BAD, facts)


def _parent(parent: Parent, below: tuple[Branch, ...]) -> Branch:
    status = parent.status
    state = "Terminating" if parent.deleting else status.state or "Pending"
    health = {ParentState.READY: Health.GOOD, ParentState.FAILED: Health.BAD}.get(
        status.state or ParentState.PENDING
    )
    if parent.deleting or health is None:
        health = Health.BUSY
    facts = [parent.spec.host or "shared"]
    if parent.spec.fallback:
        facts.append("fallback")
    if status.size is not None and status.state is not ParentState.FETCHING:
        facts.append(human_bytes(status.size))
    if status.state is ParentState.FETCHING:
        facts += [status.progress] if status.progress else []
        if status.done is not None and status.expected is not None:
            facts.append(f"{human_bytes(status.done)} of {human_bytes(status.expected)}")
    if status.children:
        one, many = ("machine", "machines") if parent.spec.format == "iso" else ("child", "children")
        facts.append(_counted(status.children, one, many))
    if status.failure:
        facts.append(status.failure)
    facts += _explained(health, parent.deleting, status.conditions, status.blockers, status.blockers_total)
    return Branch("parent", parent.metadata.name, state, health, tuple(facts), below)


def _volume(volume: Volume, below: tuple[Branch, ...]) -> Branch:
    status, spec = volume.status, volume.spec
    is_child = spec.source is not None and spec.source.template_ref is not None
    state, health = _state(volume.deleting, status.phase, status.conditions)
    size = status.capacity if status.capacity is not None else spec.size
    facts = [format_quantity(size)] if size is not None else []
    if spec.placement is not None and spec.placement.pool:
        host = spec.placement.host
        facts.append(f"on {spec.placement.pool}" + (f", {host}" if host else ""))
    if (
        is_child
        and status.parent is None
        and spec.source is not None
        and spec.source.template_ref is not None
    ):
        facts.append(f"of {spec.source.template_ref.name}")
    if not is_child:
        facts.append("from an empty disk")
    facts += _explained(health, volume.deleting, status.conditions, status.blockers, status.blockers_total)
    name = f"{volume.metadata.namespace}/{volume.metadata.name}"
    return Branch("child" if is_child else "volume", name, state, health, tuple(facts), below)


def _machine(machine: VirtualMachine) -> Branch:
    status, spec = machine.status, machine.spec
    state, health = _state(machine.deleting, status.phase, status.conditions)
    facts = [status.host] if status.host else []
    if status.fallback_pool:
        facts.append("fallback: its parent is on no golden pool")
    facts += [_counted(spec.cpus, "CPU", "CPUs"), format_quantity(spec.memory)]
    if status.iso is not None:
        facts.append(f"ISO {status.iso.template}")
    facts += _explained(health, machine.deleting, status.conditions, status.blockers, None)
    name = f"{machine.metadata.namespace}/{machine.metadata.name}"
    return Branch("machine", name, state, health, tuple(facts))


def _reader(machine: VirtualMachine) -> Branch:
    """Below an ISO's copy. The machine itself is below its disk."""
    state, health = _state(machine.deleting, machine.status.phase, machine.status.conditions)
    name = f"{machine.metadata.namespace}/{machine.metadata.name}"
    return Branch("ISO of machine", name, state, health)


def _template(template: Template) -> Branch:
    status = template.status
    state, health = _state(template.deleting, status.phase, status.conditions)
    facts = _explained(health, template.deleting, status.conditions, status.blockers, status.blockers_total)
    return Branch("template", template.metadata.name, state, health, (template.spec.format, *facts))


def _state(deleting: bool, phase: str | None, conditions: Sequence[Condition]) -> tuple[str, Health]:
    ready = _condition(conditions, ConditionType.READY)
    if deleting:
        return "Terminating", Health.BUSY
    if ready is not None and ready.status is ConditionStatus.TRUE:
        return phase or ready.reason, Health.GOOD
    stalled = _condition(conditions, ConditionType.STALLED)
    health = Health.BAD if stalled is not None and stalled.status is ConditionStatus.TRUE else Health.BUSY
    return phase or (ready.reason if ready is not None else "new"), health


def _explained(
    health: Health,
    deleting: bool,
    conditions: Sequence[Condition],
    blockers: Sequence[Blocker],
    total: int | None,
) -> list[str]:
    """Why something is not as it should be: who uses what is being deleted, else what Ready says."""
    if deleting and blockers:
        named = [
            f"{b.kind} {b.namespace}/{b.name}" if b.namespace else f"{b.kind} {b.name}"
            for b in blockers[:NAMED_BLOCKERS]
        ]
        more = max(total or 0, len(blockers)) - len(named)
        return [f"used by {', '.join(named)}" + (f" and {more} more" if more > 0 else "")]
    ready = _condition(conditions, ConditionType.READY)
    if health is Health.GOOD or ready is None or not ready.message:
        return []
    return [ready.message]


def _condition(conditions: Sequence[Condition], wanted: ConditionType) -> Condition | None:
    return next((condition for condition in conditions if condition.type == wanted), None)


def _pool_of(volume: Volume) -> str | None:
    return volume.spec.placement.pool if volume.spec.placement is not None else None


def _copies(template: Template, parents: Sequence[Parent]) -> bool:
    return any(parent.spec.template == template.metadata.name for parent in parents)


def _volumes_of(machine: VirtualMachine) -> list[tuple[str, str]]:
    """Namespace and name of each Volume a machine boots from or has attached."""
    root = machine.status.root_volume
    if root is None and machine.spec.root_volume.volume_ref is not None:
        root = machine.spec.root_volume.volume_ref.name
    names = [root] if root else []
    names += [attached.volume_ref.name for attached in machine.spec.volumes]
    return [(machine.metadata.namespace, name) for name in names]


def _by_volume(machines: Sequence[VirtualMachine]) -> dict[tuple[str, str], list[VirtualMachine]]:
    users: dict[tuple[str, str], list[VirtualMachine]] = {}
    for machine in _sorted(machines):
        for volume in _volumes_of(machine):
            users.setdefault(volume, []).append(machine)
    return users


def _sorted(objects: Iterable[K]) -> list[K]:
    return sorted(objects, key=lambda o: (o.metadata.namespace, o.metadata.name))


def _grouped(objects: Iterable[K], key: Callable[[K], str]) -> dict[str, list[K]]:
    groups: dict[str, list[K]] = {}
    for obj in _sorted(objects):
        groups.setdefault(key(obj), []).append(obj)
    return groups


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
