"""Whether a template's source changed, and how its new revision comes beside the old one."""

from typing import Any

import pytest

from goldpool.api.source import SourceFacts
from goldpool.controllers.naming import REFETCH_ANNOTATION
from goldpool.controllers.template import plan
from goldpool.controllers.template.drift import difference
from goldpool.dispatch.outcome import Succeeded
from goldpool.engine.plan import Create, Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    SOURCE_HASH,
    a_condition,
    a_parent,
    a_pinned_template,
    ago,
)
from tests.unit.controllers.reading import (
    condition,
    effects_of,
    field,
    is_ready,
)
from tests.unit.controllers.templates import (
    PROBED,
    URL,
    a_failed,
    a_probe,
    changed,
    fetched,
    observed,
    pinned,
    probe_of,
    unwanted,
    wanted,
)

# -- whether it changed

FACTS = SourceFacts(mirror=URL, size=100, etag='"1"', last_modified="Monday", digest="sha256:aa")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, None),
        ({"size": 101, "digest": ""}, "size was 100 bytes and is 101"),
        ({"etag": '"2"', "digest": ""}, "ETag"),
        ({"etag": '"2"'}, None),  # the same digest: put in place again
        ({"digest": "sha256:bb"}, "digest"),
        ({"digest": "", "last_modified": "Tuesday"}, None),  # the same ETag
        ({"digest": "", "etag": "", "last_modified": "Tuesday"}, "Last-Modified"),
        ({"digest": "", "etag": "", "last_modified": ""}, None),
        ({"digest": "", "size": None, "etag": '"2"', "mirror": "https://other"}, None),  # its own ETag
        ({"digest": "", "size": 7, "mirror": "https://other"}, "size"),
    ],
)
def test_what_tells_a_change(found: dict[str, Any], says: str | None) -> None:
    told = difference(FACTS, FACTS.model_copy(update=found))
    assert (told is None) is (says is None)
    assert says is None or says in (told or "")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (pinned(a_probe()), False),
        (pinned(changed()), True),
        (pinned(changed(700)), False),  # asked before it was fetched
        (
            pinned(changed(reason="SourceUnreachable", nextTime=ago(-9))),
            True,
        ),  # it said so when it last answered
        (a_pinned_template(status={"source": {"probe": changed()}}), False),  # nobody knows what was fetched
    ],
)
def test_a_change_is_a_condition_and_nothing_else(template: Obj, told: bool) -> None:
    found = plan(unwanted(template, parents=(a_parent(),)))
    assert (condition(found, "SourceChanged") is not None) is told
    assert is_ready(found) or probe_of(found).get("reason")
    assert field(found, "refetch") is None
    assert effects_of(found, Create) == []
    assert len([e for e in effects_of(found, Record) if e.reason == "SourceChanged"]) == told


def test_a_change_is_told_once_and_taken_back() -> None:
    first = plan(unwanted(pinned(changed()), parents=(a_parent(),)))
    again = pinned(changed(), status={"conditions": field(first, "conditions")})
    again["status"]["source"] = field(first, "source")
    second = plan(unwanted(again, parents=(a_parent(),)))
    assert "SourceChanged" not in [e.reason for e in effects_of(second, Record)]
    assert condition(second, "SourceChanged") == condition(first, "SourceChanged")
    back = plan(unwanted(again, parents=(a_parent(),), probe=Succeeded(probed=PROBED)))
    assert condition(back, "SourceChanged") is None


def test_a_copy_that_was_served_other_bytes_tells_it_too() -> None:
    refused = a_failed(
        permanent=True, host="node-2", name="p-2", spec={"revision": REVISION}, created=ago(30)
    )
    refused["status"]["failure"] = "RevisionMismatch"
    found = plan(unwanted(pinned(), parents=(a_parent(), refused)))
    assert "other bytes came to node-2" in (condition(found, "SourceChanged") or {}).get("message", "")


def test_what_was_served_is_recorded_with_the_newest_copy_of_the_revision() -> None:
    facts = {"mirror": URL, "size": "1Gi", "etag": '"later"'}
    later = {"state": "Ready", "publishedTime": ago(30), "source": facts}
    found = plan(unwanted(pinned(), parents=(a_parent("p-1"), a_parent("p-2", host="node-2", status=later))))
    assert field(found, "source")["fetched"]["etag"] == '"later"'
    assert field(found, "source")["fetched"]["time"] == ago(30)


# -- fetching anew

REFETCH = {"refreshPolicy": "Refetch"}
UNDER_WAY = {
    "token": "t1",
    "since": ago(60),
    "why": "its ETag was",
    "seen": {"mirror": URL, "etag": '"v2"', "size": "1Gi"},
}


def anew(**more: Any) -> Obj:
    """Found changed; its new revision is being fetched."""
    status = {"source": {"fetched": fetched(), "probe": changed()}, "refetch": UNDER_WAY}
    return pinned(source=REFETCH, status=status | more.pop("status", {}), **more)


def a_candidate(state: str = "Fetching", token: str = "t1", **status: Any) -> Obj:
    facts = {"state": state} | status
    return a_parent("p-new", spec={"refetch": token, "revision": ""}, status=facts)


def brought(**status: Any) -> Obj:
    facts = {"mirror": URL, "size": "1Gi", "etag": '"v2"'}
    new = {"revision": OTHER_REVISION, "publishedTime": ago(1), "size": "3Gi", "source": facts}
    return a_candidate("Published", **(new | status))


