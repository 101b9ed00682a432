"""Which host of a Shared pool fetches next, and what a Parent says of mirrors and hosts."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.contracts.report import FailureReason, Fetched
from goldpool.contracts.source import MirrorResult
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.controllers.parent import plan
from goldpool.controllers.parent.failing import HOST_MATTERS
from goldpool.dispatch.outcome import Failed, Outcome, Succeeded
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import REVISION, a_parent, a_template
from tests.unit.controllers.parents import observed
from tests.unit.controllers.reading import asked, field, is_stalled, message, reason, settled

R = FailureReason
HOSTS = ("node-1", "node-2", "node-3", "node-4")


def refused(
    why: R = R.SOURCE_REFUSED, *, permanent: bool = False, mirrors: tuple[MirrorResult, ...] = ()
) -> Failed:
    return Failed(why, "answered 404", permanent, mirrors, 12)


def shared(outcome: Outcome | None, *, hosts: tuple[str, ...] = HOSTS, host: str = "", **status: Any) -> Any:
    """Fetched by node-1 for a pool that all hosts see."""
    last = {"state": "Fetching", "attempt": 1, "fetchedOn": "node-1", "revision": None} | status
    return observed(a_parent(host=host, status=last), fetch=outcome, hosts=hosts)


@pytest.mark.parametrize(
    ("changes", "state", "tried"),
    [
        ({}, "Pending", ["node-1"]),
        ({"triedHosts": ["node-4"]}, "Pending", ["node-4", "node-1"]),
        ({"triedHosts": ["node-4", "node-2"]}, "Failed", ["node-4", "node-2", "node-1"]),  # three in all
        ({"hosts": ("node-1",)}, "Failed", ["node-1"]),
        ({"hosts": ("node-1", "node-2"), "triedHosts": ["node-2"]}, "Failed", ["node-2", "node-1"]),
        ({"hosts": ()}, "Failed", ["node-1"]),
        ({"host": "node-1"}, "Failed", None),  # a Host-scoped pool has only its own
    ],
)
def test_at_most_three_hosts_of_a_shared_pool_are_tried_at_once(
    changes: dict[str, Any], state: str, tried: list[str] | None
) -> None:
    found = plan(shared(refused(), **changes))
    assert (field(found, "state"), field(found, "triedHosts") or None) == (state, tried)
    assert (field(found, "nextRetryTime") is None) is (state == "Pending")
    assert (found.again_after == 0) is (state == "Pending")
    assert field(found, "attempt") == (2 if state == "Pending" else 1)
    assert settled(found) == ["fetch/debian-12-aaaaaaaa/1"]


def test_no_other_host_fetches_what_nobody_waits_for() -> None:
    alone = replace(shared(refused()), prepared=False)
    assert field(plan(alone), "state") == "Failed"


def test_the_next_host_is_told() -> None:
    found = plan(shared(refused()))
    assert (reason(found), message(found)) == ("FetchFailed", "node-1: answered 404; node-2 is next")


@pytest.mark.parametrize("why", list(R), ids=str)
def test_another_host_is_tried_only_where_a_host_matters(why: R) -> None:
    assert (field(plan(shared(refused(why))), "state") == "Pending") is (why in HOST_MATTERS)


def test_a_wrong_source_is_wrong_for_every_host() -> None:
    found = plan(shared(refused(R.CHECKSUM_MISMATCH, permanent=True)))
    assert (field(found, "state"), is_stalled(found), found.again_after) == ("Failed", True, None)


def test_a_host_that_was_tried_is_not_asked_while_another_one_can() -> None:
    parent = a_parent(host="", status={"state": "Pending", "attempt": 2, "triedHosts": ["node-1"]})
    found = plan(observed(parent, host="node-2", hosts=HOSTS))
    assert (asked(found).id, field(found, "fetchedOn")) == ("fetch/debian-12-aaaaaaaa/2", "node-2")
    assert field(found, "triedHosts") == ["node-1"]


@pytest.mark.parametrize("status", [{"nextRetryTime": "2020-01-01T00:00:00Z"}, {"retry": "1"}])
def test_the_next_round_begins_with_all_hosts(status: Obj) -> None:
    last = {"state": "Failed", "attempt": 3, "failures": 3, "triedHosts": ["node-1", "node-2", "node-3"]}
    template = a_template(annotations={RETRY_ANNOTATION: "2"} if "retry" in status else {})
    found = plan(observed(a_parent(host="", status=last | status), template=template, hosts=HOSTS))
    assert (field(found, "state"), field(found, "triedHosts")) == ("Pending", [])


RESULTS = (
    MirrorResult(mirror="http://a/d", reason="SourceUnreachable", message="refused", attempts=2),
    MirrorResult(mirror="http://b/d", attempts=1),
)
SHOWN = [
    {"mirror": "http://a/d", "reason": "SourceUnreachable", "message": "refused", "attempts": 2},
    {"mirror": "http://b/d", "attempts": 1},
]
FETCHED = Fetched(revision=REVISION, file_bytes=1, virtual_bytes=2, mirror="http://b/d", verified="sha512")


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(fetched=FETCHED, mirrors=RESULTS, mirrors_total=12), refused(mirrors=RESULTS)],
    ids=["delivered", "failed"],
)
def test_a_parent_tells_what_each_mirror_answered(outcome: Outcome) -> None:
    found = plan(shared(outcome, host="node-1"))
    shown = [{k: v for k, v in one.items() if v != ""} for one in field(found, "mirrors")]
    assert (shown, field(found, "mirrorsTotal")) == (SHOWN, 12)


def test_what_was_verified_is_told_and_a_published_copy_keeps_no_hosts() -> None:
    found = plan(shared(Succeeded(fetched=FETCHED), triedHosts=["node-2"]))
    assert (field(found, "verified"), field(found, "triedHosts")) == ("sha512", [])


def test_a_copy_that_an_earlier_fetch_published_keeps_its_mirrors() -> None:
    before: dict[str, Any] = {"mirror": "http://b/d", "mirrors": SHOWN, "mirrorsTotal": 2}
    there = FETCHED.replace(mirror="")
    found = plan(shared(Succeeded(fetched=there), **before))
    assert (field(found, "mirror"), field(found, "mirrorsTotal")) == ("http://b/d", 2)
    assert len(field(found, "mirrors")) == 2


# -- the retry annotation


@pytest.mark.parametrize(
    ("annotation", "acted_on", "state"),
    [
        (None, None, "Failed"),
        ("1", None, "Pending"),  # set while the fetch went on
        ("1", "1", "Failed"),
        ("2", "1", "Pending"),
    ],
)
def test_a_value_that_stood_there_before_the_fetch_asks_for_nothing_more(
    annotation: str | None, acted_on: str | None, state: str
) -> None:
    template = a_template(annotations={RETRY_ANNOTATION: annotation} if annotation else {})
    last = {"state": "Failed", "attempt": 1, "permanent": True, "retry": acted_on}
    assert field(plan(observed(a_parent(status=last), template=template)), "state") == state


def test_the_first_fetch_answers_the_value_that_is_there() -> None:
    template = a_template(annotations={RETRY_ANNOTATION: "1"})
    begun = plan(observed(a_parent(status={"state": "Pending", "attempt": None}), template=template))
    assert field(begun, "retry") == "1"
    going = plan(observed(a_parent(status={"state": "Fetching", "attempt": 1}), template=template))
    assert field(going, "retry") is None
