"""What a StorageLocation needs next."""

from datetime import timedelta
from typing import Any

import pytest

from goldpool.api.references import Blocker
from goldpool.api.storagelocation import StorageLocation
from goldpool.api.storagepool import StoragePool
from goldpool.contracts.facts import LocationFacts, LocationState
from goldpool.contracts.operations import Known
from goldpool.contracts.report import FailureReason
from goldpool.controllers.backing import mount_of
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.storagelocation import Observed, plan
from goldpool.dispatch.outcome import Failed, Pending, Running, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import NODE, NOW, a_location, a_node, a_pool, ago
from tests.unit.controllers.reading import (
    asked,
    condition,
    field,
    is_ready,
    message,
    names,
    only,
    reason,
    settled,
)

NEVER_INITIALISED: Obj = {
    "initializedTime": None,
    "nodeUID": None,
    "total": None,
    "free": None,
    "probeTime": None,
    "conditions": [],
}
LOST = Failed(FailureReason.LOST, "the Job was killed", permanent=False)
FOREIGN = Failed(FailureReason.FOREIGN_POOL, "another cluster's", permanent=False)
NOT_MOUNTED = Failed(FailureReason.NOT_MOUNTED, "/srv/std-a is no mount point", permanent=False)


def facts(state: LocationState = LocationState.OK, free: int = 60) -> LocationFacts:
    return LocationFacts(location="std-a.node-1", state=state, total_bytes=100, free_bytes=free)


def observed(location: Obj | None = None, *, pool: Obj | None = None, **changes: Any) -> Observed:
    raw, owner = location or a_location(), StoragePool.read(pool or a_pool())
    read = StorageLocation.read(raw)
    defaults: dict[str, Any] = {
        "pool": owner,
        "node": a_node(),
        "host": NODE,
        "mount": mount_of(owner, read, f"uid-{NODE}", "cluster"),
        "operation": "the-operation",
        "outcome": None,
        "facts": None,
        "facts_time": None,
        "users": (),
        "known": Known(),
        "parents": 0,
        "volumes": 0,
        "probe_seconds": 300,
        "probe_failed_seconds": 15,
        "now": NOW,
    }
    return Observed(raw=raw, location=read, **(defaults | changes))


def new(**status: Any) -> Obj:
    return a_location(status=NEVER_INITIALISED | status)


# -- the first time


def test_the_finalizer_comes_before_the_first_operation() -> None:
    assert names(plan(observed(a_location(finalizers=[], status=NEVER_INITIALISED)))) == ["AddFinalizer"]


def test_a_new_location_is_initialised_with_its_identity() -> None:
    found = plan(observed(new()))
    operation = asked(found)
    assert operation.kind == "Initialize"
    assert operation.require_mount
    assert (operation.identity.pool, operation.identity.node, operation.identity.node_uid) == (
        "std-a", "node-1", "uid-node-1",
    )  # fmt: skip
    assert reason(found) == "Initializing"


@pytest.mark.parametrize(
    ("backend", "require_mount"),
    [
        ({"hostPath": {"path": "/srv/std-a", "requireMount": False}}, False),
        ({"hostPath": {"path": "/srv/std-a"}}, True),
        ({"nfs": {"server": "filer", "path": "/export"}}, True),
    ],
)
def test_only_a_directory_may_do_without_a_mount_point(backend: Obj, require_mount: bool) -> None:
    found = plan(observed(new(), pool=a_pool(spec={"backend": backend})))
    assert asked(found).require_mount is require_mount


def test_success_is_recorded_before_it_is_settled() -> None:
    found = plan(observed(new(), outcome=Succeeded(), facts=facts()))
    assert field(found, "initializedTime") == ago(0)
    assert field(found, "nodeUID") == "uid-node-1"
    assert field(found, "usedPercent") == "40%"
    assert settled(found) == ["the-operation"]
    assert found.effects == ()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(LOST, "OperationFailed"), (FOREIGN, "ForeignPool"), (NOT_MOUNTED, "NotMounted")],
)
def test_a_failed_initialisation_is_told_and_tried_again_after_a_pause(
    failure: Failed, expected: str
) -> None:
    found = plan(observed(new(attempts=1), outcome=failure))
    assert (reason(found), message(found)) == (expected, failure.message)
    assert (field(found, "attempts"), found.again_after) == (2, 15)
    assert field(found, "initializedTime") is None
    assert only(found, Record).reason == expected
    assert settled(found) == ["the-operation"]


