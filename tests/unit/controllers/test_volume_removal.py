"""How a Volume goes: not while it is held, its disk next, the object last."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.storagelocation import StorageLocation
from goldpool.contracts.report import FailureReason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.volume import plan
from goldpool.dispatch.outcome import Failed, Pending, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Delete, Record, RemoveFinalizer
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import a_blank_volume, a_lease, a_location, a_volume
from tests.unit.controllers.reading import (
    asked,
    condition,
    effects_of,
    field,
    message,
    names,
    only,
    reason,
    settled,
)
from tests.unit.controllers.volumes import a_place, observed

LOST = Failed(FailureReason.LOST, "the Job was killed", permanent=False)


def going(**more: Any) -> Obj:
    return a_volume(made=True, deleting=True, **more)


@pytest.mark.parametrize(("name", "told"), [("team-a/web-1", "team-a/web-1"), ("", "uid-web-1")])
def test_its_holder_holds_up_the_deletion_and_is_named(name: str, told: str) -> None:
    found = plan(observed(going(), holder="uid-web-1", holder_name=name))
    assert names(found) == ["Record"]
    assert only(found, Record).reason == "DeletionBlocked"
    assert condition(found, "DeletionBlocked") is not None
    assert told in message(found)
    assert field(found, "blockersTotal") == 1
    [blocker] = field(found, "blockers")
    assert (blocker["kind"], blocker["name"]) == ("VirtualMachine", told.rpartition("/")[2])


@pytest.mark.parametrize("outcome", [None, Pending()])
def test_its_disk_goes_to_the_trash(outcome: Any) -> None:
    found = plan(observed(going(), removal=outcome))
    removal = asked(found)
    assert (removal.kind, removal.storage_id, removal.location) == (
        "DeleteVolume",
        "v-aaaaaaaa",
        "std-a.node-1",
    )
    assert removal.trash_seconds == 3600
    assert reason(found) == "Terminating"


def test_the_finalizer_goes_last() -> None:
    found = plan(observed(going(), removal=Succeeded()))
    assert only(found, RemoveFinalizer).finalizer == FINALIZER
    assert settled(found) == ["delete-volume/v-aaaaaaaa"]


OLD = [{"location": f"std-{x}.node-1", "storageID": f"v-old0000{x}"} for x in "bc"]


def test_disks_of_earlier_bindings_go_before_it_does() -> None:
    o = observed(going(status={"discards": OLD}))
    found = plan(o)
    assert {a.request.id for a in effects_of(found, Ask)} == {f"delete-volume/{x['storageID']}" for x in OLD}
    assert (effects_of(found, RemoveFinalizer), field(found, "discards")) == ([], OLD)
    done = tuple(replace(each, outcome=Succeeded()) for each in o.discards)
    assert asked(plan(replace(o, discards=done))).storage_id == "v-aaaaaaaa"
    last = plan(replace(o, discards=done, removal=Succeeded()))
    assert names(last) == ["RemoveFinalizer"]
    assert set(settled(last)) == {
        "delete-volume/v-aaaaaaaa",
        *(f"delete-volume/{x['storageID']}" for x in OLD),
    }


def test_a_failed_removal_is_repeated_and_keeps_the_finalizer() -> None:
    found = plan(observed(going(), removal=LOST))
    assert (found.effects, reason(found), settled(found)) == (
        (),
        "OperationFailed",
        ["delete-volume/v-aaaaaaaa"],
    )
    assert found.again_after is not None


def test_a_host_that_is_merely_away_is_waited_for() -> None:
    found = plan(observed(going(), place=a_place(host=None)))
    assert (found.effects, reason(found)) == ((), "WaitingForHost")


RESTORED = {"pool": "std-a", "host": "node-1", "volumeUID": "uid-of-the-object-that-was-backed-up"}


@pytest.mark.parametrize(
    ("volume", "changes"),
    [
        (a_volume(bound=False, deleting=True), {}),
        (a_volume(deleting=True), {}),
        (a_volume(made=True, deleting=True, spec={"placement": RESTORED}), {}),
        (going(), {"place": None}),
        (going(), {"place": a_place(node_known=False)}),
    ],
    ids=[
        "unbound",
        "nothing begun",
        "another object's disk",
        "the pool is gone",
        "the host is gone for good",
    ],
)
def test_without_a_disk_of_its_own_to_remove_it_goes_at_once(volume: Obj, changes: Any) -> None:
    assert names(plan(observed(volume, **changes))) == ["RemoveFinalizer"]


def test_a_disk_that_is_just_being_made_is_removed_too() -> None:
    """The operation is asked for before the status says so."""
    found = plan(observed(a_blank_volume(deleting=True), creation=Pending()))
    assert asked(found).kind == "DeleteVolume"


def test_what_others_hold_up_is_none_of_ours() -> None:
    found = plan(observed(going(finalizers=["example.com/other"])))
    assert (found.effects, found.status) == ((), None)


# -- given up

GIVEN_UP = {"goldpool.io/abandon": "node-1"}


def a_lost_place(annotations: Obj | None = None) -> Any:
    location = StorageLocation.read(a_location(ready=False, annotations=annotations or {}))
    return a_place(host=None, location=location)


@pytest.mark.parametrize(
    ("volume", "place", "goes"),
    [
        (GIVEN_UP, a_lost_place(), True),
        ({}, a_lost_place(GIVEN_UP), True),
        ({}, a_lost_place(), False),
        ({"goldpool.io/abandon": "node-2"}, a_lost_place(), False),
        (GIVEN_UP, a_place(), False),
    ],
    ids=["itself", "with its location", "merely away", "another host", "its host answers"],
)
def test_a_volume_on_a_host_that_was_given_up_goes_without_touching_it(
    volume: Obj, place: Any, goes: bool
) -> None:
    found = plan(observed(going(annotations=volume), place=place))
    assert bool(effects_of(found, RemoveFinalizer)) is goes
    if goes:
        told = only(found, Record)
        assert (told.reason, "volumes/v-aaaaaaaa" in told.note) == ("Abandoned", True)
        assert effects_of(found, Ask) == []


def test_who_waits_for_a_lost_host_is_told_the_way_out() -> None:
    told = message(plan(observed(going(), place=a_lost_place())))
    assert "kubectl annotate -n team-a volume web-1-root goldpool.io/abandon=node-1" in told


def test_a_claim_that_was_given_up_with_its_host_does_not_hold_the_volume() -> None:
    lease = a_lease(going(), annotations={"goldpool.io/abandoned": "node-3"})
    found = plan(observed(going(), holder="uid-web-1", lease=lease, removal=Succeeded()))
    assert names(found) == ["Delete", "RemoveFinalizer"]
    assert only(found, Delete).name == lease["metadata"]["name"]
    held = plan(observed(going(), holder="uid-web-1", lease=a_lease(going()), removal=Succeeded()))
    assert effects_of(held, RemoveFinalizer) == []
