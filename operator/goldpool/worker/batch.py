"""One storage Job's work: every operation of a batch, in order, each on its own.

An operation that fails stops no other one. Names are made durable together at the end, one fsync per
directory, and only then reported as done: a batch of 200 volumes costs about as much as one.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.layout import POOLS_ROOT, TRASH, VOLUMES, LocationIdentity, VolumeSidecar
from goldpool.contracts.operations import (
    Adopt,
    Batch,
    CreateBlank,
    CreateChild,
    DeleteParent,
    DeleteVolume,
    Fetch,
    Initialize,
    Operation,
    PoolOperation,
    Probe,
    ProbeSource,
    Rebind,
    Release,
)
from goldpool.contracts.report import Adopted, Failure, FailureReason, Fetched, Probed, Report
from goldpool.contracts.source import MirrorResult
from goldpool.worker import identity, parents, pool, volumes
from goldpool.worker.failures import OperationFailed, Terminated, os_failure, shortened
from goldpool.worker.inspection import inspect
from goldpool.worker.leftovers import sweep_leftovers
from goldpool.worker.log import log
from goldpool.worker.release import release
from goldpool.worker.staleness import Patience, is_shared, may_pass
from goldpool.worker.trash import sweep_trash

_COMINGS_AND_GOINGS: Final = (Fetch, DeleteParent, DeleteVolume)


@dataclass(frozen=True)
class Host:
    """What of the executing host a batch sees; a test gives it another root."""

    pools: Path = Path(POOLS_ROOT)
    mountinfo: Path = Path("/proc/self/mountinfo")
    now: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    patience_seconds: float = 10.0
    """How long, over a whole batch, shared storage may take to show what another host did."""

    def path(self, location: str) -> Path:
        return self.pools / location

    def unix_seconds(self) -> int:
        return int(self.now())


@dataclass
class _Run:
    batch: Batch
    host: Host
    identities: dict[str, LocationIdentity]
    patience: Patience
    done: set[int] = field(default_factory=set)
    failures: dict[int, OperationFailed] = field(default_factory=dict)
    fetched: Fetched | None = None
    probed: Probed | None = None
    mirrors: tuple[MirrorResult, ...] = ()
    mirrors_total: int = 0
    adopted: dict[str, VolumeSidecar] = field(default_factory=dict)
    """By operation."""
    unsynced: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Which operations are durable only when a (location, directory) is fsynced."""


def run(batch: Batch, host: Host) -> Report:
    """What became of each operation. Never raises for what one of them met; SIGTERM ends it early, with a report:
    what was not reached is neither done nor failed, and is asked again.
    """
    states = {identity.location: identity for identity in batch.identities}
    current = _Run(batch, host, states, Patience(host.patience_seconds, host.pause))
    try:
        for index, operation in enumerate(batch.operations):
            _attempt(current, index, operation)
    except Terminated:
        log("batch terminated", reached=len(current.done) + len(current.failures))
    _commit(current)
    _sweep_trash(current)
    _sweep_leftovers(current)
    return _report(current)


def _attempt(current: _Run, index: int, operation: Operation) -> None:
    try:
        directories = _perform_patiently(current, operation)
    except OperationFailed as failed:
        _fail(current, index, failed)
    except OSError as error:
        _fail(current, index, os_failure(error))
    except Exception as error:
        _fail(
            current,
            index,
            OperationFailed(FailureReason.IO_ERROR, f"unexpected {type(error).__name__}: {error}"),
        )
    else:
        current.done.add(index)
        if not isinstance(operation, ProbeSource):
            for name in directories:
                current.unsynced[operation.location, name].add(index)


def _fail(current: _Run, index: int, failed: OperationFailed) -> None:
    operation = current.batch.operations[index]
    current.done.discard(index)
    current.failures[index] = failed
    log(
        "operation failed", id=operation.id, kind=operation.kind, reason=failed.reason, message=failed.message
    )


def _perform_patiently(current: _Run, operation: Operation) -> Iterable[str]:
    if isinstance(operation, ProbeSource):
        _probe_source(current, operation)
        return ()
    while True:
        try:
            return _perform(current, operation)
        except (OperationFailed, OSError) as error:
            shared = is_shared(current.identities.get(operation.location))
            if not (shared and may_pass(error, operation) and current.patience.bears()):
                raise


def _probe_source(current: _Run, operation: ProbeSource) -> None:
    from goldpool.worker.fetch.source_probe import probe_source  # as for a fetch

    found = probe_source(operation, time.monotonic() + operation.policy.total_seconds)
    current.probed, current.mirrors = found.probed, found.mirrors
    if found.failure is not None:
        raise found.failure


def _perform(current: _Run, operation: PoolOperation) -> Iterable[str]:
    """The directories whose fsync makes it durable."""
    path = current.host.path(operation.location)
    match operation:
        case Probe():
            return ()
        case Initialize():
            _same_location(operation.location, operation.identity)
            current.identities[operation.location] = operation.identity
            pool.initialize(
                path,
                operation.identity,
                require_mount=operation.require_mount,
                mountinfo=current.host.mountinfo,
            )
            return ()
        case Rebind():
            _same_location(operation.location, operation.identity)
            current.identities[operation.location] = operation.identity
            pool.rebind(path, operation.identity)
            return ()
    expected = current.identities.get(operation.location)
    if expected is None:
        raise OperationFailed(
            FailureReason.UNSUPPORTED, f"the batch does not say who {operation.location} is"
        )
    if isinstance(operation, Release):
        with pool.opened_root(path) as root:
            release(root, expected)
        return ()
    with pool.opened(path, expected) as location:
        return _work(current, location, operation)


