"""Who uses a parent, a template or a pool: the answer behind every deletion guard.

Order of the input never matters. In doubt a volume is a user: keeping bytes for a while costs room, losing them
breaks machines. The caller lists uncached before it destroys anything; pods and Jobs are witnesses of their own,
because a Volume's finalizer can be stripped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from goldpool.api.parent import Parent
from goldpool.api.references import Blocker
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume

BLOCKERS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Users:
    """``blockers``: the first ten by kind, namespace and name; ``total``: all, each counted once."""

    blockers: tuple[Blocker, ...]
    total: int

    def __bool__(self) -> bool:
        return self.total > 0


def users_of_parent(
    parent: Parent,
    volumes: Iterable[Volume],
    machines: Iterable[VirtualMachine] = (),
    *,
    pods: Iterable[str] = (),
    jobs: Iterable[str] = (),
) -> Users:
    """Volumes made from this copy or about to be, machines that have it in their CD drive or are about to, and the pods
    and Jobs that the caller saw using it."""
    inserted = (_machine(m) for m in machines if inserts_parent(m, parent))
    return _users((*(_volume(v) for v in volumes if uses_parent(v, parent)), *inserted), pods, jobs)


def users_of_template(
    name: str,
    volumes: Iterable[Volume],
    machines: Iterable[VirtualMachine] = (),
    *,
    pods: Iterable[str] = (),
    jobs: Iterable[str] = (),
) -> Users:
    """Volumes made from the template and machines that have a place for it as their ISO, whether or not anything was
    fetched for them yet (CloudStack refuses while non-expunged machines use a template: TemplateManagerImpl)."""
    machine_users = (_machine(m) for m in machines if inserted_template(m) == name)
    volume_users = (_volume(v) for v in volumes if template_of(v) == name)
    return _users((*machine_users, *volume_users), pods, jobs)


def users_of_pool(
    name: str,
    volumes: Iterable[Volume],
    machines: Iterable[VirtualMachine] = (),
    *,
    pods: Iterable[str] = (),
    jobs: Iterable[str] = (),
) -> Users:
    """Volumes bound to the pool, on a golden pool their children elsewhere, and machines whose ISO is there. Parents do
    not block: without users they go with the pool (SMI.deletePool); a mere wish for the pool does not block either."""
    inserted = (_machine(m) for m in machines if m.status.iso is not None and m.status.iso.pool == name)
    return _users((*(_volume(v) for v in volumes if uses_pool(v, name)), *inserted), pods, jobs)


def uses_parent(volume: Volume, parent: Parent) -> bool:
    """The volume says so, or is bound where it will say so: between binding and creation only the binding knows.
    An old binding's status counts too, since its file may still lie on the old parent."""
    if volume.status.parent == parent.metadata.name:
        return True
    if _status_is_current(volume) and volume.status.parent:
        return False
    if template_of(volume) != parent.spec.template or not bound(volume):
        return False
    if _status_is_current(volume) and volume.status.parent_location:
        return volume.status.parent_location == parent.spec.location
    return _parent_at(volume, parent.spec.pool, parent.spec.host)


def uses_pool(volume: Volume, pool: str) -> bool:
    placement = volume.spec.placement
    return bound(volume) and placement is not None and pool in (placement.pool, placement.parent_pool)


def bound(volume: Volume) -> bool:
    """A storageID is minted with the binding, so without one every field of placement is a wish."""
    return volume.spec.storage_id is not None


def template_of(volume: Volume) -> str | None:
    source = volume.spec.source
    return source.template_ref.name if source and source.template_ref else None


def inserts_parent(machine: VirtualMachine, parent: Parent) -> bool:
    """The machine says so, running or not, or has a place where it will say so: of a copy that is not being deleted, which
    it reads from the API server after it said so."""
    iso = machine.status.iso
    if iso is None:
        return False
    if iso.parent is not None:
        return iso.parent == parent.metadata.name
    return not parent.deleting and (iso.template, iso.location) == (
        parent.spec.template,
        parent.spec.location,
    )


def inserted_template(machine: VirtualMachine) -> str | None:
    """Of the ISO that has a place; a machine that only wishes for one holds nothing up."""
    return machine.status.iso.template if machine.status.iso is not None else None


def _status_is_current(volume: Volume) -> bool:
    return bound(volume) and volume.status.storage_id == volume.spec.storage_id


def _parent_at(volume: Volume, pool: str, host: str) -> bool:
    placement = volume.spec.placement
    if not bound(volume) or placement is None or template_of(volume) is None:
        return False
    if (placement.parent_pool or placement.pool) != pool:
        return False
    # A disk on a Shared pool names no host, so its Host-scoped parent may be on any until the status says where.
    return host in ("", placement.host) or not placement.host


def _users(blockers: Iterable[Blocker], pods: Iterable[str], jobs: Iterable[str]) -> Users:
    found = {(b.kind, b.namespace, b.name): b for b in blockers}
    for kind, names in (("Job", jobs), ("Pod", pods)):
        found.update({(kind, "", name): Blocker(kind=kind, name=name) for name in names})
    ordered = [found[key] for key in sorted(found)]
    return Users(tuple(ordered[:BLOCKERS_SHOWN]), len(ordered))


def _volume(volume: Volume) -> Blocker:
    return Blocker(kind="Volume", namespace=volume.metadata.namespace, name=volume.metadata.name)


def _machine(machine: VirtualMachine) -> Blocker:
    return Blocker(kind="VirtualMachine", namespace=machine.metadata.namespace, name=machine.metadata.name)
