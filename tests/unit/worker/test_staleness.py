"""Shared storage shows another host's changes late; a host's own disk does not."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from goldpool.contracts.facts import LocationState
from goldpool.contracts.operations import Probe
from goldpool.contracts.report import FailureReason
from goldpool.worker import publish
from goldpool.worker.staleness import Patience
from tests.unit.worker.builders import LOCATION, Pool, a_blank, a_pool, an_identity, an_initialize, the_facts

SHARED = an_identity(node="", node_uid="")


@dataclass
class Pauses:
    """Counts them; at the given one the other host's change becomes visible."""

    at: int
    then: Callable[[], object]
    waits: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self.at:
            self.then()


def hidden(pool: Pool) -> Callable[[], object]:
    """The location's identity cannot be seen until the answer is called."""
    shown, away = pool.path / ".goldpool", pool.path / ".elsewhere"
    shown.rename(away)
    return lambda: away.rename(shown)


def test_what_another_host_did_on_shared_storage_is_waited_for(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, SHARED)
    pauses = Pauses(3, hidden(pool))
    assert pool.one(a_blank(), pause=pauses) is None
    assert pauses.waits == [0.1, 0.2, 0.4]


def test_a_probe_of_shared_storage_waits_too(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, SHARED)
    pauses = Pauses(2, hidden(pool))
    report = pool.run(Probe(id="probe", location=LOCATION), pause=pauses)
    assert the_facts(report).state is LocationState.OK
    assert len(pauses.waits) == 2


def test_a_hosts_own_disk_is_believed_at_once(tmp_path: Path) -> None:
    pool = a_pool(tmp_path)
    pauses = Pauses(1, hidden(pool))
    failure = pool.one(a_blank(), pause=pauses)
    assert failure is not None
    assert failure.reason is FailureReason.NOT_MOUNTED
    assert pauses.waits == []


def test_a_share_that_stays_away_costs_a_batch_its_patience_once(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, SHARED)
    hidden(pool)
    pauses = Pauses(0, lambda: None)
    report = pool.run(*(a_blank(f"v-{n}") for n in range(20)), pause=pauses, patience_seconds=3.0)
    assert {failure.reason for failure in report.failures} == {FailureReason.NOT_MOUNTED}
    assert len(report.failures) == 20
    assert sum(pauses.waits) == pytest.approx(3.0)
    assert the_facts(report).state is LocationState.NOT_MOUNTED


def test_a_stale_handle_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says ESTALE once, as it does after another host replaced a directory."""
    pool = a_pool(tmp_path, SHARED)
    real, stale = publish.exists, [OSError(errno.ESTALE, os.strerror(errno.ESTALE))]

    def exists(name: str, *, at: int) -> bool:
        if stale:
            raise stale.pop()
        return real(name, at=at)

    monkeypatch.setattr(publish, "exists", exists)
    pauses = Pauses(0, lambda: None)
    assert pool.one(a_blank(), pause=pauses) is None
    assert not stale
    assert len(pauses.waits) == 1


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_other_errors_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    pool = a_pool(tmp_path, SHARED)

    def exists(name: str, *, at: int) -> bool:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(publish, "exists", exists)
    pauses = Pauses(0, lambda: None)
    assert pool.one(a_blank(), pause=pauses) is not None
    assert pauses.waits == []


def test_a_share_that_is_made_ours_needs_no_identity_before(tmp_path: Path) -> None:
    """Missing is how it begins: nothing to wait for."""
    empty = Pool(tmp_path, SHARED)
    empty.path.mkdir()
    pauses = Pauses(0, lambda: None)
    assert empty.one(an_initialize(SHARED), pause=pauses, identities=()) is None
    assert pauses.waits == []


def test_patience_ends() -> None:
    waits: list[float] = []
    patience = Patience(1.0, waits.append)
    while patience.bears():
        pass
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.3])
