"""How a Volume goes: not while it is held, its disk next, the object last."""

from typing import Any

import pytest

from goldpool.contracts.operations import FailureReason
from goldpool.controllers.naming import FINALIZER
from goldpool.controllers.volume import plan
from goldpool.dispatch.outcome import Failed, Pending, Succeeded
from goldpool.engine.plan import Record, RemoveFinalizer
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import a_blank_volume, a_volume
from tests.unit.controllers.reading import asked, condition, field, message, names, only, reason, settled
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
