"""What a location holds against what objects know of it, and a location that was given up."""

from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.volume import Volume
from goldpool.contracts.facts import Inspection, LocationFacts, LocationState
from goldpool.contracts.operations import Known
from goldpool.contracts.report import FailureReason
from goldpool.controllers.storagelocation import plan
from goldpool.controllers.storagelocation.controller import known_of
from goldpool.controllers.storagelocation.operations import operation_in_use
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.engine.plan import Patch, Record, RemoveFinalizer
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import NOW, a_blank_volume, a_location, a_node, a_parent, a_volume, ago
from tests.unit.controllers.reading import (
    asked,
    effects_of,
    field,
    message,
    names,
    only,
    reason,
    settled,
)
from tests.unit.controllers.test_storagelocation import facts, observed

HERE = Known(present=("v-aaaaaaaa", "debian-12-aaaaaaaa"), transient=("v-bbbbbbbb",))
WAY_OUT = "kubectl annotate storagelocation std-a.node-1 goldpool.io/abandon"
GIVEN_UP = {"goldpool.io/abandon": "node-1"}


def saw(**found: Any) -> Obj:
    return {"facts": with_inspection(Inspection(**found)), "facts_time": NOW, "known": HERE}


def with_inspection(inspection: Inspection) -> LocationFacts:
    return facts().replace(inspection=inspection)


# -- what is known


@pytest.mark.parametrize(
    ("obj", "present", "transient"),
    [
        (a_parent(), ["debian-12-aaaaaaaa"], []),
        (a_parent(status={"state": "Fetching"}), [], ["debian-12-aaaaaaaa"]),
        (a_parent(deleting=True), [], ["debian-12-aaaaaaaa"]),
        (a_parent(status={"state": "Retiring"}), [], ["debian-12-aaaaaaaa"]),
        (a_volume(made=True), ["v-aaaaaaaa"], []),
        (a_volume(), [], ["v-aaaaaaaa"]),
        (a_volume(made=True, deleting=True), [], ["v-aaaaaaaa"]),
        (a_volume(made=True, spec={"storageID": "v-cccccccc"}), [], ["v-aaaaaaaa", "v-cccccccc"]),
        (a_volume(bound=False), [], []),
    ],
)
def test_only_what_is_neither_being_made_nor_removed_must_be_there(
    obj: Obj, present: list[str], transient: list[str]
) -> None:
    parents = [Parent.read(obj)] if obj["kind"] == "Parent" else []
    volumes = [Volume.read(obj)] if obj["kind"] == "Volume" else []
    known = known_of(parents, volumes)
    assert known is not None
    assert (list(known.present), list(known.transient)) == (present, transient)


def test_what_would_not_fit_into_a_job_is_not_compared() -> None:
    many = [Volume.read(a_blank_volume(spec={"storageID": f"v-{n:08}"})) for n in range(2001)]
    assert known_of([], many[:2000]) is not None
    assert known_of([], many) is None


# -- when it is compared


@pytest.mark.parametrize(
    ("inspected", "known", "due"),
    [
        (None, HERE, True),
        (ago(300), HERE, False),
        (ago(1200), HERE, True),
        (None, Known(transient=("v-bbbbbbbb",)), False),
        (ago(1200), Known(), False),
        (None, None, False),
    ],
    ids=["never", "lately", "long ago", "nothing must be there", "nothing known", "too much"],
)
def test_a_busy_location_is_compared_now_and_then(
    inspected: str | None, known: Known | None, due: bool
) -> None:
    status = {"inspectedTime": inspected, "probeTime": ago(5)}
    found = plan(observed(a_location(status=status), known=known, facts=facts(), facts_time=NOW))
    assert bool(found.effects) is due
    if due:
        assert asked(found).known == known


# -- what is said


def test_what_is_missing_and_what_nobody_knows_is_in_the_status() -> None:
    found = plan(
        observed(
            **saw(missing=("v-aaaaaaaa",), missing_total=1, unknown=("volumes/v-zzzzzzzz",), unknown_total=12)
        )
    )
    assert (field(found, "missing"), field(found, "missingTotal")) == (["v-aaaaaaaa"], 1)
    assert (field(found, "orphans"), field(found, "orphansTotal")) == (["volumes/v-zzzzzzzz"], 12)
    assert field(found, "inspectedTime") == ago(0)
    told = only(found, Record)
    assert told.reason == "OrphansFound"
    assert "12 entries" in told.note
    assert "volumes/v-zzzzzzzz" in told.note


