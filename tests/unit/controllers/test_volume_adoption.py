"""A restored object, and the disk of the object that was backed up."""

from typing import Any

import pytest

from goldpool.contracts.report import Adopted, FailureReason
from goldpool.controllers.volume import plan
from goldpool.dispatch.outcome import Failed, Succeeded
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Patch
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    GIB,
    OTHER_REVISION,
    REVISION,
    a_blank_volume,
    a_parent,
    a_volume,
    ago,
)
from tests.unit.controllers.reading import (
    asked,
    effects_of,
    field,
    is_ready,
    is_stalled,
    only,
    reason,
    settled,
)
from tests.unit.controllers.volumes import HERE, TAKEN, observed


def restored(uid: str | None = "uid-of-the-object-that-was-backed-up", **more: Any) -> Obj:
    placement = {"pool": "std-a", "host": "node-1", "parentPool": "golden-ssd", "volumeUID": uid}
    return a_volume(spec={"placement": placement}, **more)


@pytest.mark.parametrize("uid", [None, "uid-of-the-object-that-was-backed-up"])
def test_a_restored_object_asks_for_its_disk_and_makes_none(uid: str | None) -> None:
    adoption = asked(plan(observed(restored(uid), candidates=[a_parent()])))
    assert (adoption.kind, adoption.storage_id, adoption.owner.uid) == (
        "Adopt",
        "v-aaaaaaaa",
        "uid-web-1-root",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rivals": ("Volume team-a/other",)}, "VolumeRestored"),
        ({"place": None}, "VolumeRestored"),
        ({"adoption": TAKEN}, "VolumeRestored"),
        ({"adoption": Failed(FailureReason.VOLUME_MISSING, "not here", permanent=False)}, "VolumeLost"),
    ],
)
def test_it_touches_nothing_while_somebody_else_has_the_disk_or_nobody(changes: Any, expected: str) -> None:
    found = plan(observed(restored(), **changes))
    assert (found.effects, reason(found), is_stalled(found)) == ((), expected, True)
    assert found.again_after is not None


def test_what_it_took_over_is_recorded_before_it_is_bound() -> None:
    found = Adopted(index=0, virtual_bytes=2 * GIB, parent="debian-12-gone", revision=REVISION)
    first = plan(observed(restored(), adoption=Succeeded(adopted=found)))
    assert (field(first, "adoptedUID"), field(first, "revision")) == ("uid-web-1-root", REVISION)
    assert (field(first, "createdTime"), field(first, "parent"), settled(first)) == (None, None, [])
    assert effects_of(first, Patch) == []
    assert first.status is not None
    then = plan(observed(restored(status=first.status), adoption=Succeeded(adopted=found)))
    assert only(then, Patch).patch == {"spec": {"placement": {"volumeUID": "uid-web-1-root"}}}
    assert settled(then) == ["adopt/v-aaaaaaaa/uid-web-1-root"]


ADOPTED = HERE | {"adoptedUID": "uid-web-1-root", "revision": REVISION}


def test_an_adopted_child_takes_any_copy_of_its_revision_named_first_and_read_afresh() -> None:
    copy = a_parent("debian-12-bbbbbbbb")
    waiting = plan(observed(a_volume(status=ADOPTED)))
    assert (effects_of(waiting, Ask), reason(waiting)) == ([], "WaitingForParent")
    named = plan(observed(a_volume(status=ADOPTED), candidates=[copy]))
    assert (named.effects, field(named, "parent"), field(named, "createdTime")) == (
        (),
        "debian-12-bbbbbbbb",
        None,
    )
    over = a_volume(status=ADOPTED | {"parent": "debian-12-bbbbbbbb"})
    done = plan(observed(over, candidates=[copy], fresh=copy))
    assert (effects_of(done, Ask), field(done, "createdTime"), is_ready(done)) == ([], ago(0), True)
    gone = plan(observed(over, candidates=[copy]))
    assert (field(gone, "parent"), field(gone, "revision"), field(gone, "createdTime")) == (
        None,
        REVISION,
        None,
    )


def test_an_adopted_empty_disk_needs_no_copy() -> None:
    status = {"storageID": "v-aaaaaaaa", "location": "std-a.node-1", "adoptedUID": "uid-web-1-data"}
    found = plan(observed(a_blank_volume(status=status)))
    assert (found.effects, field(found, "createdTime"), is_ready(found)) == ((), ago(0), True)


def test_an_adopted_child_is_not_laid_over_another_revision() -> None:
    status = ADOPTED | {"revision": OTHER_REVISION}
    found = plan(observed(a_volume(status=status), candidates=[a_parent()]))
    assert (found.effects, reason(found), is_stalled(found)) == ((), "RevisionMismatch", True)
