"""Which finalizers may be taken off."""

from typing import Any

import pytest

from goldpool import app
from goldpool.cli.commands import release
from goldpool.cli.leaving import LABEL_VM_UID, may_write, releases
from goldpool.controllers import naming
from goldpool.kube import resources as r
from goldpool.kube.port import Obj

OURS, THEIRS = naming.FINALIZER, "example.com/theirs"


def an_object(name: str, *finalizers: str, deleting: bool = False, **metadata: Any) -> Obj:
    ends = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {}
    given = {"name": name, "uid": f"{name}-uid", "resourceVersion": "5", "finalizers": list(finalizers)}
    return {"metadata": given | ends | metadata}


def a_pod(name: str = "web-pod", *states: str, node: str = "node-1", phase: str = "Running") -> Obj:
    pod = an_object(
        name, naming.STOPPED_FINALIZER, namespace="goldpool-data", labels={LABEL_VM_UID: "web-uid"}
    )
    statuses = [{"name": "machine", "state": {state: {}}} for state in states]
    return pod | {
        "spec": {"nodeName": node, "containers": [{"name": "machine"}]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


def named(found: dict[Any, list[Obj]], **wishes: Any) -> dict[str, str]:
    return {each.name: each.kept for each in releases(found, **wishes)}


def test_only_what_bears_our_finalizer_is_released_users_first() -> None:
    found = {
        r.STORAGE_POOL: [an_object("p", OURS), an_object("free")],
        r.VOLUME: [an_object("v", OURS, namespace="team")],
        r.TEMPLATE: [an_object("t", THEIRS)],
    }
    assert list(named(found)) == ["Volume/team/v", "StoragePool/p"]


def test_others_finalizers_stay() -> None:
    [each] = releases({r.VOLUME: [an_object("v", OURS, THEIRS)]})
    assert each.patch() == {"metadata": {"resourceVersion": "5", "finalizers": [THEIRS]}}


def test_names_and_terminating_choose() -> None:
    found = {r.VOLUME: [an_object("a", OURS), an_object("b", OURS, deleting=True)]}
    assert list(named(found, names=["volume/a"])) == ["Volume/a"]
    assert list(named(found, names=["Volume/b"])) == ["Volume/b"]
    assert list(named(found, terminating=True)) == ["Volume/b"]
    with pytest.raises(KeyError, match="volume/c"):
        named(found, names=["volume/a", "volume/c"])


@pytest.mark.parametrize(
    ("pod", "writes"),
    [
        (a_pod("p", "running"), True),
        (a_pod("p", "terminated"), False),
        (a_pod("p", "waiting"), True),
        (a_pod("p"), True),  # the kubelet has said nothing yet
        (a_pod("p", phase="Failed"), True),  # phase alone proves nothing
        (a_pod("p", node=""), False),
    ],
)
def test_only_the_kubelet_proves_an_end(pod: Obj, writes: bool) -> None:
    assert may_write(pod) is writes


def test_a_machine_whose_pod_runs_is_kept_and_so_is_the_pod() -> None:
    found = {
        r.VIRTUAL_MACHINE: [an_object("web", OURS), an_object("db", OURS)],
        r.POD: [a_pod("web-pod", "running")],
    }
    assert named(found) == {
        "VirtualMachine/web": "its pod web-pod runs: stop it first",
        "VirtualMachine/db": "",
        "Pod/goldpool-data/web-pod": "its containers have not ended on node node-1",
    }


def test_a_machine_whose_pod_ended_is_released_with_it() -> None:
    found = {r.VIRTUAL_MACHINE: [an_object("web", OURS)], r.POD: [a_pod("web-pod", "terminated")]}
    assert not any(named(found).values())


def test_the_operator_calls_things_by_the_same_names() -> None:
    assert release.LEASE_NAME == app.LEASE_NAME
    assert LABEL_VM_UID == naming.LABEL_VM_UID
