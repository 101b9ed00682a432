"""Why nothing fits, as a person reads it."""

from typing import Any

import pytest

from goldpool.planning.placement import Rejection, RejectionReason, TemplateView, Unplaceable
from goldpool.planning.rejections import REMEDIES
from tests.unit.planning.builders import (
    a_disk,
    a_golden_disk,
    a_golden_location,
    a_host,
    a_location,
    a_template,
    a_wish,
    plan,
    refused,
)


def test_the_sentence_counts_reasons_and_gives_an_example_each() -> None:
    locations = [
        *(a_golden_location(host=f"node-{i}", used=912) for i in (1, 2, 3)),
        *(a_location(host=f"node-{i}") for i in (1, 2)),
        a_location(host="node-3"),
    ]
    hosts = [a_host("node-1"), a_host("node-2"), a_host("node-3", schedulable=False)]
    answer = refused(plan(a_wish(a_golden_disk(tags=frozenset({"ssd"}))), locations, hosts=hosts))
    assert answer.sentence() == (
        "0 of 6 locations fit disk root: "
        "2 are on cordoned hosts (golden-ssd on node-3: node-3 is cordoned), "
        "2 lack a tag (std-a on node-1: lacks ssd), "
        "2 are used above their limit (golden-ssd on node-1: 91 % used, limit 85 %)"
    )
    assert answer.counts()[1] == (RejectionReason.WITHOUT_TAGS, 2, "std-a on node-1: lacks ssd")


def test_what_fits_alone_but_has_no_counterpart_says_so() -> None:
    apart = refused(
        plan(a_wish(a_golden_disk()), [a_location(host="node-1"), a_golden_location(host="node-2")])
    )
    assert {r.location: r.reason for r in apart.rejections} == {
        "std-a.node-1": RejectionReason.NO_GOLDEN_POOL,
        "golden-ssd.node-2": RejectionReason.NO_ORDINARY_POOL,
    }
    assert "debian-12" in apart.sentence()


def test_the_most_frequent_reason_comes_first() -> None:
    locations = [a_location("a", enabled=False), a_location("b", used=900), a_location("c", used=900)]
    answer = refused(plan(a_wish(), locations))
    assert [(reason, n) for reason, n, _ in answer.counts()] == [
        (RejectionReason.USED_LIMIT, 2),
        (RejectionReason.POOL_DISABLED, 1),
    ]


@pytest.mark.parametrize("template", [None, a_template(golden=False)])
def test_with_nothing_to_choose_from_there_is_still_a_sentence(template: TemplateView | None) -> None:
    only_golden = refused(plan(a_wish(a_disk(template=template)), [a_golden_location()]))
    assert only_golden.sentence() == "0 of 0 locations fit disk root: there is none to choose from"


def test_the_sentence_fits_a_condition() -> None:
    faults: list[dict[str, Any]] = [
        {"used": 900},
        {"enabled": False},
        {"ready": False},
        {"allocated_bytes": 900},
    ]
    locations = [a_location(f"pool-{n}", host=f"{n}" * 250, **fault) for n, fault in enumerate(faults)]
    assert len(refused(plan(a_wish(), locations)).sentence()) == 1024


@pytest.mark.parametrize("reason", RejectionReason)
def test_every_reason_has_its_phrase_and_its_remedy(reason: RejectionReason) -> None:
    answer = Unplaceable((Rejection("std-a", reason, "why"),))
    assert answer.sentence().endswith("(why)")
    assert REMEDIES[reason]
