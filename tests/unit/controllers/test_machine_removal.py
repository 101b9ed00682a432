"""The order in which a machine goes: pod, claims, root volume, finalizer."""

from typing import Any

import pytest

from goldpool.controllers.naming import FINALIZER, STOPPED_FINALIZER
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.engine.plan import Delete, RemoveFinalizer
from goldpool.kube import resources as r
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    a_container,
    a_lease,
    a_machine,
    a_node,
    a_pod,
    a_root_of,
    a_terminated,
    a_volume,
)
from tests.unit.controllers.machines import a_claim, a_disk, a_ready_disk, observed
from tests.unit.controllers.reading import effects_of, message, names, only, reason

KEEP = {"rootVolume": {"templateRef": {"name": "debian-12"}, "reclaimPolicy": "Retain"}}
BY_REF = {"rootVolume": {"volumeRef": {"name": "web-1-root"}}}


def going(*disks: Any, pod: Obj | None = None, spec: Obj | None = None, **changes: Any) -> Any:
    return observed(a_machine(deleting=True, spec=spec or {}), *disks, pod=pod, **changes)


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


def test_a_node_that_was_deleted_lets_the_deletion_finish() -> None:
    """It will not come back as itself, and nothing is started in the machine's place."""
    found = plan(going(pod=a_pod(deleting=True), pod_node=None, pod_node_known=False))
    assert only(found, RemoveFinalizer).finalizer == STOPPED_FINALIZER


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