@pytest.mark.parametrize(("since", "asks"), [(5, False), (15, True), (600, True)])
def test_the_pause_holds_even_if_something_else_wakes_the_location(since: int, asks: bool) -> None:
    found = plan(observed(new(attempts=1, probeTime=ago(since))))
    assert bool(found.effects) is asks
    assert asks or found.again_after == 15 - since


@pytest.mark.parametrize("state", list(LocationState))
def test_once_initialised_it_is_never_initialised_again(state: LocationState) -> None:
    for outcome in (None, Succeeded(), LOST, NOT_MOUNTED):
        for seen in (0, 3600):
            found = plan(
                observed(outcome=outcome, facts=facts(state), facts_time=NOW.replace(hour=12 - seen // 3600))
            )
            assert all(e.request.operation.kind == "Probe" for e in found.effects if isinstance(e, Ask))


# -- watching


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LocationState.OK, "Ready"),
        (LocationState.NOT_MOUNTED, "NotMounted"),
        (LocationState.FOREIGN, "ForeignPool"),
        (LocationState.REPLACED, "Replaced"),
    ],
)
def test_a_location_is_what_the_last_job_found(state: LocationState, expected: str) -> None:
    found = plan(observed(facts=facts(state), facts_time=NOW))
    assert (reason(found), is_ready(found)) == (expected, state is LocationState.OK)


def test_the_sizes_of_a_location_that_is_not_ours_are_not_believed() -> None:
    found = plan(observed(facts=facts(LocationState.FOREIGN, free=1), facts_time=NOW))
    assert (field(found, "total"), field(found, "free")) == ("100Gi", "90Gi")


@pytest.mark.parametrize(
    ("ready", "seen_ago", "probes"),
    [(True, 60, False), (True, 299, False), (True, 300, True), (False, 14, False), (False, 15, True)],
)
def test_idle_locations_are_probed_and_broken_ones_more_often(
    ready: bool, seen_ago: int, probes: bool
) -> None:
    found = plan(observed(a_location(ready=ready, status={"probeTime": ago(seen_ago)})))
    assert bool(found.effects) is probes
    assert probes or found.again_after == (300 if ready else 15) - seen_ago


def test_facts_of_any_job_stand_for_a_probe() -> None:
    found = plan(observed(a_location(status={"probeTime": ago(3000)}), facts=facts(), facts_time=NOW))
    assert found.effects == ()
    assert found.again_after == 300


@pytest.mark.parametrize("outcome", [Pending(), Running()])
def test_a_probe_under_way_is_asked_for_again_and_that_is_asking_once(outcome: Pending | Running) -> None:
    found = plan(observed(a_location(status={"probeTime": ago(3000)}), outcome=outcome))
    assert asked(found).id == "the-operation"


def test_a_restarted_operator_believes_what_was_recorded() -> None:
    found = plan(observed(a_location(ready=False, status={"probeTime": ago(5)})))
    assert not is_ready(found)


def test_a_failed_probe_is_shown_and_repeated_after_a_pause() -> None:
    found = plan(observed(outcome=NOT_MOUNTED))
    assert (reason(found), found.again_after) == ("NotMounted", 15)
    assert settled(found) == ["the-operation"]


def test_a_failed_probe_counts_more_than_an_earlier_report_that_all_was_well() -> None:
    """Otherwise a path that vanished stays Ready, and the report's age asks for the next probe at once."""
    long_ago: dict[str, Any] = {"facts": facts(), "facts_time": NOW - timedelta(hours=1)}
    failed = plan(observed(outcome=NOT_MOUNTED, **long_ago))
    assert (reason(failed), is_ready(failed), failed.again_after) == ("NotMounted", False, 15)
    assert settled(failed) == ["the-operation"]
    shown = {"conditions": field(failed, "conditions"), "probeTime": field(failed, "probeTime")}
    after = plan(observed(a_location(status=shown), **long_ago))
    assert (after.effects, is_ready(after), after.again_after) == ((), False, 15)


def test_a_later_report_counts_again() -> None:
    before = a_location(ready=False, status={"probeTime": ago(5)})
    assert is_ready(plan(observed(before, facts=facts(), facts_time=NOW)))


def test_a_host_that_is_not_ready_is_waited_for() -> None:
    found = plan(observed(host=None, outcome=None))
    assert (found.effects, reason(found)) == ((), "HostNotReady")
    assert "node-1" in message(found)


