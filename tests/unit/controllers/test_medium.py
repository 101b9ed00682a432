"""When a machine's ISO needs a place, and what the start waits for."""

from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.controllers.landscape import Reserve
from goldpool.controllers.virtualmachine.medium import needs_place
from goldpool.controllers.virtualmachine.observed import MediumView, Observed
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.controllers.virtualmachine.status import Draft
from goldpool.engine.plan import Create
from goldpool.kube.port import Obj
from goldpool.planning.placement import DiskPlacement, Placement
from goldpool.planning.views import ISO
from tests.unit.controllers.builders import (
    OTHER_REVISION,
    REVISION,
    a_condition,
    a_golden_pool,
    a_location,
    a_machine,
    a_node,
    a_parent,
    a_pinned_template,
    a_pod,
    a_pool,
    a_root_of,
)
from tests.unit.controllers.machines import a_claim, a_disk, a_ready_disk, mounted, observed, running
from tests.unit.controllers.reading import effects_of, field, message, only, reason

WANTED = {"iso": {"templateRef": {"name": "tools"}}}
PLACE = {"template": "tools", "pool": "golden-ssd", "host": "node-1", "location": "golden-ssd.node-1"}
NAMED = PLACE | {"parent": "tools-aaaaaaaa", "revision": REVISION}
EXPORT = {"scope": "Shared", "backend": {"nfs": {"server": "filer", "path": "/export"}}}
AWAY = Placement(
    (DiskPlacement(ISO, "golden-b.node-1", "golden-b", "node-1", "golden-b.node-1", "golden-b"),), ("node-1",)
)


def an_iso(**more: Any) -> Obj:
    return a_pinned_template("tools", spec={"format": "iso"}, **more)


def a_copy(state: str = "Ready", **more: Any) -> Obj:
    status = {"state": state} | more.pop("status", {})
    return a_parent("tools-aaaaaaaa", spec={"template": "tools", "format": "iso"}, status=status, **more)


def with_iso(
    iso: dict[str, str] | None = None,
    *disks: Any,
    spec: Obj | None = None,
    template: Obj | None = None,
    copies: tuple[Obj, ...] = (a_copy(),),
    golden: Obj | None = None,
    pod: Obj | None = None,
    **changes: Any,
) -> Observed:
    """A machine with all but its pod; ``iso`` is its status."""
    status = (running(pod) if pod is not None else {}) | ({"iso": iso} if iso is not None else {})
    machine = a_machine(spec=WANTED if spec is None else spec, status=status)
    pool = golden or a_golden_pool()
    parents = tuple(map(Parent.read, copies))
    view: dict[str, Any] = {
        "template": Template.read(template or an_iso()),
        "pool": StoragePool.read(pool),
        "mount": mounted(pool, a_location("golden-ssd")),
        "copies": parents,
        "parent": next((p for p in parents if iso and p.metadata.name == iso.get("parent")), None),
    } | changes.pop("medium", {})
    return observed(machine, *disks, pod=pod, medium=MediumView(**view), **changes)


def a_shared_disk() -> Any:
    """On pools that every host reaches."""
    place = {"pool": "nfs", "host": "", "parentPool": "golden-nfs"}
    root = a_root_of(
        a_machine(), made=True, spec={"placement": place}, status={"firstUsedTime": "2026-01-01T00:00:00Z"}
    )
    nfs, golden = a_pool("nfs", spec=EXPORT), a_golden_pool("golden-nfs", spec=EXPORT)
    return a_disk(root, lease=a_claim(root), pool=nfs, golden=golden)


@pytest.mark.parametrize(
    ("o", "expected"),
    [
        (with_iso(None), True),
        (with_iso(PLACE), False),
        (with_iso(NAMED), False),
        (with_iso(NAMED, spec={}), False),  # it is not wanted any more
        (with_iso(NAMED | {"template": "drivers"}), True),  # another one is
        (with_iso(PLACE, medium={"mount": None}), True),
        (with_iso(PLACE, medium={"pool": None}), True),
        (with_iso(NAMED, golden=a_golden_pool(spec={"state": "Maintenance"})), True),
        (with_iso(NAMED, golden=a_golden_pool(spec={"state": "Disabled"})), False),  # nothing new, what is there is
        (with_iso(NAMED, golden=a_golden_pool(deleting=True)), True),
        (with_iso(NAMED | {"host": "node-2"}), True),  # the disks are on node-1
        (with_iso(PLACE, copies=(a_copy("Failed"),)), True),
        (with_iso(PLACE, copies=(a_copy("Failed"), a_copy())), False),
        (with_iso(PLACE, copies=(a_copy("Fetching"),)), False),
        (with_iso(PLACE, copies=()), False),
        (with_iso(PLACE, a_shared_disk()), False),
        (with_iso(PLACE, a_shared_disk(), host_node=a_node(cordoned=True)), True),
        (with_iso(PLACE, a_shared_disk(), host_node=a_node(ready=False)), True),
        (with_iso(PLACE, a_shared_disk(), host_node=None), True),
        (with_iso(PLACE, host_node=a_node(ready=False)), False),  # the disks wait for that host, too
        (with_iso(PLACE | {"host": ""}, a_shared_disk(), host_node=None), False),
    ],
)  # fmt: skip
def test_it_gets_a_place_when_it_has_none_that_can_serve(o: Observed, *, expected: bool) -> None:
    assert needs_place(o, Draft.of(o), moving=False) is expected


def test_it_moves_with_the_disks() -> None:
    o = with_iso(NAMED)
    assert needs_place(o, Draft.of(o), moving=True)


