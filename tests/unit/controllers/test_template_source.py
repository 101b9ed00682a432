"""When a template's source is asked, what it says of the answer, and what follows from a change."""

from typing import Any

import pytest

from goldpool.api.source import SourceFacts
from goldpool.contracts.operations import FailureReason, Probed, ProbeSource
from goldpool.contracts.source import MirrorResult
from goldpool.controllers.naming import REFETCH_ANNOTATION, RETRY_ANNOTATION
from goldpool.controllers.template import Asker, Observed, plan
from goldpool.controllers.template.drift import difference
from goldpool.dispatch.outcome import Failed, Pending, Succeeded
from goldpool.dispatch.request import Ask, Settle
from goldpool.engine.plan import Create, Plan, Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    SOURCE_HASH,
    a_condition,
    a_parent,
    a_pinned_template,
    a_template,
    ago,
)
from tests.unit.controllers.reading import (
    asked,
    condition,
    effects_of,
    field,
    is_ready,
    is_stalled,
    message,
    names,
    only,
    reason,
)
from tests.unit.controllers.test_template import a_failed, observed, wanted

URL = "https://mirror.example/debian-12.qcow2"
ASKER = Asker("node-1", "rack-1")
PROBED = Probed(mirror=URL, size=1 << 30, etag='"v1"', format="qcow2", virtual_bytes=2 << 30)
DEAD = MirrorResult(mirror="https://dead.example/x", reason="SourceUnreachable", message="refused")
ALIVE = MirrorResult(mirror=URL)
REFUSED = Failed(FailureReason.SOURCE_REFUSED, f"{URL}: answered 404", False, (MirrorResult(
    mirror=URL, reason="SourceRefused", message="answered 404"),))  # fmt: skip
PAGE = Failed(FailureReason.WRONG_FORMAT, f"{URL}: HTML", True)
LOST = Failed(FailureReason.LOST, "no node took it", False)


def a_probe(seconds_ago: float = 60, **changes: Any) -> Obj:
    """As it stands in a status."""
    time = ago(seconds_ago)
    found = {
        "generation": 1,
        "mirror": URL,
        "size": "1Gi",
        "etag": '"v1"',
        "time": time,
        "answered": time,
        "sourceHash": SOURCE_HASH,
    }
    return found | changes


def fetched(seconds_ago: float = 600, **changes: Any) -> Obj:
    return {"mirror": URL, "size": "1Gi", "etag": '"v1"', "time": ago(seconds_ago)} | changes


def registered(probe: Obj | None = None, **more: Any) -> Obj:
    return a_template(status={"source": {"probe": probe} if probe else None}, **more)


def pinned(
    probe: Obj | None = None, *, source: Obj | None = None, spec: Obj | None = None, **more: Any
) -> Obj:
    """Fetched ten minutes ago, checked each hour."""
    status = {"source": {"fetched": fetched(), **({"probe": probe} if probe else {})}} | more.pop(
        "status", {}
    )
    checked = {"url": URL, "checkInterval": "1h"} | (source or {})
    return a_pinned_template(status=status, spec={"source": checked} | (spec or {}), **more)


def unwanted(template: Obj, **changes: Any) -> Observed:
    defaults: dict[str, Any] = {"wanted": (), "asker": ASKER}
    return observed(template, **(defaults | changes))


def asks(found: Plan) -> bool:
    return any(isinstance(e.request.operation, ProbeSource) for e in effects_of(found, Ask))


def probe_of(found: Plan) -> Any:
    return field(found, "source")["probe"]


# -- when it is asked


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        (registered(), True),
        (registered(a_probe()), False),
        (registered(a_probe(sourceHash="of another URL")), True),
        (registered(a_probe(reason="SourceRefused", nextTime=ago(-5))), False),
        (registered(a_probe(reason="SourceRefused", nextTime=ago(5))), True),
        (registered(a_probe(reason="SecretMissing", nextTime=ago(-5)), generation=2), True),  # it was edited
        (registered(a_probe(), generation=2), False),
        (registered(a_probe(), annotations={RETRY_ANNOTATION: "1"}), True),
        (registered(a_probe(retry="1"), annotations={RETRY_ANNOTATION: "1"}), False),
        (a_pinned_template(), False),
        (a_pinned_template(annotations={RETRY_ANNOTATION: "1"}), False),  # it asks for the copies
        (pinned(), False),  # fetched ten minutes ago
        (pinned(source={"checkInterval": "5m"}), True),
        (pinned(a_probe(4000)), False),  # fetched since
        (pinned(a_probe(3000), status={"source": {"fetched": fetched(9000), "probe": a_probe(3000)}}), False),
        (pinned(status={"source": {"fetched": fetched(9000), "probe": a_probe(4000)}}), True),
        (pinned(a_probe(), annotations={RETRY_ANNOTATION: "1"}), True),
    ],
)
def test_a_source_is_asked_when_somebody_wants_to_know(template: Obj, asked: bool) -> None:
    found = plan(unwanted(template))
    assert asks(found) is asked
    assert asked or found.again_after is None or found.again_after > 0


def test_checks_of_templates_that_were_fetched_together_drift_apart_within_a_tenth() -> None:
    found = {plan(unwanted(pinned(a_probe(0), uid=f"uid-{n}"))).again_after for n in range(20)}
    assert len(found) > 10
    assert all(after is not None and 3240 <= after <= 3960 for after in found)


