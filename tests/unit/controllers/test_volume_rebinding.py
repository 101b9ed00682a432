"""A Volume that is bound anew, and the disks it leaves behind."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.volume import DISCARDS_KEPT
from goldpool.contracts.operations import DeleteVolume
from goldpool.controllers.volume import plan
from goldpool.dispatch.outcome import Failed, Pending, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    a_blank_volume,
    a_volume,
)
from tests.unit.controllers.reading import (
    effects_of,
    field,
    settled,
)
from tests.unit.controllers.volumes import FULL, HERE, TAKEN, a_place, observed


def test_bound_anew_it_starts_over_and_discards_the_old_disk() -> None:
    old = a_volume(made=True, spec={"storageID": "v-bbbbbbbb"}, status={"failure": "IOError", "attempts": 3})
    found = plan(observed(old))
    assert found.effects == ()
    assert field(found, "storageID") == "v-bbbbbbbb"
    assert field(found, "discards") == [OLD]
    for forgotten in ("createdTime", "parent", "revision", "failure", "attempts", "location"):
        assert field(found, forgotten) is None
    assert found.again_after == 0


OLD = {"location": "std-a.node-1", "storageID": "v-aaaaaaaa"}
OLDER = [{"location": f"std-{x}.node-1", "storageID": f"v-old0000{x}"} for x in "bc"]


def test_each_of_several_old_disks_is_remembered() -> None:
    again = a_volume(made=True, spec={"storageID": "v-dddddddd"}, status={"discards": OLDER})
    found = plan(observed(again))
    assert field(found, "discards") == [*OLDER, OLD]
    assert {a.request.id for a in effects_of(found, Ask)} == {
        "delete-volume/v-old0000b",
        "delete-volume/v-old0000c",
    }


def test_it_is_not_bound_anew_while_there_is_no_room_to_remember_one_more() -> None:
    full = [{"location": "std-b.node-1", "storageID": f"v-old{n:05}"} for n in range(DISCARDS_KEPT)]
    o = observed(a_volume(made=True, spec={"storageID": "v-dddddddd"}, status={"discards": full}))
    found = plan(o)
    assert (field(found, "discards"), field(found, "storageID")) == (full, "v-aaaaaaaa")
    first, *rest = o.discards
    room = plan(replace(o, discards=(replace(first, outcome=Succeeded()), *rest)))
    assert field(room, "discards") == [*full[1:], OLD]


def discarding(**more: Any) -> Obj:
    return a_volume(made=True, status={"discards": OLDER} | more)


@pytest.mark.parametrize("volume", [discarding(), a_blank_volume(status=HERE | {"discards": OLDER})])
def test_the_old_disks_go_while_the_new_one_is_made_and_used(volume: Obj) -> None:
    removals = {a.request.operation for a in effects_of(plan(observed(volume)), Ask)}
    found = {(x.storage_id, x.location) for x in removals if isinstance(x, DeleteVolume)}
    assert found == {("v-old0000b", "std-b.node-1"), ("v-old0000c", "std-c.node-1")}


@pytest.mark.parametrize(
    ("outcome", "forgotten"),
    [(Succeeded(), True), (FULL, False), (TAKEN, False), (Pending(), False), (None, False)],
)
def test_an_old_disk_is_forgotten_once_it_is_removed_and_not_before(outcome: Any, forgotten: bool) -> None:
    o = observed(discarding())
    first, second = o.discards
    found = plan(replace(o, discards=(replace(first, outcome=outcome), second)))
    assert field(found, "discards") == (OLDER[1:] if forgotten else OLDER)
    ended = isinstance(outcome, Succeeded | Failed)
    assert settled(found) == (["delete-volume/v-old0000b"] if ended else [])
    assert (found.again_after is not None) == isinstance(outcome, Failed)


@pytest.mark.parametrize("changes", [{"place": None}, {"place": a_place("std-b", node_known=False)}])
def test_what_a_vanished_place_keeps_is_forgotten(changes: Any) -> None:
    o = observed(discarding())
    found = plan(replace(o, discards=(replace(o.discards[0], **changes), o.discards[1])))
    assert field(found, "discards") == OLDER[1:]


def test_a_host_that_is_away_keeps_the_old_disk_on_the_list() -> None:
    o = observed(discarding())
    away = replace(o.discards[0], place=a_place("std-b", host=None))
    found = plan(replace(o, discards=(away, o.discards[1])))
    assert field(found, "discards") == OLDER
    assert [a.request.id for a in effects_of(found, Ask)] == ["delete-volume/v-old0000c"]
    assert found.again_after is not None


def test_a_permanent_failure_asks_for_the_removal_of_an_old_disk_once() -> None:
    """Its status stays as it is, but for what was removed."""
    failed = a_blank_volume(status=HERE | {"failure": "VolumeConflict", "discards": OLDER})
    o = observed(failed)
    done = tuple(replace(each, outcome=Succeeded()) for each in o.discards)
    found = plan(replace(o, discards=done))
    assert (found.effects, field(found, "discards")) == ((), [])
