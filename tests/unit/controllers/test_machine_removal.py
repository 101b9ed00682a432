"""The order in which a machine goes: pod, claims, root volume, finalizer."""

from typing import Any

import pytest

from goldpool.controllers.naming import FINALIZER, STOPPED_FINALIZER
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Delete, Patch, Record, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    a_container,
    a_lease,
    a_machine,
    a_node,
    a_pod,
    a_pool,
    a_root_of,
    a_terminated,
    a_volume,
)
from tests.unit.controllers.machines import a_claim, a_disk, a_ready_disk, observed
from tests.unit.controllers.reading import effects_of, message, names, only, reason

KEEP = {"rootVolume": {"templateRef": {"name": "debian-12"}, "reclaimPolicy": "Retain"}}
BY_REF = {"rootVolume": {"volumeRef": {"name": "web-1-root"}}}


def going(
    *disks: Any,
    pod: Obj | None = None,
    spec: Obj | None = None,
    annotations: Obj | None = None,
    **changes: Any,
) -> Any:
    machine = a_machine(deleting=True, spec=spec or {}, annotations=annotations or {})
    return observed(machine, *disks, pod=pod, **changes)


def test_the_pod_goes_first_and_nothing_else() -> None:
    found = plan(going(pod=a_pod(ready=True)))
    assert names(found) == ["Delete"]
    assert only(found, Delete).resource is r.POD
    assert reason(found) == "Terminating"


def test_a_pod_on_its_way_out_is_waited_for() -> None:
    found = plan(going(pod=a_pod(deleting=True, containers=[a_container()])))
    assert (found.effects, message(found)) == ((), "the guest is shutting down")


@pytest.mark.parametrize("node", [None, a_node(ready=False)])
def test_a_lost_host_holds_up_the_deletion_and_is_named(node: Any) -> None:
    found = plan(going(pod=a_pod(deleting=True), pod_node=node))
    assert found.effects == ()
    assert "node-1 does not answer" in message(found)


def test_the_pods_finalizer_goes_once_its_end_is_proven() -> None:
    found = plan(going(pod=a_pod(deleting=True, containers=[a_terminated()])))
    assert only(found, RemoveFinalizer).finalizer == STOPPED_FINALIZER


GONE: Obj = {"pod_node": None, "pod_node_known": False}
SILENT: Obj = {"pod_node": a_node(ready=False)}


@pytest.mark.parametrize(
    ("abandon", "node", "held", "finishes"),
    [
        (None, GONE, True, True),
        ("node-1", SILENT, True, True),
        (None, SILENT, True, False),
        ("node-2", SILENT, True, False),
        ("", SILENT, True, False),
        ("node-1", {"pod_node": a_node()}, True, False),
        ("node-1", GONE, True, True),
    ],
    ids=["deleted", "given up", "silent", "another given up", "nothing named", "it answers", "both"],
)
def test_a_lost_host_lets_the_deletion_finish_once_it_is_deleted_or_given_up_by_name(
    abandon: str | None, node: Obj, held: bool, finishes: bool
) -> None:
    annotations = {} if abandon is None else {"goldpool.io/abandon": abandon}
    found = plan(going(pod=a_pod(deleting=True), annotations=annotations, **node))
    assert [e.finalizer for e in effects_of(found, RemoveFinalizer)] == [STOPPED_FINALIZER] * finishes
    assert [e.reason for e in effects_of(found, Record)] == ["Abandoned"] * finishes
    assert effects_of(found, Patch) == [], (
        "only the lost host reaches the disk: its claim is given back as ever"
    )


@pytest.mark.parametrize(
    ("abandon", "words"),
    [
        (None, "kubectl annotate -n team-a virtualmachine web-1 goldpool.io/abandon=node-1"),
        ("node-2", "says 'node-2', but only 'node-1' can be given up"),
    ],
)
def test_a_lost_host_that_is_waited_for_comes_with_the_way_out(abandon: str | None, words: str) -> None:
    annotations = {"goldpool.io/abandon": abandon} if abandon else {}
    assert words in message(plan(going(pod=a_pod(deleting=True), annotations=annotations, **SILENT)))