def test_it_is_asked_by_a_host_that_could_fetch_it_and_on_its_behalf() -> None:
    found = plan(unwanted(registered()))
    request = only(found, Ask).request
    assert (request.mount, request.host, request.owner.name) == (None, "node-1", "debian-12")
    assert asked(found).source.location == "rack-1"


def test_without_a_host_it_waits_and_says_for_what() -> None:
    found = plan(unwanted(registered(), asker=None))
    assert not asks(found)
    told = condition(found, "SourceReachable")
    assert told is not None
    assert (told["status"], told["reason"]) == ("Unknown", "NoHostToAsk")
    assert "golden pool" in told["message"]


def test_until_the_answer_it_is_not_ready_and_works_on_it() -> None:
    for outcome in (None, Pending()):
        found = plan(unwanted(registered(), probe=outcome))
        assert (reason(found), is_ready(found), is_stalled(found)) == ("Probing", False, False)
        assert asks(found)


# -- what it says of the answer


def test_an_answer_tells_sizes_before_anything_is_fetched() -> None:
    found = plan(unwanted(registered(), probe=Succeeded(probed=PROBED, mirrors=(ALIVE,))))
    assert (reason(found), is_ready(found)) == ("NoCopyWanted", True)
    assert (field(found, "size"), field(found, "virtualSize")) == ("1Gi", "2Gi")
    told = condition(found, "SourceReachable")
    assert told is not None
    assert told["status"] == "True"
    assert condition(found, "Degraded") is None
    assert [e.operation_id for e in found.afterwards if isinstance(e, Settle)] == ["probe-source/1"]
    assert (probe_of(found)["etag"], probe_of(found)["host"]) == ('"v1"', "node-1")


def test_an_unknown_size_is_no_fault() -> None:
    found = plan(unwanted(registered(), probe=Succeeded(probed=Probed(mirror=URL))))
    assert is_ready(found)
    assert "an unknown number of bytes" in (condition(found, "SourceReachable") or {})["message"]


def test_the_size_of_compressed_bytes_is_not_the_images() -> None:
    packed = PROBED.model_copy(update={"compression": "xz"})
    found = plan(unwanted(registered(), probe=Succeeded(probed=packed)))
    assert field(found, "size") is None
    assert probe_of(found)["size"] == "1Gi"


def test_some_dead_mirrors_degrade_it_by_name() -> None:
    found = plan(unwanted(registered(), probe=Succeeded(probed=PROBED, mirrors=(DEAD, ALIVE))))
    assert is_ready(found)
    told = condition(found, "Degraded")
    assert told is not None
    assert "1 of 2 mirrors" in told["message"]
    assert "https://dead.example/x: SourceUnreachable: refused" in told["message"]


@pytest.mark.parametrize(
    ("outcome", "ready", "reachable"),
    [
        (REFUSED, "SourceRefused", "False"),
        (PAGE, "SourceInvalid", "False"),
        (LOST, "Probing", "Unknown"),  # nothing was learnt of the source
    ],
)
def test_a_source_that_cannot_serve_makes_it_unready_but_not_stalled(
    outcome: Failed, ready: str, reachable: str
) -> None:
    """Not stalled, for then no machine would wait for it: another host may see more."""
    found = plan(unwanted(registered(), probe=outcome))
    again = plan(unwanted(registered(probe_of(found))))
    for each in (found, again):
        told = condition(each, "SourceReachable")
        assert told is not None
        assert told["status"] == reachable
        assert outcome.message in told["message"]
        assert not is_stalled(each)
    if ready != "Probing":
        assert (reason(found), is_ready(found)) == (ready, False)
        assert outcome.message in message(found)
    assert found.again_after is not None
    assert found.again_after > 0
    assert bool(effects_of(found, Record)) is (ready != "Probing")


def test_failures_wait_longer_and_longer_and_keep_what_was_known() -> None:
    known = a_probe(reason="SourceRefused", failures=5, nextTime=ago(1))
    found = plan(unwanted(registered(known), probe=REFUSED))
    later = probe_of(found)
    assert (later["failures"], later["etag"], later["answered"]) == (6, '"v1"', ago(60))
    assert found.again_after is not None
    assert found.again_after > 60


def test_what_copies_show_counts_more_than_what_was_answered() -> None:
    refused = a_probe(reason="SourceRefused", message="404", nextTime=ago(-60))
    want = (wanted(),)
    assert reason(plan(observed(registered(refused), wanted=want))) == "Fetching"
    assert names(plan(observed(registered(refused), wanted=want))) == ["Create"]
    ready = a_pinned_template(status={"source": {"probe": refused}})
    assert is_ready(plan(observed(ready, wanted=want, parents=(a_parent(),))))
    assert reason(plan(observed(registered(refused), wanted=want, parents=(a_failed(),)))) == "FetchFailed"


def test_a_template_that_goes_wants_no_answer() -> None:
    found = plan(unwanted(a_template(deleting=True), probe=Pending()))
    assert [e.operation_id for e in found.afterwards if isinstance(e, Settle)] == ["probe-source/1"]


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


def changed(seconds_ago: float = 60, **changes: Any) -> Obj:
    return a_probe(seconds_ago, etag='"v2"', **changes)


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
