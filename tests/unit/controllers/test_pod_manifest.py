"""What a machine's pod may see and do."""

import json
from dataclasses import replace
from typing import Any

import pytest

from goldpool.api.parent import Parent
from goldpool.api.storagepool import StoragePool
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.controllers.naming import PARENTS_ANNOTATION, STOPPED_FINALIZER
from goldpool.controllers.virtualmachine.observed import MediumView, Observed
from goldpool.controllers.virtualmachine.pod import pod_manifest
from goldpool.kube.port import Obj
from tests.unit.controllers.builders import (
    DATA,
    GIB,
    REVISION,
    a_blank_volume,
    a_golden_pool,
    a_location,
    a_machine,
    a_parent,
    a_pinned_template,
    a_pool,
    a_root_of,
    ago,
)
from tests.unit.controllers.machines import PODS, a_claim, a_disk, a_ready_disk, mounted, observed

EXPORT = {"scope": "Shared", "backend": {"nfs": {"server": "filer", "path": "/export"}}}
ON_NFS = {"pool": "nfs", "host": "", "parentPool": "golden-nfs"}


def two_disks() -> Observed:
    data = a_blank_volume(
        made=True, spec={"storageID": "v-bbbbbbbb"}, status={"parent": None, "revision": None}
    )
    return observed(None, a_ready_disk(), a_disk(data, name="data", root=False, lease=a_claim(data)))


def shared(machine: Obj | None = None, *, host: str = "", pool: Obj | None = None) -> Observed:
    """Root on a Shared pool, its parent too."""
    raw = machine or a_machine()
    root = a_root_of(raw, made=True, spec={"placement": ON_NFS | {"host": host}})
    nfs, golden = pool or a_pool("nfs", spec=EXPORT), a_golden_pool("golden-nfs", spec=EXPORT)
    return observed(raw, a_disk(root, lease=a_claim(root), pool=nfs, golden=golden))


def spec_of(o: Observed) -> dict[str, Any]:
    spec: dict[str, Any] = pod_manifest(o)["spec"]
    return spec


def terms(o: Observed) -> Any:
    affinity = spec_of(o)["affinity"]["nodeAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return term


def test_it_has_no_token_and_no_rights() -> None:
    spec = spec_of(observed())
    [container] = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


def test_it_sees_only_its_own_directories_and_its_parents_read_only() -> None:
    spec = spec_of(two_disks())
    volumes = {v["name"]: v for v in spec["volumes"]}
    mounts = {m["name"]: m for m in spec["containers"][0]["volumeMounts"]}
    paths = {n: (v["hostPath"]["path"], v["hostPath"]["type"]) for n, v in volumes.items() if "hostPath" in v}
    assert paths == {
        "disk-0": ("/srv/std-a/volumes/v-aaaaaaaa", "Directory"),
        "parent-0": ("/srv/golden-ssd/templates/debian-12-aaaaaaaa", "Directory"),
        "disk-1": ("/srv/std-a/volumes/v-bbbbbbbb", "Directory"),
    }
    assert {n: m.get("readOnly", False) for n, m in mounts.items() if n in paths} == {
        "disk-0": False,
        "parent-0": True,
        "disk-1": False,
    }
    assert mounts["disk-0"]["mountPath"] == "/disks/v-aaaaaaaa"
    assert mounts["parent-0"]["mountPath"] == "/parents/debian-12-aaaaaaaa"


def test_disks_of_one_parent_mount_it_once() -> None:
    other = a_root_of(a_machine("web-2"), made=True, spec={"storageID": "v-cccccccc"})
    o = observed(None, a_ready_disk(), a_disk(other, name="data", root=False, lease=a_claim(other)))
    mounts = [m["mountPath"] for m in spec_of(o)["containers"][0]["volumeMounts"]]
    assert len(mounts) == len(set(mounts))
    assert {v["name"] for v in spec_of(o)["volumes"]} == {
        m["name"] for m in spec_of(o)["containers"][0]["volumeMounts"]
    }


def test_on_an_export_it_is_narrowed_by_sub_paths() -> None:
    mounts = {m["name"]: m for m in spec_of(shared())["containers"][0]["volumeMounts"]}
    assert mounts["disk-0"]["subPath"] == "volumes/v-aaaaaaaa"
    assert (mounts["parent-0"]["subPath"], mounts["parent-0"]["readOnly"]) == (
        "templates/debian-12-aaaaaaaa",
        True,
    )


def test_it_stays_until_its_end_is_proven_and_a_drain_takes_it_for_managed() -> None:
    metadata = pod_manifest(observed())["metadata"]
    assert metadata["namespace"] == DATA
    assert metadata["finalizers"] == [STOPPED_FINALIZER]
    [owner] = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "Lease", "volume-uid-web-1-root", "uid-volume-uid-web-1-root", True,
    )  # fmt: skip


