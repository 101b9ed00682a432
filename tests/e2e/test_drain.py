"""What an administrator does to a host or a pool on purpose: machines stop cleanly, say why, and come back."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from tests.e2e.api import DATA_NAMESPACE, Obj
from tests.e2e.guests import WritersSeen
from tests.e2e.server import Image
from tests.e2e.site import PATIENCE_SECONDS, Site

NODE = "node-3"
MACHINES = "goldpool.io/virtualmachine-uid"


def kubectl(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *words], input=stdin, capture_output=True, text=True, timeout=600, check=False
    )


def drain(node: str) -> None:
    """As the manual says it; only machines, so that nothing else of the cluster is disturbed."""
    done = kubectl("drain", node, f"--pod-selector={MACHINES}", "--delete-emptydir-data", "--timeout=300s")
    assert done.returncode == 0, done.stderr


@contextmanager
def uncordoned_afterwards(node: str) -> Iterator[None]:
    try:
        yield
    finally:
        kubectl("uncordon", node)


@pytest.mark.breaks_host
def test_a_drained_host_shuts_its_machine_down_cleanly_and_starts_it_when_it_is_uncordoned(
    site: Site, linux_image: bytes
) -> None:
    site.pools_on(NODE)
    template = site.template(Image(linux_image), stem="linux")
    site.machine("vm", template=template, memory="192Mi", stop_seconds=60)
    site.says("vm", "GUEST-MARKER boot-ok")
    with uncordoned_afterwards(NODE):
        drain(NODE)
        assert site.pod_of("vm") is None, "drain returns when the pod is gone"
        assert NODE in site.reason("VirtualMachine", "vm", "HostCordoned")
        site.told("vm", "GuestStopped: Stopped")  # by itself, in time
        assert site.status("VirtualMachine", "vm").get("avoid", []) == []
    console = site.says("vm", "GUEST-MARKER boot-ok")
    assert "GUEST-BOOTS 2" in console
    assert "GUEST-DATA-OK" in console


@pytest.mark.alone
def test_a_drained_machine_goes_elsewhere_if_its_disks_are_shared_and_a_budget_is_heeded(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.shared_pools()
    site.machine("vm", template=site.template(boot))
    site.running("vm")
    site.says("vm", f"{boot_line} BOOTS 0001")
    machine = site.get("VirtualMachine", "vm")
    uid, node = machine["metadata"]["uid"], machine["status"]["host"]
    with WritersSeen(uid) as seen, uncordoned_afterwards(node):
        with a_budget(site, uid):
            refused = site.eventually(lambda: evict(site, "vm"), "the eviction is answered")
            assert "disruption budget" in refused
            site.running("vm")
        drain(node)
        site.says("vm", f"{boot_line} BOOTS 0002")
        site.running("vm")
        assert site.status("VirtualMachine", "vm")["host"] != node
    assert seen.most == 1
    assert site.status("VirtualMachine", "vm").get("restarts") is None, "an eviction is no crash"


@contextmanager
def a_budget(site: Site, uid: str) -> Iterator[None]:
    """For a pod that a Lease controls a budget must count pods: the Lease has no scale."""
    name = f"budget-{site.token}"
    budget: Obj = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": DATA_NAMESPACE},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {MACHINES: uid}}},
    }
    assert kubectl("create", "-f", "-", stdin=yaml.safe_dump(budget)).returncode == 0
    try:
        status = ["-n", DATA_NAMESPACE, "get", "pdb", name, "-o", "jsonpath={.status.currentHealthy}"]
        site.eventually(lambda: kubectl(*status).stdout == "1", "the budget has counted the machine")
        yield
    finally:
        kubectl("-n", DATA_NAMESPACE, "delete", "pdb", name)


def evict(site: Site, machine: str) -> str:
    """What the API server answers."""
    pod = site.pod_of(machine)
    assert pod is not None
    return evict_pod(pod["metadata"]["name"])


def evict_pod(name: str) -> str:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": DATA_NAMESPACE},
    }
    path = f"/api/v1/namespaces/{DATA_NAMESPACE}/pods/{name}/eviction"
    done = kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    return done.stderr or done.stdout


def test_an_evicted_fetch_is_no_failure_of_the_storage(site: Site, boot: Image, boot_line: str) -> None:
    site.pools_on(NODE)
    boot.pause = 2  # two minutes in all: it is not over before the eviction
    template = site.template(boot)
    site.machine("vm", template=template)
    assert boot.begun.wait(PATIENCE_SECONDS)
    (first,) = [p for p in site.api.every("Pod", DATA_NAMESPACE) if fetches(p, template)]
    name = first["metadata"]["name"]
    assert "Success" in evict_pod(name)
    site.eventually(lambda: has_ended(site.api.get("Pod", name, DATA_NAMESPACE)), "the evicted pod has ended")
    boot.pause = 0
    site.says("vm", f"{boot_line} BOOTS 0001")
    site.running("vm")
    assert site.status("VirtualMachine", "vm").get("avoid", []) == []
    assert len(site.parents(template)) == 1
    assert site.images.gets_of(f"/{template}")[NODE] == 2


def has_ended(pod: Obj | None) -> bool:
    containers = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
    return pod is None or all("terminated" in (c.get("state") or {}) for c in containers)


def fetches(pod: Obj, template: str) -> bool:
    job = (pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name", "")
    return str(job).startswith(f"fetch-{template}")


def test_maintenance_stops_machines_and_says_why_and_disabled_only_keeps_new_ones_out(
    site: Site, boot: Image, boot_line: str
) -> None:
    _, standard = site.pools_on(NODE)
    template = site.template(boot)
    site.machine("old", template=template)
    site.says("old", f"{boot_line} BOOTS 0001")
    site.running("old")

    site.api.patch("StoragePool", standard, {"spec": {"state": "Disabled"}})
    site.machine("new", template=template)
    assert "not enabled" in site.reason("VirtualMachine", "new", "NotPlaceable")
    site.reason("StoragePool", standard, "Disabled")
    site.running("old")

    site.api.patch("StoragePool", standard, {"spec": {"state": "Maintenance"}})
    assert standard in site.reason("VirtualMachine", "old", "Maintenance")
    assert site.status("VirtualMachine", "old")["phase"] == "Stopped"
    assert site.pod_of("old") is None

    site.api.patch("StoragePool", standard, {"spec": {"state": "Enabled"}})
    site.running("old", "new")
    site.says("old", f"{boot_line} BOOTS 0002")
