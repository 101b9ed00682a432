"""The chart with everything it can bring: installed, scraped through its Service, and its runbooks' commands run.

The development cluster's network does not enforce NetworkPolicies: here they are stored, and hinder nobody.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from hack.generate.metrics import catalogue
from hack.pipeline import promtool
from tests.e2e.api import SYSTEM_NAMESPACE, Obj
from tests.e2e.deployment import PODS, scale
from tests.e2e.nodes import ROOT
from tests.e2e.server import Image
from tests.e2e.site import Site

METRICS = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/services/goldpool-metrics:metrics/proxy/metrics"
PROMETHEUS_KINDS = ROOT / "tests/cluster/api/monitoring.yaml"
VALUES: Obj = {
    "networkPolicy": {"enabled": True},
    "priorityClasses": {"allowed": ["goldpool-storage"]},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
}
OBJECTS = {
    SYSTEM_NAMESPACE: ("networkpolicy/goldpool", "poddisruptionbudget/goldpool", "servicemonitor/goldpool",
                       "prometheusrule/goldpool", "configmap/goldpool-dashboard"),
    "goldpool-data": ("networkpolicy/goldpool-nobody", "networkpolicy/goldpool-fetches",
                      "networkpolicy/goldpool-machines"),
    "": ("priorityclass/goldpool-operator", "priorityclass/goldpool-storage", "priorityclass/goldpool-machines"),
}  # fmt: skip


def run(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr or done.stdout}"
    return done.stdout


def helm(*arguments: str, stdin: str = "") -> None:
    run("helm", *arguments, "--namespace", SYSTEM_NAMESPACE, "--wait", "--timeout", "300s", stdin=stdin)


@pytest.fixture
def prometheus_kinds() -> Iterator[None]:
    """Of the Prometheus operator, if it is not there itself."""
    known = run("kubectl", "get", "crd", "-o", "name")
    names = [document["metadata"]["name"] for document in yaml.safe_load_all(PROMETHEUS_KINDS.read_text())]
    missing = not any(name in known for name in names)
    if missing:
        run("kubectl", "create", "-f", PROMETHEUS_KINDS)
        run("kubectl", "wait", "--for=condition=Established", "--timeout=300s", "crd", *names)
    yield
    if missing:
        run("kubectl", "delete", "--wait=false", "crd", *names)


@pytest.fixture
def installed(site: Site, prometheus_kinds: None) -> Iterator[None]:
    """The release has all of VALUES meanwhile, and is the only operator."""
    site.operator.stop()
    chart = str(ROOT / "charts/goldpool")
    try:
        helm("upgrade", "goldpool", chart, "--reuse-values", "--values", "-", stdin=yaml.safe_dump(VALUES))
        # A replica that is still ending may lead, and would take what it counts with it.
        site.eventually(
            lambda: len(site.api.every("Pod", SYSTEM_NAMESPACE, PODS)) == 2, "only the new replicas"
        )
        yield
    finally:
        helm("rollback", "goldpool")
        scale(site.api, 0)
        site.operator.start()


def scraped(site: Site) -> str:
    """What the leader serves; the Service leads to each replica in turn. A guest is not Ready while its probe is late,
    which on a busy machine it may be for a moment."""

    def leaders() -> str:
        text = run("kubectl", "get", "--raw", METRICS)
        families = families_in(text)
        leads = value(families, "leader_election_master_status", name="goldpool-operator") == 1
        counts = leads and [
            value(families, "goldpool_virtualmachines", phase=phase) for phase in ("Running", "Failed")
        ]
        return text if counts and counts[0] >= 2 and counts[1] >= 1 else ""

    return site.eventually(leaders, "the leader counts two machines that run and one that failed")


def families_in(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], series: str, /, **labels: str) -> float:
    found = [s.value for f in families.values() for s in f.samples if s.name == series and s.labels == labels]
    assert len(found) == 1, f"{series}{labels}: {found}"
    return found[0]


@pytest.mark.alone  # it takes the operator away
def test_everything_the_chart_can_bring(installed: None, site: Site, boot: Image) -> None:
    for namespace, objects in OBJECTS.items():
        run("kubectl", "get", *(("-n", namespace) if namespace else ()), *objects)

    golden, standard = site.pools_on("node-1")
    template = site.template(boot)
    site.machine("vm", template=template)
    site.machine("urgent", template=template, priority="goldpool-storage")
    site.machine("greedy", template=template, priority="system-node-critical")
    site.running("vm", "urgent")
    assert [priority_of(site, name) for name in ("vm", "urgent")] == ["goldpool-machines", "goldpool-storage"]
    refusal = site.reason("VirtualMachine", "greedy", "PriorityClassNotAllowed")
    assert "system-node-critical is not allowed here; allowed is one of goldpool-storage" in refusal
    assert {job.priority for job in site.jobs.of_pools(golden, standard)} == {"goldpool-storage"}

    text = scraped(site)
    run(promtool.program() or pytest.fail("no promtool: `make packages`"), "check", "metrics", stdin=text)
    families = families_in(text)
    served = {f"{name}_total" if f.type == "counter" else name for name, f in families.items()}
    assert served == set(catalogue()), "docs/metrics.md names others"
    assert value(families, "goldpool_time_to_ready_seconds_count", kind="VirtualMachine") == 2
    assert value(families, "goldpool_time_to_ready_seconds_count", kind="Parent") == 1
    assert value(families, "goldpool_operations_total", kind="Fetch", outcome="Succeeded") == 1
    assert value(families, "goldpool_operations_total", kind="CreateChild", outcome="Succeeded") == 2
    assert value(families, "goldpool_fetched_bytes_total") == len(boot.content)
    assert value(families, "goldpool_locations", pool=golden, golden="true", phase="Ready") == 1
    assert value(families, "goldpool_location_allocated_bytes", pool=standard, host="node-1") > 0

    for runbook in sorted((ROOT / "docs/runbooks").glob("*.md")):
        for command in diagnosis(runbook):
            done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True,
                                  timeout=300, check=False)  # fmt: skip
            # grep may find nothing; kubectl fails with a message.
            nothing = done.returncode == 1 and "| grep" in command and "rror" not in done.stderr
            assert done.returncode == 0 or nothing, f"{runbook.stem}: {command}\n{done.stderr}"
    site.close()


def diagnosis(runbook: Path) -> Iterator[str]:
    """The commands of its Diagnosis, which only look."""
    text = runbook.read_text().partition("## Diagnosis")[2].partition("## Remedy")[0]
    for block in text.split("```sh\n")[1:]:
        yield from block.partition("```")[0].splitlines()


def priority_of(site: Site, machine: str) -> Any:
    pod = site.pod_of(machine)
    assert pod is not None
    return pod["spec"]["priorityClassName"]
