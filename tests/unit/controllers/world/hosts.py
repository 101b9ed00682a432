"""The hosts' disks, and a dispatcher whose Jobs end when the test says so and how it says."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.layout import Owner
from goldpool.contracts.operations import (
    Adopt,
    CreateBlank,
    CreateChild,
    DeleteParent,
    DeleteVolume,
    Fetch,
    Initialize,
    Operation,
    ProbeSource,
    Release,
)
from goldpool.contracts.report import PERMANENT, Adopted, FailureReason, Fetched, Probed
from goldpool.dispatch.claims import claims_of
from goldpool.dispatch.outcome import Failed, Outcome, Pending, Running, Succeeded
from goldpool.dispatch.request import Ask, Request, Settle
from goldpool.kube.port import Key

GIB = 1 << 30


@dataclass(frozen=True)
class Child:
    """A disk on a location; ``parent`` is (location, name), or None for an empty disk."""

    owner: str
    parent: tuple[str, str] | None
    revision: str
    named: tuple[str, str] = ("", "")
    """Namespace and name of the Volume it was made for."""


def _child(owner: Owner, parent: tuple[str, str] | None, revision: str) -> Child:
    return Child(owner.uid, parent, revision, (owner.namespace, owner.name))


@dataclass
class Disks:
    """What lies where, and what never was allowed to happen there."""

    initialized: set[str] = field(default_factory=set)
    parents: dict[tuple[str, str], str] = field(default_factory=dict)
    """(location, parent) -> revision."""
    volumes: dict[tuple[str, str], Child] = field(default_factory=dict)
    """(location, storageID) -> child."""
    served: dict[str, int] = field(default_factory=dict)
    """URL -> how often what it serves was replaced."""
    gone: set[str] = field(default_factory=set)
    """Names whose bytes were removed."""

    def revision_of(self, url: str) -> str:
        """Of what is served there now."""
        version = self.served.get(url, 0)
        return hashlib.sha256(f"{url} {version}".encode()).hexdigest()

    def carry_out(self, operation: Operation) -> Fetched | Probed | Adopted | FailureReason | None:
        """Idempotent, as the worker is."""
        if isinstance(operation, ProbeSource):
            (url,) = operation.source.urls
            return Probed(mirror=url, size=GIB, etag=f'"{self.served.get(url, 0)}"', format="qcow2")
        at = operation.location
        match operation:
            case Initialize():
                self.initialized.add(at)
            case Release():
                if any(where == at for where, _ in (*self.parents, *self.volumes)):
                    return FailureReason.VOLUME_CONFLICT
                self.initialized.discard(at)
            case Fetch():
                (url,) = operation.source.urls
                revision = self.revision_of(url)
                if operation.revision is not None and operation.revision != revision:
                    return FailureReason.REVISION_MISMATCH
                assert operation.parent not in self.gone, (
                    f"{operation.parent} is fetched after it was removed"
                )
                self.parents[at, operation.parent] = revision
                return Fetched(
                    revision=revision,
                    file_bytes=GIB,
                    virtual_bytes=2 * GIB,
                    mirror=url,
                    transferred_bytes=GIB,
                    etag=f'"{self.served.get(url, 0)}"',
                )
            case CreateChild():
                parent = (operation.parent_location, operation.parent)
                assert self.parents.get(parent) == operation.revision, (
                    f"{operation.parent} is not there for its child"
                )
                self._make(at, operation.storage_id, _child(operation.owner, parent, operation.revision))
            case CreateBlank():
                self._make(at, operation.storage_id, _child(operation.owner, None, ""))
            case Adopt():
                child = self.volumes.get((at, operation.storage_id))
                if child is None:
                    return FailureReason.VOLUME_MISSING
                if child.named != (operation.owner.namespace, operation.owner.name):
                    return FailureReason.VOLUME_CONFLICT
                self.volumes[at, operation.storage_id] = replace(child, owner=operation.owner.uid)
                over = child.parent[1] if child.parent else ""
                return Adopted(index=0, virtual_bytes=2 * GIB, parent=over, revision=child.revision)
            case DeleteVolume():
                self.volumes.pop((at, operation.storage_id), None)
                self.gone.add(operation.storage_id)
            case DeleteParent():
                self.parents.pop((at, operation.parent), None)
                self.gone.add(operation.parent)
            case _:
                pass
        return None

    def _make(self, at: str, storage: str, child: Child) -> None:
        assert storage not in self.gone, f"{storage} is made again"
        assert self.volumes.setdefault((at, storage), child) == child, f"{storage} is another's"


@dataclass
class Dispatch:
    """``Dispatcher`` as controllers know it. What is asked waits; the test starts it (it is in a Job then, which
    outlives the operator) and ends it."""

    disks: Disks
    now: Callable[[], datetime]
    wake: Callable[[Key], None] = lambda _: None
    check: Callable[[Request], None] = lambda _: None
    """Called when an operation begins to run."""
    waiting: dict[str, Request] = field(default_factory=dict)
    running: dict[str, Request] = field(default_factory=dict)
    ended: dict[str, tuple[Request, Succeeded | Failed]] = field(default_factory=dict)
    nobodys: set[str] = field(default_factory=set)
    """Settled while they ran: their end is nobody's."""
    known: dict[str, tuple[LocationFacts, datetime]] = field(default_factory=dict)

    # -- what controllers use

    def outcome(self, operation_id: str) -> Outcome | None:
        if operation_id in self.ended:
            return self.ended[operation_id][1]
        if operation_id in self.running and operation_id not in self.nobodys:
            return Running()
        return Pending() if operation_id in self.waiting else None

    def facts(self, location: str) -> tuple[LocationFacts, datetime] | None:
        return self.known.get(location)

    async def ask(self, ask: Ask) -> None:
        if ask.request.id in self.running:
            self.nobodys.discard(ask.request.id)
        elif ask.request.id not in self.ended:
            self.waiting[ask.request.id] = ask.request

    async def settle(self, settle: Settle) -> None:
        self.waiting.pop(settle.operation_id, None)
        self.ended.pop(settle.operation_id, None)
        request = self.running.get(settle.operation_id)
        if request is not None and isinstance(request.operation, Fetch | ProbeSource):
            del self.running[settle.operation_id]  # a transfer is called off
        elif request is not None:
            self.nobodys.add(settle.operation_id)

    async def users_of(self, name_on_disk: str) -> list[str]:
        found = []
        for request in self.running.values():
            claims = claims_of(request.operation)
            own = isinstance(request.operation, DeleteParent | DeleteVolume) and name_on_disk in claims.holds
            if not own and (name_on_disk in claims.holds or name_on_disk in claims.reads):
                found.append(request.id)
        return found

    # -- what the cluster does

    def restart(self) -> None:
        """What was in no Job is forgotten; facts are only in memory."""
        self.waiting.clear()
        self.known.clear()

    def startable(self) -> list[str]:
        busy = [claims_of(x.operation) for x in self.running.values()]
        return [
            i
            for i, x in self.waiting.items()
            if not any(claims_of(x.operation).conflict_with(b) for b in busy)
        ]

    def start(self, operation_id: str) -> None:
        request = self.running[operation_id] = self.waiting.pop(operation_id)
        self.check(request)
        self.wake(request.owner)

    def end(
        self, operation_id: str, failure: FailureReason | None = None, *, all_the_same: bool = False
    ) -> None:
        """``all_the_same``: what failed (a lost Job) did its work before."""
        request = self.running.pop(operation_id)
        result: Fetched | Probed | Adopted | FailureReason | None = failure
        if failure is None or all_the_same:
            done = self.disks.carry_out(request.operation)
            result = failure or done
        at = "" if request.mount is None else request.mount.location
        if at and result is not FailureReason.LOST:
            facts = LocationFacts(
                location=at, state=LocationState.OK, total_bytes=1000 * GIB, free_bytes=900 * GIB
            )
            self.known[at] = (facts, self.now())
        if operation_id in self.nobodys:
            self.nobodys.discard(operation_id)
        elif isinstance(result, FailureReason):
            self.ended[operation_id] = (request, Failed(result, str(result), permanent=result in PERMANENT))
        else:
            adopted = result if isinstance(result, Adopted) else None
            fetched = result if isinstance(result, Fetched) else None
            probed = result if isinstance(result, Probed) else None
            self.ended[operation_id] = (request, Succeeded(fetched=fetched, adopted=adopted, probed=probed))
        self.wake(request.owner)
        if at:
            self.wake(Key("StorageLocation", "", at))
