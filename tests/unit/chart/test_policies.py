"""What the chart lets pods do: whom they may talk to, and before whom they go."""

from typing import Any

import pytest

from goldpool.controllers.naming import LABEL_VM_UID, RESERVED_PREFIXES
from goldpool.dispatch.record import JOB_LABEL, JobKind
from goldpool.settings import Settings
from tests.unit.chart.helm import NAMESPACE, Document, template, the
from tests.unit.chart.test_chart import VALUE_SETS, environment, pod_of

DATA = "goldpool-data"


def policies(values: Document) -> dict[str, Document]:
    return {
        d["metadata"]["name"]: d["spec"] | {"namespace": d["metadata"]["namespace"]}
        for d in template(values)
        if d["kind"] == "NetworkPolicy"
    }


def test_no_policy_unless_asked_for() -> None:
    """Where the API server or the mirrors are is not the chart's to guess."""
    assert policies({}) == {}


def test_in_the_data_namespace_all_is_denied_that_is_not_allowed() -> None:
    nobody = policies(VALUE_SETS["restricted"])["goldpool-nobody"]
    assert nobody == {"namespace": DATA, "podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_operator_is_scraped_and_asks_the_api_server() -> None:
    spec = policies(VALUE_SETS["restricted"])["goldpool"]
    assert spec["namespace"] == NAMESPACE
    [scrape] = spec["ingress"]
    assert scrape["ports"] == [{"port": "http", "protocol": "TCP"}]
    dns, server = spec["egress"]
    assert {(p["port"], p["protocol"]) for p in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert server == {
        "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}],
        "ports": [{"port": 6443, "protocol": "TCP"}],
    }


def test_the_policy_covers_whatever_the_release_runs_beside_it() -> None:
    """The uninstall guard asks the API server, too."""
    values = VALUE_SETS["restricted"]
    selected = policies(values)["goldpool"]["podSelector"]["matchLabels"].items()
    pods = [d["spec"]["template"] for d in template(values) if d["kind"] in {"Deployment", "Job"}]
    assert len(pods) == 2
    assert all(selected <= pod["metadata"]["labels"].items() for pod in pods)


def test_only_downloads_leave_and_only_to_the_mirrors() -> None:
    spec = policies(VALUE_SETS["restricted"])["goldpool-fetches"]
    [talkative] = spec["podSelector"]["matchExpressions"]
    assert talkative == {"key": JOB_LABEL, "operator": "In", "values": [JobKind.FETCH, JobKind.PROBE]}
    assert spec["policyTypes"] == ["Egress"]
    _, mirrors = spec["egress"]
    assert mirrors == {
        "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }


def test_a_machine_cannot_pass_for_a_download() -> None:
    assert JOB_LABEL.startswith(RESERVED_PREFIXES)


def test_machines_are_isolated_as_asked() -> None:
    spec = policies(VALUE_SETS["restricted"])["goldpool-machines"]
    assert spec["podSelector"] == {"matchExpressions": [{"key": LABEL_VM_UID, "operator": "Exists"}]}
    assert spec["ingress"] == [{"from": [{"podSelector": {"matchLabels": {"role": "proxy"}}}]}]
    assert spec["egress"] == []  # not even DNS


def test_by_default_nobody_reaches_a_machine_and_it_reaches_all_but_link_local() -> None:
    spec = policies({"networkPolicy": {"enabled": True}})["goldpool-machines"]
    assert spec["ingress"] == []
    blocks = [peer["ipBlock"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]} in blocks


def test_an_empty_list_means_nobody() -> None:
    for name, spec in policies(VALUE_SETS["cut off"]).items():
        assert not spec.get("ingress"), name
        assert not spec.get("egress"), name


def classes(values: Document) -> dict[str, Any]:
    return {d["metadata"]["name"]: d for d in template(values) if d["kind"] == "PriorityClass"}


def test_storage_goes_before_machines_and_neither_evicts() -> None:
    made = classes({})
    values = {name.removeprefix("goldpool-"): made[name]["value"] for name in made}
    assert values["operator"] > values["storage"] > values["machines"]
    assert {n: d["preemptionPolicy"] for n, d in made.items()} == {
        "goldpool-operator": "PreemptLowerPriority",
        "goldpool-storage": "Never",
        "goldpool-machines": "Never",
    }
    assert not any(d["globalDefault"] for d in made.values())


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("defaults", ("goldpool-operator", "goldpool-storage", "goldpool-machines")),
        ("foreign classes", ("a", "b", "c")),
        ("everything off", ("", "", "")),
    ],
)
def test_the_classes_are_those_that_exist(name: str, used: tuple[str, str, str]) -> None:
    values = VALUE_SETS[name]
    pod, settings = pod_of(template(values)), Settings.from_environment(environment(values))
    found = (pod.get("priorityClassName", ""), settings.job_priority_class, settings.pod_priority_class)
    assert found == used
    made = set(classes(values))
    assert not made or made == set(used)


def test_what_tenants_may_name_reaches_the_operator() -> None:
    settings = Settings.from_environment(environment(VALUE_SETS["restricted"]))
    assert settings.allowed_priority_classes == ("urgent",)
    assert settings.allowed_tolerations == ("gpu", "team.example/own")


def test_a_spread_of_ones_own_replaces_the_charts() -> None:
    pod = pod_of(template(VALUE_SETS["spread"] | {"replicas": 2}))
    assert pod["topologySpreadConstraints"] == VALUE_SETS["spread"]["topologySpreadConstraints"]
    assert the(template(VALUE_SETS["spread"]), "Deployment")
