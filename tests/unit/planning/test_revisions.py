"""Which of a template's copies serve new disks, while there are copies of two revisions."""

from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.planning.revisions import decides, revision_to_fetch, serves, superseded
from tests.unit.controllers.builders import OTHER_REVISION, REVISION, a_parent, a_template, ago

NEW = {"revision": REVISION}
REFETCHED = NEW | {"refetches": 1}
UNDER_WAY = NEW | {"refetch": {"token": "t1", "since": ago(60), "why": "its size was 1"}}
FETCHING = {"state": "Fetching"}


def copy(status: dict[str, Any], **spec: Any) -> Parent:
    return Parent.read(a_parent(status=status, spec=spec))


@pytest.mark.parametrize(
    ("template", "parent", "expected", "fetched"),
    [
        # serves, decides; what a fetch of it must bring
        ({}, copy(FETCHING), (True, False), None),
        (NEW, copy(FETCHING), (True, False), REVISION),  # begun before the revision was known
        (NEW, copy(FETCHING, revision=REVISION), (True, False), REVISION),
        (NEW, copy({"state": "Ready"}), (True, False), REVISION),
        (REFETCHED, copy(FETCHING), (False, False), None),  # begun for the first revision
        (REFETCHED, copy(FETCHING, revision=OTHER_REVISION), (False, False), OTHER_REVISION),
        (REFETCHED, copy({"state": "Ready", "revision": OTHER_REVISION}), (False, False), OTHER_REVISION),
        (REFETCHED, copy({"state": "Ready"}, refetch="t0"), (True, False), REVISION),
        (UNDER_WAY, copy({"state": "Ready"}), (True, False), REVISION),
        (UNDER_WAY, copy(FETCHING, refetch="t1"), (False, True), None),  # whatever is served decides
        (UNDER_WAY, copy(FETCHING, refetch="t0"), (False, False), None),  # called off
        (UNDER_WAY, copy({"state": "Published", "revision": OTHER_REVISION}, refetch="t1"),
         (False, True), OTHER_REVISION),
        # Lost and fetched again: what its children were made over, and nothing else.
        (REFETCHED, copy({"state": "Pending", "revision": OTHER_REVISION}), (False, False), OTHER_REVISION),
        (REFETCHED, copy({"state": "Pending", "revision": REVISION}, refetch="t0"), (True, False), REVISION),
    ],
)  # fmt: skip
def test_a_copy_serves_decides_or_is_superseded(
    template: dict[str, Any], parent: Parent, expected: tuple[bool, bool], fetched: str | None
) -> None:
    now = Template.read(a_template(status=template))
    assert (serves(parent, now), decides(parent, now)) == expected
    assert superseded(parent, now) is (expected == (False, False))
    assert revision_to_fetch(parent, now) == fetched