def test_it_is_a_witness_against_the_removal_of_its_parents() -> None:
    assert pod_manifest(two_disks())["metadata"]["annotations"][PARENTS_ANNOTATION] == "debian-12-aaaaaaaa"


def test_one_machine_has_one_pod_name() -> None:
    assert pod_manifest(observed())["metadata"]["name"] == pod_manifest(two_disks())["metadata"]["name"]


def test_users_labels_pass_but_none_that_are_reserved() -> None:
    labels = {"team": "a", "goldpool.io/virtualmachine-uid": "forged", "app.kubernetes.io/managed-by": "me"}
    found = pod_manifest(observed(a_machine(labels=labels)))["metadata"]["labels"]
    assert found["team"] == "a"
    assert found["goldpool.io/virtualmachine-uid"] == "uid-web-1"
    assert found["app.kubernetes.io/managed-by"] == "goldpool"


def test_the_runtime_is_told_what_must_stand_on_each_disk() -> None:
    [env] = spec_of(two_disks())["containers"][0]["env"]
    told = json.loads(env["value"])
    root, data = told["disks"]
    assert (root["storage_id"], root["volume_uid"], root["boot"]) == ("v-aaaaaaaa", "uid-web-1-root", True)
    assert root["parent"] == {"parent": "debian-12-aaaaaaaa", "format": "qcow2", "revision": REVISION}
    assert (data["name"], data["boot"], data["parent"]) == ("data", False, None)
    assert (told["cpus"], told["memory_bytes"], told["uid"]) == (2, 2 * GIB, "uid-web-1")


@pytest.mark.parametrize(("cpus", "request_"), [(2, "200m"), (1, "100m"), (256, "25600m")])
def test_memory_is_guaranteed_and_cpu_shared_by_the_ratio(cpus: int, request_: str) -> None:
    resources = spec_of(observed(a_machine(spec={"cpus": cpus})))["containers"][0]["resources"]
    memory = str(2 * GIB + PODS.memory_overhead_bytes + PODS.memory_per_disk_bytes)
    assert resources == {"requests": {"cpu": request_, "memory": memory}, "limits": {"memory": memory}}


def test_the_guest_has_less_time_to_stop_than_the_pod() -> None:
    spec = spec_of(observed(a_machine(spec={"stopTimeoutSeconds": 100})))
    assert spec["terminationGracePeriodSeconds"] > 100
    assert spec["restartPolicy"] == "Never"


# -- where it may run


def test_bytes_on_a_host_pin_it_by_the_nodes_name() -> None:
    assert terms(observed()) == {
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]
    }


def test_a_shared_disk_over_a_parent_on_a_host_is_pinned_too() -> None:
    assert terms(shared(host="node-2"))["matchFields"][0]["values"] == ["node-2"]


def test_on_shared_pools_the_scheduler_chooses_among_the_hosts_that_reach_them() -> None:
    pool = a_pool("nfs", spec=EXPORT | {"hostSelector": {"matchLabels": {"rack": "1"}}})
    found = terms(shared(a_machine(spec={"nodeSelector": {"disk": "fast"}}), pool=pool))
    assert found == {
        "matchExpressions": [
            {"key": "disk", "operator": "In", "values": ["fast"]},
            {"key": "rack", "operator": "In", "values": ["1"]},
        ]
    }


def test_a_term_is_never_empty_because_that_matches_no_node() -> None:
    assert terms(shared()) == {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}


def test_hosts_that_failed_the_machine_are_avoided_but_pools_are_not_hosts() -> None:
    avoid = [
        {"location": "node-2", "host": "node-2", "reason": "StartFailed", "time": ago(60)},
        {"location": "nfs", "host": "node-3", "pool": "nfs", "reason": "IOError", "time": ago(60)},
    ]
    found = terms(shared(a_machine(status={"avoid": avoid})))
    assert found["matchFields"] == [{"key": "metadata.name", "operator": "NotIn", "values": ["node-2"]}]


