"""What a Template needs next."""

from typing import Any

import pytest

from goldpool.api.references import Blocker
from goldpool.controllers.naming import FINALIZER, LABEL_TEMPLATE_UID, RETRY_ANNOTATION, source_hash
from goldpool.controllers.template import Observed, Wanted, plan
from goldpool.engine.plan import Create, Record, RemoveFinalizer
from goldpool.kube.port import Obj
from goldpool.planning.references import Users
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    SOURCE_HASH,
    a_parent,
    a_pinned_template,
    a_template,
    ago,
)
from tests.unit.controllers.reading import (
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
from tests.unit.controllers.templates import a_failed, a_fetching, observed, wanted


def test_the_finalizer_comes_before_the_first_copy() -> None:
    assert names(plan(observed(a_template(finalizers=[])))) == ["AddFinalizer"]


def test_each_wanted_location_gets_a_copy_of_its_own_name() -> None:
    found = plan(observed(a_pinned_template(), wanted=(wanted("node-1"), wanted("node-2"))))
    first, second = (e.obj for e in effects_of(found, Create))
    assert (first["metadata"]["name"], second["metadata"]["name"]) == ("debian-12-token0", "debian-12-token1")
    assert first["metadata"]["finalizers"] == [FINALIZER]
    assert first["metadata"]["labels"][LABEL_TEMPLATE_UID] == "uid-debian-12"
    assert first["spec"] == {
        "template": "debian-12",
        "templateUID": "uid-debian-12",
        "pool": "golden-ssd",
        "location": "golden-ssd.node-1",
        "host": "node-1",
        "format": "qcow2",
        "sourceHash": SOURCE_HASH,
        "revision": REVISION,
        "fallback": False,
    }


@pytest.mark.parametrize(
    ("parent", "missing"),
    [
        (a_parent(), False),
        (a_fetching(), False),
        (a_failed(), False),  # tried again under its own name
        (a_failed(permanent=True), False),
        (a_parent(status={"state": None}), False),
        (a_parent(status={"state": "Retiring"}), True),  # it may be gone soon
        (a_parent(deleting=True), True),
        (a_parent(host="node-2"), True),
        (a_parent(spec={"sourceHash": "of an earlier source"}), True),
    ],
    ids=[
        "ready",
        "fetching",
        "failed",
        "hopeless",
        "new",
        "retiring",
        "deleted",
        "elsewhere",
        "of another source",
    ],
)
def test_a_location_with_a_copy_that_can_serve_wants_no_second(parent: Obj, missing: bool) -> None:
    assert bool(effects_of(plan(observed(parents=(parent,))), Create)) is missing


def test_without_direct_download_nothing_is_fetched() -> None:
    found = plan(observed(a_template(spec={"directDownload": False})))
    assert found.effects == ()
    assert (reason(found), is_stalled(found)) == ("ImageStoreRequired", True)


# -- the revision


@pytest.mark.parametrize("state", ["Published", "Ready"])
def test_the_first_published_copy_decides_the_revision(state: str) -> None:
    first = a_parent("p-2", status={"state": state, "publishedTime": ago(60)})
    later = {"state": "Published", "publishedTime": ago(30), "revision": OTHER_REVISION, "size": "7Gi"}
    found = plan(observed(parents=(a_parent("p-1", host="node-2", status=later), first)))
    assert field(found, "revision") == REVISION
    assert (field(found, "size"), field(found, "virtualSize")) == ("1Gi", "2Gi")


@pytest.mark.parametrize(
    "parent",
    [
        a_parent(status={"state": "Failed", "revision": REVISION}),
        a_parent(status={"state": "Retiring"}),
        a_parent(spec={"sourceHash": "of an earlier source"}),
        a_fetching(),
    ],
    ids=["failed", "retiring", "of another source", "fetching"],
)
def test_no_other_copy_decides_it(parent: Obj) -> None:
    assert field(plan(observed(parents=(parent,))), "revision") is None


def test_a_revision_never_changes() -> None:
    other = a_parent(status={"revision": OTHER_REVISION, "publishedTime": ago(9999)})
    assert field(plan(observed(a_pinned_template(), parents=(other,))), "revision") == REVISION


def test_sizes_outlive_the_last_copy() -> None:
    found = plan(observed(a_pinned_template(), wanted=()))
    assert (field(found, "size"), field(found, "virtualSize")) == ("1Gi", "2Gi")


# -- what it says


@pytest.mark.parametrize(
    ("parents", "want", "expected", "ready"),
    [
        ((), (), "NoCopyWanted", True),
        ((), (wanted(),), "Fetching", False),
        ((a_fetching(),), (wanted(),), "Fetching", False),
        ((a_parent(),), (wanted(),), "Ready", True),
        ((a_parent(),), (wanted(), wanted("node-2")), "Fetching", False),
        ((a_parent(), a_failed(host="node-2")), (wanted(), wanted("node-2")), "FetchFailed", False),
        ((a_failed(),), (wanted(),), "FetchFailed", False),
        ((a_parent(),), (), "Ready", True),
    ],
)
def test_what_a_template_says_of_itself(
    parents: tuple[Obj, ...], want: tuple[Wanted, ...], expected: str, ready: bool
) -> None:
    found = plan(observed(parents=parents, wanted=want))
    assert (reason(found), is_ready(found), is_stalled(found)) == (expected, ready, False)


def test_a_wrong_source_stalls_the_template_and_names_the_remedy() -> None:
    found = plan(observed(parents=(a_failed(permanent=True),)))
    assert (reason(found), is_stalled(found)) == ("SourceInvalid", True)
    assert "node-1: 404 from the mirror" in message(found)
    assert RETRY_ANNOTATION in message(found)


def test_a_copy_that_is_good_proves_the_source() -> None:
    found = plan(observed(parents=(a_parent(host="node-2"), a_failed(permanent=True))))
    assert not is_stalled(found)


@pytest.mark.parametrize(
    ("parents", "reconciling", "degraded"),
    [
        ((a_parent(), a_failed(host="node-2")), True, "CopiesFailed"),
        # Nothing more is tried by itself, and machines still have a good copy: neither Reconciling nor Stalled.
        ((a_parent(), a_failed(permanent=True, host="node-2")), False, "CopiesFailed"),
        ((a_failed(host="node-2"),), True, None),
        ((a_parent(),), True, None),
    ],
)
def test_a_template_with_good_and_failed_copies_is_degraded_and_names_their_pools(
    parents: tuple[Obj, ...], reconciling: bool, degraded: str | None
) -> None:
    found = plan(observed(parents=parents, wanted=(wanted(), wanted("node-2"))))
    conditions = {c["type"]: c for c in field(found, "conditions")}
    assert ("Reconciling" in conditions, is_stalled(found)) == (reconciling, False)
    assert conditions.get("Degraded", {}).get("reason") == degraded
    if degraded:
        assert conditions["Degraded"]["message"].startswith("1 copies failed in golden-ssd: node-2: 404")


@pytest.mark.parametrize(
    ("checksum", "verified", "status", "says"),
    [
        (None, "", "False", f"sha256:{REVISION}, binds all other copies"),
        (None, "sha512", "True", "the declared sha512"),  # a metalink's
        ("sha256:" + REVISION, "sha256", "True", "the declared sha256"),
        ("sha256:" + REVISION, "", "True", "the declared checksum"),  # fetched before that was recorded
    ],
)
def test_a_template_says_whether_its_bytes_were_compared_with_a_checksum(
    checksum: str | None, verified: str, status: str, says: str
) -> None:
    template = a_template(spec={"checksum": checksum} if checksum else {})
    hashed = source_hash(template["spec"])
    copy = a_parent(
        spec={"sourceHash": hashed},
        status={"state": "Published", "verified": verified or None, "publishedTime": ago(1)},
    )
    found = plan(observed(template, parents=(copy,)))
    (condition,) = (c for c in field(found, "conditions") if c["type"] == "Verified")
    assert condition["status"] == status
    assert says in condition["message"]
    pinned = a_template(spec=template["spec"], status=found.status)
    later = plan(observed(pinned, wanted=()))
    assert [c["message"] for c in field(later, "conditions") if c["type"] == "Verified"] == [
        condition["message"]
    ], "it outlives the copy"


def test_before_anything_was_fetched_nothing_is_verified() -> None:
    assert "Verified" not in {c["type"] for c in field(plan(observed(parents=(a_fetching(),))), "conditions")}


def test_failed_copies_of_an_earlier_source_stall_nothing() -> None:
    old = a_failed(permanent=True, spec={"sourceHash": "of an earlier source"})
    assert not is_stalled(plan(observed(parents=(old,))))


def test_copies_are_counted_per_pool() -> None:
    parents = (
        a_parent("p-1"),
        a_parent("p-2", host="node-2", status={"state": "Published"}),
        a_failed(name="p-3", host="node-3"),
        a_parent("p-4", pool="golden-nvme"),
        a_parent("p-5", host="node-4", status={"state": "Retiring"}),
    )
    found = plan(
        observed(
            parents=parents,
            wanted=tuple(wanted(f"node-{n}") for n in (1, 2, 3, 4)),
            children={"golden-ssd": 7, "std-a": 1},
        )
    )
    refs = {ref["pool"]: ref for ref in field(found, "poolRefs")}
    ssd = {
        "pool": "golden-ssd",
        "wanted": 4,
        "ready": 1,
        "superseded": 0,
        "fetching": 1,
        "failed": 1,
        "children": 7,
        "digest": REVISION,
    }
    assert refs["golden-ssd"] == ssd
    assert (refs["golden-nvme"]["ready"], refs["golden-nvme"]["wanted"]) == (1, 0)
    assert (refs["std-a"]["children"], refs["std-a"]["digest"]) == (1, "")
    assert (field(found, "children"), field(found, "copies")) == (8, "2/4")


def test_status_stays_bounded() -> None:
    parents = tuple(a_failed(name=f"p-{n}", host=f"node-{n}") for n in range(30))
    pools = {f"pool-{n:03}": 1 for n in range(80)}
    found = plan(observed(parents=parents, children=pools))
    assert (len(field(found, "exceptions")), len(field(found, "poolRefs"))) == (20, 64)


def test_a_turn_is_told_once() -> None:
    told = plan(observed(parents=(a_parent(),)))
    assert only(told, Record).reason == "Ready"
    again = a_template(status={"conditions": field(told, "conditions")})
    assert plan(observed(again, parents=(a_parent(),))).effects == ()


# -- removal


def deleted(**changes: Any) -> Observed:
    return observed(a_pinned_template(deleting=True), **({"wanted": ()} | changes))


def test_users_hold_up_the_deletion_and_are_named() -> None:
    users = Users((Blocker(kind="Volume", namespace="team-a", name="web-1-root"),), 1)
    found = plan(deleted(users=users, parents=(a_parent(),)))
    assert names(found) == ["Record"]
    assert condition(found, "DeletionBlocked") is not None
    assert "Volume team-a/web-1-root" in message(found)
    assert field(found, "blockersTotal") == 1


def test_copies_go_by_themselves_before_the_template() -> None:
    found = plan(deleted(parents=(a_parent(),)))
    assert (found.effects, reason(found)) == ((), "Terminating")


def test_the_finalizer_goes_last() -> None:
    assert only(plan(deleted()), RemoveFinalizer).finalizer == FINALIZER


def test_what_others_hold_up_is_none_of_ours() -> None:
    found = plan(observed(a_template(deleting=True, finalizers=["example.com/other"])))
    assert (found.effects, found.status) == ((), None)