def _work(
    current: _Run,
    location: pool.Location,
    operation: Fetch | CreateChild | CreateBlank | Adopt | DeleteVolume | DeleteParent,
) -> Iterable[str]:
    match operation:
        case Fetch():
            from goldpool.worker.fetch import Answers, fetch  # urllib3 and TLS: most batches need neither

            answers = Answers()
            try:
                current.fetched = fetch(location, operation, answers)
            finally:
                current.mirrors, current.mirrors_total = answers.results()
            return ()
        case CreateChild():
            volumes.create_child(location, operation)
            return (VOLUMES,)
        case CreateBlank():
            volumes.create_blank(location, operation)
            return (VOLUMES,)
        case Adopt():
            current.adopted[operation.id] = volumes.adopt(location, operation)
            return ()
        case DeleteVolume():
            volumes.delete_volume(location, operation, current.host.unix_seconds())
            return (TRASH, VOLUMES)
        case DeleteParent():
            parents.delete_parent(location, operation, current.host.unix_seconds())
            return (TRASH,)


def _same_location(location: str, stated: LocationIdentity) -> None:
    if stated.location != location:
        raise OperationFailed(
            FailureReason.UNSUPPORTED, f"the identity is of location {stated.location}, not of {location}"
        )


def _commit(current: _Run) -> None:
    """The trash before the volumes (sorted by name): a volume must never be in neither after a power cut."""
    for (location, name), indexes in sorted(current.unsynced.items()):
        try:
            pool.synced(current.host.path(location), (name,))
        except OSError as error:
            for index in sorted(indexes):
                _fail(current, index, os_failure(error))


def _sweep_trash(current: _Run) -> None:
    """By the longest patience in the batch: one volume removed at once must not take the others' time away."""
    patience: dict[str, int] = {}
    for index, operation in enumerate(current.batch.operations):
        if isinstance(operation, DeleteVolume) and index in current.done:
            seconds = patience.get(operation.location, 0)
            patience[operation.location] = max(seconds, operation.trash_seconds)
    for name, seconds in patience.items():
        try:
            with pool.opened(current.host.path(name), current.identities[name]) as location:
                sweep_trash(trash=location.trash, trash_seconds=seconds, now=current.host.unix_seconds())
        except (OperationFailed, OSError) as error:
            log("trash not swept", location=name, error=str(error))


def _sweep_leftovers(current: _Run) -> None:
    """Where bytes come and go, at the end: nothing waits for it."""
    for name in {o.location for o in current.batch.operations if isinstance(o, _COMINGS_AND_GOINGS)}:
        try:
            with pool.opened(current.host.path(name), current.identities[name]) as location:
                sweep_leftovers(tmp=location.tmp, now=current.host.now())
        except (OperationFailed, OSError, KeyError) as error:
            log("leftovers not swept", location=name, error=str(error))


def _adopted(current: _Run) -> Iterable[Adopted]:
    for index, operation in enumerate(current.batch.operations):
        if index in current.done and (found := current.adopted.get(operation.id)) is not None:
            yield Adopted(
                index=index,
                virtual_bytes=found.virtual_bytes,
                parent=found.parent,
                revision=found.revision,
            )


def _report(current: _Run) -> Report:
    named = dict.fromkeys(
        [
            *(o.location for o in current.batch.operations if not isinstance(o, ProbeSource)),
            *current.identities,
        ]
    )
    return Report(
        done=f"{sum(1 << index for index in current.done):x}",
        failures=tuple(
            Failure(index=index, reason=failed.reason, message=shortened(failed.message))
            for index, failed in sorted(current.failures.items())
        ),
        fetched=current.fetched,
        probed=current.probed,
        mirrors=current.mirrors,
        mirrors_total=current.mirrors_total,
        adopted=tuple(_adopted(current)),
        locations=tuple(_facts(current, location) for location in named),
    )


def _facts(current: _Run, location: str) -> LocationFacts:
    path, expected = current.host.path(location), current.identities.get(location)
    while True:
        facts = identity.facts(path, location, expected)
        late = facts.state is LocationState.NOT_MOUNTED and is_shared(expected)
        if not (late and current.patience.bears()):
            return _inspected(current, path, facts)


def _inspected(current: _Run, path: Path, facts: LocationFacts) -> LocationFacts:
    """With what a Probe of this batch wants to know of the location's content."""
    probes = (o for o in current.batch.operations if isinstance(o, Probe) and o.location == facts.location)
    known = next((probe.known for probe in probes), None)
    if facts.state is not LocationState.OK or known is None:
        return facts
    try:
        with pool.opened_root(path) as root:
            return facts.replace(inspection=inspect(root, known))
    except (OperationFailed, OSError) as error:
        log("location not inspected", location=facts.location, error=str(error))
        return facts