@pytest.mark.parametrize(
    ("template", "begins"),
    [
        (pinned(changed(), source=REFETCH), True),
        (pinned(changed()), False),
        (pinned(a_probe(), source=REFETCH), False),
        (pinned(changed(), source=REFETCH, spec={"checksum": "a" * 64}), False),  # it names what was fetched
        (pinned(a_probe(), annotations={REFETCH_ANNOTATION: "1"}), True),
        (pinned(a_probe(), annotations={REFETCH_ANNOTATION: "1"}, status={"refetchAsked": "1"}), False),
        (pinned(a_probe(), annotations={REFETCH_ANNOTATION: "1"}, spec={"checksum": "a" * 64}), False),
    ],
)
def test_when_the_source_is_fetched_anew(template: Obj, begins: bool) -> None:
    source = template["spec"]["source"]
    hashed = {"sourceHash": SOURCE_HASH if "checksum" not in template["spec"] else "other"}
    assert source["url"] == URL
    parents = (a_parent(spec=hashed),)
    found = plan(unwanted(template, parents=parents, places=(wanted(),), tokens=("a", "b")))
    assert (field(found, "refetch") is not None) is begins
    assert not begins or (field(found, "refetch")["token"], found.again_after) == ("b", 0)
    assert effects_of(found, Create) == [], "the token is written before the copy that bears it"
    assert field(found, "revision") == REVISION


def test_one_copy_is_made_for_it_and_no_other_meanwhile() -> None:
    places = (wanted("node-2"), wanted())
    found = plan(
        observed(anew(), parents=(a_parent(),), wanted=places, places=places, tokens=("a", "b", "c", "d"))
    )
    (made,) = effects_of(found, Create)
    assert made.obj["spec"]["refetch"] == "t1"
    assert (made.obj["spec"]["revision"], made.obj["spec"]["location"]) == ("", "golden-ssd.node-2")
    assert made.obj["metadata"]["name"] == "debian-12-c"
    again = plan(observed(anew(), parents=(a_parent(), a_candidate()), wanted=places, places=(wanted(),)))
    assert effects_of(again, Create) == []


def test_another_place_takes_over_from_one_that_is_away() -> None:
    away = observed(
        anew(), parents=(a_parent(host="node-2"), a_candidate()), places=(wanted("node-2"),), wanted=()
    )
    (made,) = effects_of(plan(away), Create)
    assert made.obj["spec"]["location"] == "golden-ssd.node-2"


def test_what_it_brings_is_the_revision_by_one_write() -> None:
    found = plan(unwanted(anew(), parents=(a_parent(), brought()), places=(wanted(),)))
    assert (field(found, "revision"), field(found, "refetches"), field(found, "refetch")) == (
        OTHER_REVISION,
        1,
        None,
    )
    assert (field(found, "size"), field(found, "source")["fetched"]["etag"]) == ("3Gi", '"v2"')
    assert condition(found, "SourceChanged") is None
    assert "Refetched" in [e.reason for e in effects_of(found, Record)]
    assert found.again_after == 0


def test_the_same_bytes_after_all_change_nothing_but_what_is_compared() -> None:
    found = plan(unwanted(anew(), parents=(a_parent(), brought(revision=REVISION)), places=(wanted(),)))
    assert (field(found, "revision"), field(found, "refetches"), field(found, "refetch")) == (
        REVISION,
        None,
        None,
    )
    assert field(found, "source")["fetched"]["etag"] == '"v2"'
    assert condition(found, "SourceChanged") is None


@pytest.mark.parametrize(
    ("template", "goes_on"),
    [
        (anew(), True),
        (anew(status={"source": {"fetched": fetched(), "probe": a_probe()}}), False),  # it serves the old bytes again
        (anew(status={"source": {"fetched": fetched(), "probe": changed(
            reason="SourceUnreachable", nextTime=ago(-9))}}), True),
    ],
)  # fmt: skip
def test_fetching_anew_is_called_off_when_there_is_nothing_new(template: Obj, goes_on: bool) -> None:
    found = plan(unwanted(template, parents=(a_parent(), a_candidate()), places=(wanted(),)))
    assert (field(found, "refetch") is not None) is goes_on


def test_a_new_revision_that_cannot_be_is_said_and_tried_again_when_the_source_changes_again() -> None:
    told = [a_condition(status="False", reason="FetchFailed", message="it is encrypted")]
    bad = a_candidate("Failed", failure="UnsafeImage", permanent=True, conditions=told)
    here = {"parents": (a_parent(), bad), "places": (wanted(),), "tokens": ("a", "b")}
    found = plan(unwanted(anew(), **here))
    assert is_ready(found)
    assert field(found, "refetch")["token"] == "t1"
    assert "it is encrypted" in (condition(found, "SourceChanged") or {})["message"]
    third = {"fetched": fetched(), "probe": changed(size="9Gi")}
    again = plan(unwanted(anew(status={"source": third}), **here))
    assert field(again, "refetch")["token"] == "b"


def test_new_copies_are_of_the_new_revision_and_old_ones_are_counted_apart() -> None:
    template = a_pinned_template(status={"revision": OTHER_REVISION, "refetches": 1})
    old = a_parent("p-old")
    new = a_parent("p-new", host="node-2", status={"state": "Ready", "revision": OTHER_REVISION})
    found = plan(observed(template, parents=(old, new), wanted=(wanted(), wanted("node-2"))))
    (made,) = effects_of(found, Create)
    assert (made.obj["spec"]["location"], made.obj["spec"]["revision"]) == (
        "golden-ssd.node-1",
        OTHER_REVISION,
    )
    (ref,) = field(found, "poolRefs")
    assert (ref["ready"], ref["superseded"], ref["digest"]) == (1, 1, OTHER_REVISION)
    assert field(found, "copies") == "1/2"