def test_its_place_is_reserved_and_written_with_the_status() -> None:
    found = plan(with_iso(None, placement=AWAY))
    assert field(found, "iso") == PLACE | {"pool": "golden-b", "location": "golden-b.node-1"}
    assert only(found, Reserve).spot == ("tools", "golden-b.node-1")
    assert found.again_after == 0
    assert "ISO in golden-b" in str(found.effects)


@pytest.mark.parametrize(
    ("o", "why", "says"),
    [
        (
            with_iso(PLACE, copies=(a_copy("Fetching"),)),
            "WaitingForParent",
            "is being fetched to golden-ssd.node-1",
        ),
        (
            with_iso(PLACE, copies=(a_copy(status={"revision": OTHER_REVISION}),)),
            "WaitingForParent",
            "is being fetched",
        ),
        (with_iso(NAMED, copies=(a_copy("Pending"),)), "WaitingForParent", "tools-aaaaaaaa"),
        (with_iso(None, medium={"template": None}), "TemplateNotFound", "no Template tools"),
        (with_iso(None, template=an_iso(deleting=True)), "TemplateDeleting", "tools is being deleted"),
        (with_iso(None, template=a_pinned_template("tools")), "TemplateIsNoISO", "of format qcow2"),
        (
            with_iso(None, template=an_iso(status={"conditions": [a_condition("Stalled", message="404")]})),
            "TemplateFailed",
            "404",
        ),
    ],
)
def test_a_start_waits_for_it_and_says_why(o: Observed, why: str, says: str) -> None:
    found = plan(o)
    assert reason(found) == why
    assert says in message(found)
    assert not effects_of(found, Create)


@pytest.mark.parametrize(
    "template", [None, an_iso(deleting=True), an_iso(status={"conditions": [a_condition("Stalled")]})]
)
def test_a_copy_that_is_there_does_not_need_its_template(template: Obj | None) -> None:
    gone = {"medium": {"template": None}} if template is None else {"template": template}
    [pod] = effects_of(plan(with_iso(NAMED, **gone)), Create)
    assert pod.resource.kind == "Pod"


def test_a_copy_is_named_in_a_pass_of_its_own_before_the_pod_is_made() -> None:
    found = plan(with_iso(PLACE))
    assert field(found, "iso") == NAMED
    assert not effects_of(found, Create)
    assert found.again_after == 0
    assert len(effects_of(plan(with_iso(NAMED)), Create)) == 1


@pytest.mark.parametrize(
    "copies",
    [(), (a_copy("Retiring"),), (a_copy(deleting=True),), (a_copy(status={"revision": OTHER_REVISION}),)],
    ids=["gone", "retiring", "deleted", "of another revision"],
)
def test_a_copy_that_goes_is_not_named_any_more_and_keeps_its_place(copies: tuple[Obj, ...]) -> None:
    found = plan(with_iso(NAMED, copies=copies))
    assert field(found, "iso") == PLACE
    assert not effects_of(found, Create)
    assert found.again_after


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (WANTED, "the guest runs"),
        ({}, "the guest runs; ISO tools stays in its drive until it is restarted"),
        (
            {"iso": {"templateRef": {"name": "drivers"}}},
            "the guest runs; ISO drivers is inserted when it is restarted",
        ),
    ],
)
def test_what_a_pod_reads_stays_named_and_what_comes_next_is_told(spec: Obj, says: str) -> None:
    found = plan(with_iso(NAMED, spec=spec, pod=a_pod(ready=True)))
    assert message(found) == says
    assert field(found, "iso") == NAMED


def test_a_stopped_machine_forgets_what_it_does_not_want() -> None:
    found = plan(with_iso(NAMED, spec={"runStrategy": "Halted"}))
    assert field(found, "iso") is None
    assert field(plan(with_iso(NAMED, spec=WANTED | {"runStrategy": "Halted"})), "iso") == NAMED


@pytest.mark.parametrize("recorded", [PLACE, NAMED])
def test_what_is_not_wanted_any_more_is_forgotten_before_the_pod_is_made(recorded: dict[str, str]) -> None:
    """With a pod, what is recorded is what that has in its drive."""
    found = plan(with_iso(recorded, spec={}))
    assert (effects_of(found, Create), found.again_after) == ([], 0)
    assert field(found, "iso") is None
    assert len(effects_of(plan(with_iso(None, spec={})), Create)) == 1


def test_a_failed_fetch_is_avoided_and_takes_unused_disks_along() -> None:
    told = [a_condition(status="False", message="404 from the mirror")]
    failed = a_copy("Failed", status={"conditions": told})
    unused = a_disk(a_root_of(a_machine(), made=True))
    again = replace(
        AWAY,
        disks=(
            *AWAY.disks,
            DiskPlacement("root", "std-a.node-1", "std-a", "node-1", "g.node-1", "golden-ssd"),
        ),
    )
    found = plan(with_iso(PLACE, unused, copies=(failed,), placement=again))
    [avoided] = field(found, "avoid")
    assert (avoided["location"], avoided["pool"], avoided["reason"]) == (
        "golden-ssd.node-1",
        "golden-ssd",
        "ParentFailed",
    )
    assert avoided["message"] == "404 from the mirror"
    assert [type(e).__name__ for e in found.effects] == ["Reserve", "Bind", "Record"]
    used = plan(with_iso(PLACE, a_ready_disk(), copies=(failed,), placement=AWAY))
    assert [type(e).__name__ for e in used.effects] == ["Reserve", "Record"]