def test_the_pods_object_on_a_host_that_was_given_up_is_not_waited_for() -> None:
    """Only its kubelet could end it. The root volume, of the same host, is given up with the machine."""
    annotations = {"goldpool.io/abandon": "node-1"}
    pod = a_pod(deleting=True, finalizers=[])
    found = plan(going(pod=pod, annotations=annotations, **SILENT))
    assert [(type(e).__name__, e.resource.kind) for e in found.effects] == [  # type: ignore[attr-defined]
        ("Delete", "Lease"),
        ("Patch", "Volume"),
        ("Delete", "Volume"),
        ("RemoveFinalizer", "VirtualMachine"),
    ]
    assert only(found, Patch).patch == {"metadata": {"annotations": annotations}}


@pytest.mark.parametrize("node", [GONE, SILENT], ids=["deleted", "given up"])
def test_claims_that_another_host_could_use_are_kept_when_a_host_is_given_up(node: Obj) -> None:
    """Its process may still write to the Shared pool: nobody else gets the disk."""
    shared = a_pool("nfs", spec={"scope": "Shared"})
    disk = a_ready_disk(pool=shared)
    annotations = {"goldpool.io/abandon": "node-1"}
    found = plan(going(disk, pod=a_pod(deleting=True), annotations=annotations, **node))
    assert names(found) == ["Patch", "Record", "RemoveFinalizer"]
    assert only(found, Patch).patch == {"metadata": {"annotations": {"goldpool.io/abandoned": "node-1"}}}

    assert disk.volume is not None
    lease = a_claim(a_root_of(a_machine(), made=True))
    lease["metadata"]["annotations"]["goldpool.io/abandoned"] = "node-1"
    kept = a_ready_disk(pool=shared, lease=lease)
    after = plan(going(kept, annotations=annotations))
    assert [e.resource.kind for e in effects_of(after, Delete)] == ["Volume"]
    assert only(after, RemoveFinalizer).resource is r.VIRTUAL_MACHINE


def test_then_the_claims_the_root_volume_and_the_finalizer() -> None:
    found = plan(going())
    assert [(type(e).__name__, e.resource.kind) for e in found.effects] == [  # type: ignore[attr-defined]
        ("Delete", "Lease"),
        ("Delete", "Volume"),
        ("RemoveFinalizer", "VirtualMachine"),
    ]
    assert only(found, RemoveFinalizer).finalizer == FINALIZER


@pytest.mark.parametrize(
    ("spec", "root"),
    [
        (KEEP, a_root_of(a_machine(), made=True)),
        ({}, a_volume(made=True)),
        (BY_REF, a_volume(made=True)),
        ({}, a_root_of(a_machine(uid="uid-of-an-earlier-web-1"), made=True)),
        ({}, a_root_of(a_machine(), made=True, deleting=True)),
    ],
    ids=["retained", "a namesake", "by reference", "an earlier machine's", "going already"],
)
def test_only_the_volume_made_for_it_goes_with_the_machine(spec: Obj, root: Obj) -> None:
    found = plan(going(a_disk(root, lease=a_claim(root)), spec=spec))
    assert [e.resource for e in effects_of(found, Delete)] == [r.LEASE]


def test_attached_volumes_outlive_the_machine_and_only_its_own_claims_are_given_back() -> None:
    data, other = a_volume("web-1-data", made=True), a_volume("shared-data", made=True)
    disks = (
        a_ready_disk(),
        a_disk(data, name="data", root=False, lease=a_claim(data)),
        a_disk(other, name="other", root=False, lease=a_lease(other, holder="uid-web-2")),
    )
    gone = [(e.resource.kind, e.name) for e in effects_of(plan(going(*disks)), Delete)]
    assert gone == [
        ("Lease", "volume-uid-web-1-root"),
        ("Lease", "volume-uid-web-1-data"),
        ("Volume", "web-1-root"),
    ]


def test_a_machine_without_anything_goes_at_once() -> None:
    assert names(plan(going(a_disk(None)))) == ["RemoveFinalizer"]


def test_what_others_hold_up_is_none_of_ours() -> None:
    found = plan(observed(a_machine(deleting=True, finalizers=["example.com/other"]), pod=a_pod()))
    assert (found.effects, found.status) == ((), None)