def test_node_loss_never_evicts_it_and_the_pools_tolerations_are_its_own() -> None:
    tolerations = [{"key": "storage", "operator": "Exists"}]
    pool = a_pool("nfs", spec=EXPORT | {"tolerations": tolerations})
    found = spec_of(shared(a_machine(spec={"tolerations": [{"key": "gpu", "value": "x"}]}), pool=pool))[
        "tolerations"
    ]
    assert [t["key"] for t in found] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "gpu",
        "storage",
    ]
    assert all("tolerationSeconds" not in t for t in found)


@pytest.mark.parametrize(
    ("own", "default", "expected"),
    [(None, "", None), (None, "calm", "calm"), ("fast", "calm", "fast"), ("fast", "", "fast")],
)
def test_a_machines_own_priority_class_goes_before_the_default(
    own: str | None, default: str, expected: str | None
) -> None:
    machine = a_machine(spec={"priorityClassName": own} if own else {})
    disk = a_ready_disk()
    o = observed(machine, disk, pods=replace(PODS, priority_class=default))
    assert spec_of(o).get("priorityClassName") == expected


# -- with an ISO


INSERTED = {
    "template": "tools",
    "pool": "golden-ssd",
    "host": "node-1",
    "location": "golden-ssd.node-1",
    "parent": "tools-aaaaaaaa",
    "revision": REVISION,
}


def with_iso(*disks: Any, golden: Obj | None = None, **iso: str) -> Observed:
    machine = a_machine(spec={"iso": {"templateRef": {"name": "tools"}}}, status={"iso": INSERTED | iso})
    pool = golden or a_golden_pool()
    parent = a_parent("tools-aaaaaaaa", spec={"template": "tools", "format": "iso"})
    location = a_location("golden-ssd", iso.get("host", "node-1"))
    medium = MediumView(
        template=Template.read(a_pinned_template("tools", spec={"format": "iso"})),
        pool=StoragePool.read(pool),
        mount=mounted(pool, location),
        copies=(Parent.read(parent),),
        parent=Parent.read(parent),
    )
    return observed(machine, *disks, medium=medium)


def test_an_iso_is_seen_read_only_in_a_directory_of_its_own() -> None:
    spec = spec_of(with_iso())
    [mount] = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "iso"]
    [volume] = [v for v in spec["volumes"] if v["name"] == "iso"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/parents/tools-aaaaaaaa", True)
    assert volume["hostPath"] == {"path": "/srv/golden-ssd/templates/tools-aaaaaaaa", "type": "Directory"}


def test_the_runtime_is_told_which_iso_must_be_there() -> None:
    told = json.loads(spec_of(with_iso())["containers"][0]["env"][0]["value"])
    assert told["cdrom"] == {"parent": "tools-aaaaaaaa", "format": "iso", "revision": REVISION}
    assert spec_of(with_iso())["containers"][0]["resources"]["limits"]["memory"] == str(
        2 * GIB + PODS.memory_overhead_bytes + 2 * PODS.memory_per_disk_bytes
    )


def test_its_pod_is_a_witness_against_the_removal_of_the_iso_too() -> None:
    annotation = pod_manifest(with_iso())["metadata"]["annotations"][PARENTS_ANNOTATION]
    assert annotation == "debian-12-aaaaaaaa,tools-aaaaaaaa"


def test_an_iso_on_a_host_pins_a_machine_whose_disks_are_shared() -> None:
    raw = a_machine()
    root = a_root_of(raw, made=True, spec={"placement": ON_NFS})
    shared_disk = a_disk(
        root,
        lease=a_claim(root),
        pool=a_pool("nfs", spec=EXPORT),
        golden=a_golden_pool("golden-nfs", spec=EXPORT),
    )
    assert terms(with_iso(shared_disk, host="node-2"))["matchFields"][0]["values"] == ["node-2"]
    rack = {"hostSelector": {"matchLabels": {"rack": "1"}}, "tolerations": [{"key": "storage"}]}
    everywhere = with_iso(shared_disk, golden=a_golden_pool(spec=EXPORT | rack), host="")
    assert terms(everywhere) == {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}
    assert spec_of(everywhere)["tolerations"][-1]["key"] == "storage"


def test_an_iso_that_is_not_wanted_any_more_is_not_inserted() -> None:
    o = with_iso()
    raw = a_machine(status={"iso": INSERTED})
    manifest = pod_manifest(replace(o, raw=raw, machine=VirtualMachine.read(raw)))
    assert "tools" not in json.dumps(manifest)
