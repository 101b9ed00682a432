"""When a template's source is asked, and what it says of the answer."""

import pytest

from goldpool.contracts.report import FailureReason, Probed
from goldpool.contracts.source import MirrorResult
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.template import plan
from goldpool.dispatch.outcome import Failed, Pending, Succeeded
from goldpool.dispatch.request import Ask, Settle
from goldpool.engine.plan import Record
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
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
from tests.unit.controllers.templates import (
    PROBED,
    URL,
    a_failed,
    a_probe,
    asks,
    fetched,
    observed,
    pinned,
    probe_of,
    registered,
    unwanted,
    wanted,
)

DEAD = MirrorResult(mirror="https://dead.example/x", reason="SourceUnreachable", message="refused")
ALIVE = MirrorResult(mirror=URL)
REFUSED = Failed(FailureReason.SOURCE_REFUSED, f"{URL}: answered 404", False, (MirrorResult(
    mirror=URL, reason="SourceRefused", message="answered 404"),))  # fmt: skip


PAGE = Failed(FailureReason.WRONG_FORMAT, f"{URL}: HTML", True)
LOST = Failed(FailureReason.LOST, "no node took it", False)


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
    packed = PROBED.replace(compression="xz")
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
        assert field(each, "phase") == "Registered", "nothing is being fetched"
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
    fetching = plan(observed(registered(refused), wanted=want))
    assert (reason(fetching), field(fetching, "phase")) == ("Fetching", "Fetching")
    assert names(plan(observed(registered(refused), wanted=want))) == ["Create"]
    ready = a_pinned_template(status={"source": {"probe": refused}})
    assert is_ready(plan(observed(ready, wanted=want, parents=(a_parent(),))))
    assert reason(plan(observed(registered(refused), wanted=want, parents=(a_failed(),)))) == "FetchFailed"


def test_a_template_that_goes_wants_no_answer() -> None:
    found = plan(unwanted(a_template(deleting=True), probe=Pending()))
    assert [e.operation_id for e in found.afterwards if isinstance(e, Settle)] == ["probe-source/1"]