def test_objects_that_came_or_went_since_then_explain_what_was_found() -> None:
    found = plan(
        observed(
            **saw(
                missing=("v-gone", "v-aaaaaaaa"),
                missing_total=3,
                unknown=("volumes/v-bbbbbbbb", "templates/debian-12-aaaaaaaa"),
                unknown_total=2,
            )
        )
    )
    assert (field(found, "missing"), field(found, "missingTotal")) == (["v-aaaaaaaa"], 2)
    assert (field(found, "orphans"), field(found, "orphansTotal")) == ([], None)
    assert effects_of(found, Record) == []


def test_a_report_without_a_comparison_leaves_the_last_one() -> None:
    before = {"inspectedTime": ago(60), "orphans": ["volumes/v-zzzzzzzz"], "orphansTotal": 1}
    found = plan(observed(a_location(status=before), facts=facts(), facts_time=NOW))
    assert (field(found, "inspectedTime"), field(found, "orphans")) == (ago(60), ["volumes/v-zzzzzzzz"])
    assert effects_of(found, Record) == [], "told once"


# -- given up


def given_up(**changes: Any) -> Any:
    location = a_location(annotations=GIVEN_UP, **changes.pop("location", {}))
    return observed(location, **changes)


@pytest.mark.parametrize(
    ("annotations", "changes", "words"),
    [
        (
            {},
            {"host": None, "node": a_node(ready=False)},
            f"{WAY_OUT}=node-1",
        ),
        ({}, {"host": None, "node": None}, "node node-1 was deleted"),
        ({"goldpool.io/abandon": "yes"}, {"host": None}, "only 'node-1' can be given up"),
        (GIVEN_UP, {"host": None}, "was given up"),
        ({}, {"facts": facts(LocationState.NOT_MOUNTED), "facts_time": NOW}, "goldpool.io/abandon=node-1"),
    ],
)
def test_who_waits_for_a_host_or_a_disk_is_told_the_way_out(
    annotations: Obj, changes: Any, words: str
) -> None:
    assert words in message(plan(observed(a_location(annotations=annotations), **changes)))


def test_a_location_on_an_empty_disk_in_place_of_its_own_begins_anew_only_when_it_was_given_up() -> None:
    empty: dict[str, Any] = {"facts": facts(LocationState.NOT_MOUNTED), "facts_time": NOW}
    waiting = plan(observed(**empty))
    assert (waiting.effects, reason(waiting)) == ((), "NotMounted")
    operation = asked(plan(given_up(**empty)))
    assert operation.kind == "Initialize"
    assert operation.require_mount


def test_each_attempt_to_begin_anew_has_an_id_of_its_own() -> None:
    first = given_up(location={"status": {"attempts": None}}).location
    second = given_up(location={"status": {"attempts": 1}}).location
    ids = {operation_in_use(x, a_node(), None) for x in (first, second, observed().location)}
    assert len(ids) == 3


def test_what_began_anew_is_not_given_up_any_more_and_is_compared_next() -> None:
    found = plan(given_up(outcome=Succeeded(), facts=facts(), facts_time=NOW, known=HERE))
    assert names(found)[:2] == ["Record", "Patch"]
    assert only(found, Patch).patch == {"metadata": {"annotations": {"goldpool.io/abandon": None}}}
    assert field(found, "inspectedTime") is None
    assert settled(found) == ["the-operation"]


def test_a_disk_that_is_not_empty_is_not_taken_even_if_the_location_was_given_up() -> None:
    foreign = Failed(FailureReason.FOREIGN_POOL, "templates exist here without an identity", permanent=False)
    found = plan(given_up(outcome=foreign))
    assert (reason(found), effects_of(found, Patch)) == ("ForeignPool", [])
    assert found.again_after == 15


@pytest.mark.parametrize(
    ("annotations", "host", "goes"),
    [
        (GIVEN_UP, None, True),
        ({}, None, False),
        ({"goldpool.io/abandon": "node-2"}, None, False),
        (GIVEN_UP, "node-1", False),
    ],
    ids=["given up", "merely away", "another", "it answers"],
)
def test_a_location_on_a_lost_host_goes_without_it_once_it_was_given_up(
    annotations: Obj, host: str | None, goes: bool
) -> None:
    location = a_location(deleting=True, annotations=annotations)
    found = plan(observed(location, host=host))
    assert bool(effects_of(found, RemoveFinalizer)) is goes