def test_a_returned_host_is_ready_again() -> None:
    before = a_location(ready=False)
    before["status"]["conditions"][0]["reason"] = "HostNotReady"
    before["status"]["probeTime"] = ago(5)
    assert is_ready(plan(observed(before)))


# -- a host that was registered anew


def test_the_same_identity_on_a_new_node_of_the_name_is_bound_to_it() -> None:
    found = plan(observed(node=a_node(uid="uid-2"), facts=facts(), facts_time=NOW))
    assert asked(found).kind == "Rebind"
    assert asked(found).identity.node_uid == "uid-2"
    done = plan(observed(node=a_node(uid="uid-2"), facts=facts(), facts_time=NOW, outcome=Succeeded()))
    assert (field(done, "nodeUID"), settled(done)) == ("uid-2", ["the-operation"])


def test_a_failed_rebinding_is_tried_again() -> None:
    found = plan(observed(node=a_node(uid="uid-2"), facts=facts(), facts_time=NOW, outcome=LOST))
    assert (settled(found), found.again_after, field(found, "nodeUID")) == (
        ["the-operation"],
        15,
        "uid-node-1",
    )


@pytest.mark.parametrize("state", [LocationState.FOREIGN, LocationState.REPLACED, LocationState.NOT_MOUNTED])
def test_another_identity_is_never_rebound(state: LocationState) -> None:
    found = plan(observed(node=a_node(uid="uid-2"), facts=facts(state), facts_time=NOW))
    assert found.effects == ()


# -- deletion


def going(**more: Any) -> Obj:
    return a_location(deleting=True, **more)


def test_what_is_here_holds_up_the_deletion() -> None:
    users = (Blocker(kind="Parent", name="p1"), Blocker(kind="Volume", namespace="team-a", name="v1"))
    found = plan(observed(going(), users=users))
    assert found.effects == ()
    assert condition(found, "DeletionBlocked") is not None
    assert message(found) == "2 object(s) are here: Parent p1, Volume v1"


def test_an_empty_location_is_released_and_then_goes() -> None:
    assert asked(plan(observed(going()))).kind == "Release"
    done = plan(observed(going(), outcome=Succeeded()))
    assert names(done) == ["RemoveFinalizer"]
    assert "the-operation" in settled(done)


def test_what_was_asked_before_the_deletion_is_settled_too_or_its_job_would_stay() -> None:
    done = plan(observed(going(status=NEVER_INITIALISED | {"attempts": 1}), outcome=FOREIGN))
    assert [x.split("/")[0] for x in settled(done)] == ["initialize", "the-operation"]


@pytest.mark.parametrize(
    "failure", [FOREIGN, NOT_MOUNTED, Failed(FailureReason.REPLACED, "", permanent=False)]
)
def test_what_is_not_ours_is_left_alone(failure: Failed) -> None:
    assert names(plan(observed(going(), outcome=failure))) == ["RemoveFinalizer"]


def test_any_other_failure_is_repeated_and_keeps_the_finalizer() -> None:
    found = plan(observed(going(), outcome=LOST))
    assert (found.effects, reason(found), found.again_after) == ((), "OperationFailed", 15)
    assert settled(found) == ["the-operation"]


@pytest.mark.parametrize("trace", [{}, {"attempts": 1}], ids=["never seen initialised", "failed once"])
def test_a_location_that_may_have_been_initialised_is_released(trace: Obj) -> None:
    """The Job may still write the identity, and a path with a stale identity never serves another pool."""
    assert asked(plan(observed(going(status=NEVER_INITIALISED | trace)))).kind == "Release"


def test_a_location_that_no_host_ever_reached_goes_at_once() -> None:
    assert names(plan(observed(going(status=NEVER_INITIALISED), host=None))) == ["RemoveFinalizer"]


@pytest.mark.parametrize(
    "missing", [{"node": None, "host": None}, {"pool": None, "mount": None, "host": None}]
)
def test_a_host_or_pool_that_is_gone_takes_the_location_with_it(missing: Obj) -> None:
    assert names(plan(observed(going(), **missing))) == ["RemoveFinalizer"]


def test_a_host_that_is_merely_away_is_waited_for() -> None:
    found = plan(observed(going(), host=None))
    assert (found.effects, reason(found)) == ((), "HostNotReady")


def test_what_others_hold_up_is_none_of_ours() -> None:
    assert plan(observed(going(finalizers=["example.com/other"]))).effects == ()
    assert FINALIZER not in going(finalizers=["example.com/other"])["metadata"]["finalizers"]
