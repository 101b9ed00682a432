"""How long a parent stays."""

from datetime import UTC, datetime, timedelta

import pytest

from goldpool.api.parent import Parent
from goldpool.planning.references import users_of_parent
from goldpool.planning.retention import Keep, KeepReason, Retire, is_last_named_copy, judge
from tests.unit.planning.builders import a_parent, a_registered_template, a_volume

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def judged(parent: Parent, **changes: object) -> Keep | Retire:
    known = {"template": a_registered_template(), "copies": [parent], "volumes": []} | changes
    users = users_of_parent(parent, known["volumes"])  # type: ignore[arg-type]
    return judge(parent, known["template"], users, known["copies"], known["volumes"], now=NOW)  # type: ignore[arg-type]


def since(age: timedelta) -> str:
    return (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_parent_in_use_stays_and_is_not_unused() -> None:
    volume = a_volume(bound_to=("std-a", "node-1"), parent="par-1")
    assert judged(a_parent(unusedSince=since(9 * HOUR)), volumes=[volume]) == Keep(KeepReason.IN_USE)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, Keep(KeepReason.RETAINED, NOW, NOW + HOUR)),  # the unused time starts now
        (timedelta(minutes=59), Keep(KeepReason.RETAINED, NOW - timedelta(minutes=59), NOW + timedelta(minutes=1))),
        (HOUR, Retire(NOW - HOUR)),
        (2 * HOUR, Retire(NOW - 2 * HOUR)),
    ],
)  # fmt: skip
def test_an_unused_parent_goes_after_the_templates_retention(
    age: timedelta | None, expected: Keep | Retire
) -> None:
    parent = a_parent(unusedSince=since(age) if age is not None else None)
    assert judged(parent) == expected


def test_a_prepared_parent_stays_as_long_as_the_template_wants_it() -> None:
    parent = a_parent(unusedSince=since(9 * HOUR))
    assert judged(parent, template=a_registered_template(prepare=["golden-ssd"])) == Keep(KeepReason.PREPARED)
    assert isinstance(judged(parent, template=a_registered_template(prepare=["other"])), Retire)


def test_a_fallback_goes_with_its_last_user_and_is_never_prepared() -> None:
    fallback = a_parent(pool="std-a", fallback=True)
    assert judged(fallback) == Retire(NOW)
    assert judged(fallback, template=a_registered_template(prepare=["std-a"])) == Retire(NOW)
    volume = a_volume(bound_to=("std-a", "node-1"), parent_pool="std-a", parent="par-1")
    assert judged(fallback, volumes=[volume]) == Keep(KeepReason.IN_USE)


def test_of_two_unused_copies_the_golden_one_stays_as_the_last() -> None:
    golden, fallback = a_parent("par-2"), a_parent("par-1", pool="std-a", fallback=True)
    named = a_volume(bound_to=("std-a", "node-5"), parent="lost", revision="r1")
    assert is_last_named_copy(golden, [golden, fallback], [named])
    assert not is_last_named_copy(fallback, [golden, fallback], [named])
    assert is_last_named_copy(fallback, [fallback], [named])


@pytest.mark.parametrize("template", [None, a_registered_template(deleted="x", prepare=["golden-ssd"])])
def test_without_a_template_an_unused_parent_goes_at_once(template: object) -> None:
    assert judged(a_parent(), template=template) == Retire(NOW)


def test_a_deleted_parent_goes_at_once_when_unused() -> None:
    assert judged(a_parent(deleted="x"), template=a_registered_template(prepare=["golden-ssd"])) == Retire(
        NOW
    )


def test_the_last_copy_of_a_revision_that_a_volume_names_is_never_deleted() -> None:
    parent = a_parent("par-1", unusedSince=since(9 * HOUR))
    elsewhere = a_volume(bound_to=("std-a", "node-5"), parent_pool="golden-b", parent="lost", revision="r1")
    kept = judged(parent, volumes=[elsewhere], template=None)
    assert kept == Keep(KeepReason.LAST_COPY, NOW - 9 * HOUR)
    assert isinstance(
        judged(parent, volumes=[elsewhere], template=None, copies=[parent, a_parent("par-0")]), Retire
    )


@pytest.mark.parametrize(
    "other",
    [
        a_parent("par-0", state="Retiring"),
        a_parent("par-0", state="Failed"),
        a_parent("par-0", revision="r2"),
        a_parent("par-0", deleted="x"),
    ],
)  # fmt: skip
def test_a_copy_that_may_go_does_not_count_as_another(other: Parent) -> None:
    named = a_volume(bound_to=("std-a", "node-5"), parent="lost", revision="r1")
    assert is_last_named_copy(a_parent("par-1"), [other], [named])


def test_two_unused_copies_never_go_for_each_others_sake() -> None:
    """Both may be judged from the same cache at once, so exactly one is the one that stays."""
    copies = [a_parent("par-1"), a_parent("par-2", host="node-2")]
    named = a_volume(bound_to=("std-a", "node-5"), parent="lost", revision="r1")
    assert [is_last_named_copy(copy, copies, [named]) for copy in copies] == [True, False]
    user = a_volume("user", bound_to=("std-a", "node-2"), parent="par-2", revision="r1")
    assert not is_last_named_copy(copies[0], copies, [named, user])
