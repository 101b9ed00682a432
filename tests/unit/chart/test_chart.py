"""The chart, rendered by the real helm."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from goldpool.contracts.network import Proxies
from goldpool.contracts.operations import FetchPolicy
from goldpool.controllers.fetch_policy import fetch_policy
from goldpool.settings import PREFIX, Settings
from hack.generate.__main__ import ROOT
from hack.generate.rbac import Where, rules
from hack.images.engines import reference
from tests.unit.chart.helm import CHART, NAMESPACE, Document, refusal, run, template, the

VALUES: Document = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: Document = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

VALUE_SETS: dict[str, Document] = {
    "defaults": {},
    "no standby": {"replicas": 1},
    "stopped": {"replicas": 0},
    "foreign crds": {"crds": {"enabled": False}},
    "crds that go": {"crds": {"keep": False}},
    "names": {"fullnameOverride": "gp", "nameOverride": "pool", "serviceAccount": {"name": "operator"}},
    "own data namespace": {"dataNamespace": {"name": "vms", "create": False}},
    "labelled data namespace": {"dataNamespace": {"labels": {"team": "a"}, "annotations": {"b": "c"}}},
    "images": {
        "image": {
            "pullPolicy": "Always",
            "pullSecrets": ["registry", "mirror"],
            **{name: {"repository": f"registry.example:5000/{name}", "tag": "1.2.3"}
               for name in ("operator", "worker", "vm")},
        }
    },
    "settings": {
        "allowedPathPrefixes": ["/data"],
        "cpuAllocationRatio": 1,
        "logFormat": "console",
        "trashSeconds": 0,
        "fetch": {"connectSeconds": 1, "idleSeconds": 2, "totalSeconds": 3, "maxBytes": 1 << 50, "checkSeconds": 7,
                  "perHost": 5, "minBytesPerSecond": 0, "reserveBytes": 1 << 40,
                  "maxRedirects": 0,
                  "addresses": {"allow": ["10.0.0.0/8", "2001:db8::1"], "deny": []},
                  "proxy": {"http": "http://proxy.example:3128", "https": "http://[2001:db8::2]:3128",
                            "noProxy": ["*.example", "10.0.0.0/8"]}},
        "api": {"qps": 1, "burst": 2},
        "settings": {"GOLDPOOL_PROBE_SECONDS": 60, "GOLDPOOL_RETRY_BASE_SECONDS": 0.5,
                     "GOLDPOOL_MEMORY_OVERHEAD_BYTES": 10**12},
    },
    "placed": {
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    },
    "bare": {
        "metrics": {"service": {"enabled": False}},
        "rbac": {"aggregate": False},
        "admission": {"protectBindings": False, "protectAbandon": False, "protectSources": False},
    },
    "unguarded": {"uninstallGuard": {"enabled": False}},
    "monitored": {"metrics": {"service": {"port": 9090, "annotations": {"a": "b"}, "labels": {"c": "d"}}}},
    "subchart": {"global": {"anything": 1}},
    "watched": {
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "runbookURL": "https://runbooks.example/goldpool/",
                               "disabled": ["GoldpoolCacheCorrected"], "alertLabels": {"team": "a"}},
            "dashboard": {"enabled": True, "namespace": "monitoring"},
        }
    },
    "watched by pods": {
        "metrics": {
            "service": {"enabled": False},
            "podMonitor": {"enabled": True, "interval": "1m",
                           "relabelings": [{"action": "labeldrop", "regex": "pod"}],
                           "metricRelabelings": [{"sourceLabels": ["host"], "targetLabel": "node"}]},
        }
    },
    "restricted": {
        "networkPolicy": {
            "enabled": True,
            "dnsTo": [{"ipBlock": {"cidr": "198.51.100.10/32"}}],
            "operator": {"metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {}}],
                         "apiServerTo": [{"ipBlock": {"cidr": "192.0.2.1/32"}}], "apiServerPorts": [6443]},
            "fetches": {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [443]},
            "machines": {"ingressFrom": [{"podSelector": {"matchLabels": {"role": "proxy"}}}], "egressTo": []},
        },
        "priorityClasses": {"values": {"machines": -10}, "allowed": ["urgent"]},
        "allowedTolerations": ["gpu", "team.example/own"],
        "commonLabels": {"team": "a"},
    },
    "cut off": {
        "networkPolicy": {"enabled": True, "dnsTo": [], "operator": {"metricsFrom": [], "apiServerTo": []},
                          "fetches": {"to": [], "ports": []}, "machines": {"ingressFrom": [], "egressTo": []}},
    },
    "foreign classes": {
        "priorityClassName": "a", "priorityClasses": {"create": False, "storage": "b", "machines": "c"},
    },
    "spread": {
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
             "labelSelector": {"matchLabels": {"a": "b"}}},
        ],
    },
    "everything off": {
        "crds": {"enabled": False},
        "uninstallGuard": {"enabled": False},
        "dataNamespace": {"create": False},
        "metrics": {"service": {"enabled": False}},
        "rbac": {"aggregate": False},
        "admission": {"protectBindings": False, "protectAbandon": False, "protectSources": False},
        "priorityClasses": {"create": False},
        "replicas": 1,
    },
}  # fmt: skip

each_value_set = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())


@each_value_set
def test_lint_finds_nothing(values: Document) -> None:
    done = run("lint", "--strict", "--quiet", "--namespace", NAMESPACE, str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


@each_value_set
def test_every_object_is_whole_and_named_once(values: Document) -> None:
    documents = template(values)
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(set(names)) == len(names)
    for document in documents:
        assert document["apiVersion"]
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "goldpool"
        assert document["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        if document["kind"] != "CustomResourceDefinition":
            assert document["metadata"]["labels"].items() >= values.get("commonLabels", {}).items()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"image": {"operator": {"digest": "a"}}}, "digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"replicas": 9}, "replicas"),
        ({"allowedPathPrefixes": []}, "allowedPathPrefixes"),
        ({"allowedPathPrefixes": ["srv"]}, "allowedPathPrefixes"),
        ({"allowedPathPrefixes": ["/srv/../etc"]}, "allowedPathPrefixes"),
        ({"allowedPathPrefixes": ["/"]}, "allowedPathPrefixes"),
        ({"dataNamespace": {"name": "Not A Name"}}, "name"),
        ({"fetch": {"maxBytes": "1Ti"}}, "maxBytes"),
        ({"fetch": {"addresses": {"deny": ["localhost"]}}}, "deny"),
        ({"fetch": {"proxy": {"http": "http://user:secret@proxy.example"}}}, "http"),
        ({"fetch": {"proxy": {"https": "socks5://proxy.example"}}}, "https"),
        ({"fetch": {"proxy": {"noProxy": ["a,b"]}}}, "noProxy"),
        ({"settings": {"PATH": "a"}}, "PATH"),
        ({"settings": {"GOLDPOOL_API_QPS": "1"}}, "GOLDPOOL_API_QPS"),
        ({"settings": {"GOLDPOOL_NAMESPACE": "a"}}, "GOLDPOOL_NAMESPACE"),
        ({"dataNamespace": {"name": NAMESPACE}}, "dataNamespace.name"),
        ({"commonLabels": {"app.kubernetes.io/name": "other"}}, "app.kubernetes.io/name"),
        ({"metrics": {"serviceMonitor": {"enabled": True, "interval": "often"}}}, "interval"),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "metrics.podMonitor.enabled",
        ),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "metrics.service.enabled",
        ),
        ({"metrics": {"prometheusRule": {"enabled": True, "disabled": ["GoldpoolNone"]}}}, "GoldpoolNone"),
        ({"networkPolicy": {"fetches": {"to": ["203.0.113.0/24"]}}}, "networkPolicy"),
        ({"networkPolicy": {"fetches": {"to": [{}]}}}, "networkPolicy"),
        ({"networkPolicy": {"fetches": {"to": [{"ipBlock": {"cidr": "203.0.113.1"}}]}}}, "networkPolicy"),
        (
            {"networkPolicy": {"fetches": {"to": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}}},
            "networkPolicy",
        ),
        ({"networkPolicy": {"machines": {"ingress": []}}}, "ingress"),
        ({"priorityClasses": {"values": {"operator": 2000000000}}}, "priorityClasses"),
        ({"priorityClasses": {"allowed": ["Not A Name"]}}, "priorityClasses"),
        ({"allowedTolerations": [""]}, "allowedTolerations"),
        ({"topologySpreadConstraints": [{"maxSkew": 0}]}, "topologySpreadConstraints"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(values: Document, named: str) -> None:
    assert named in refusal(values)


def test_an_old_cluster_is_refused() -> None:
    assert "1.32" in refusal({}, NAMESPACE, "--kube-version", "1.31.0")
    assert template({}, NAMESPACE, "--kube-version", "1.32.0")


def objects_in(schema: Document, path: str = "") -> Iterator[tuple[str, Document]]:
    if "properties" in schema or "patternProperties" in schema:
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from objects_in(inner, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from objects_in(schema["items"], f"{path}[]")
    for name, inner in schema.get("definitions", {}).items():
        yield from objects_in(inner, name)


def test_the_schema_is_closed_everywhere() -> None:
    assert [
        path for path, schema in objects_in(SCHEMA) if schema.get("additionalProperties") is not False
    ] == []


def test_every_value_has_a_type_and_explains_itself() -> None:
    def said(schema: Document) -> bool:
        return "$ref" in schema or ("description" in schema and bool({"type", "enum"} & schema.keys()))

    assert [
        f"{path}.{name}"
        for path, schema in objects_in(SCHEMA)
        for name, inner in schema.get("properties", {}).items()
        if not said(inner)
    ] == []


def test_the_schema_and_the_values_name_the_same() -> None:
    def compare(values: Any, schema: Document, path: str) -> None:
        if "properties" not in schema or values == {}:
            return
        wanted = set(schema["properties"]) - ({"global"} if not path else set())
        if path.startswith((".resources", ".affinity")):
            assert set(values) <= wanted
        else:
            assert set(values) == wanted, path
        for name, value in values.items():
            compare(value, schema["properties"][name], f"{path}.{name}")

    compare(VALUES, SCHEMA, "")


def test_crds_are_those_for_kubectl() -> None:
    rendered = {d["metadata"]["name"]: d for d in template() if d["kind"] == "CustomResourceDefinition"}
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "crds").glob("*.yaml")]
    assert {crd["metadata"]["name"]: crd["spec"] for crd in files} == {
        name: crd["spec"] for name, crd in rendered.items()
    }


@pytest.mark.parametrize(
    ("values", "count", "annotations"),
    [
        ({}, 6, {"helm.sh/resource-policy": "keep"}),
        ({"crds": {"keep": False}}, 6, None),
        ({"crds": {"enabled": False}}, 0, None),
    ],
)
def test_crds_stay_when_the_chart_goes(values: Document, count: int, annotations: Document | None) -> None:
    crds = [d for d in template(values) if d["kind"] == "CustomResourceDefinition"]
    assert len(crds) == count
    assert all(crd["metadata"].get("annotations") == annotations for crd in crds)


def pod_of(documents: list[Document]) -> Document:
    pod: Document = the(documents, "Deployment")["spec"]["template"]["spec"]
    return pod


def test_the_operators_pod_has_no_power_over_its_node() -> None:
    pod = pod_of(template())
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert [list(volume) for volume in pod["volumes"]] == [["name", "emptyDir"]]
    assert container["resources"] == VALUES["resources"]


def test_probes_ask_the_operators_port() -> None:
    [container] = pod_of(template())["containers"]
    assert container["ports"] == [
        {"name": "http", "containerPort": Settings().health_port, "protocol": "TCP"}
    ]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def environment(values: Document | None = None) -> dict[str, str]:
    [container] = pod_of(template(values))["containers"]
    literal = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
    fields = {entry["name"]: entry["valueFrom"]["fieldRef"]["fieldPath"] for entry in container["env"]
              if "valueFrom" in entry}  # fmt: skip
    assert fields == {"GOLDPOOL_NAMESPACE": "metadata.namespace", "GOLDPOOL_POD_NAME": "metadata.name"}
    return literal


@each_value_set
def test_every_variable_is_a_setting_of_the_operator(values: Document) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(environment(values)) <= known


def test_the_charts_defaults_are_the_operators() -> None:
    """Whoever runs the operator without the chart gets the same; only logs are for people there, and there are no
    priority classes."""
    given = Settings.from_environment(environment())
    without = {
        "log_format": "auto",
        "job_priority_class": "",
        "pod_priority_class": "",
        "fetch_denied_addresses": None,  # stands in the contract, and compared below
    }
    assert given.model_copy(update=without) == Settings()
    assert fetch_policy(given) == fetch_policy(Settings()) == FetchPolicy()
    assert given.log_format == "json"
    assert (given.job_priority_class, given.pod_priority_class) == ("goldpool-storage", "goldpool-machines")


def test_values_reach_the_operator() -> None:
    settings = Settings.from_environment(environment(VALUE_SETS["settings"]))
    assert settings.allowed_path_prefixes == ("/data",)
    assert (settings.cpu_allocation_ratio, settings.trash_seconds) == (1, 0)
    assert (settings.fetch_idle_seconds, settings.fetch_max_bytes) == (2, 1 << 50)
    assert (settings.fetches_per_host, settings.fetch_min_bytes_per_second, settings.fetch_reserve_bytes) == (
        5,
        0,
        1 << 40,
    )
    assert (settings.fetch_check_seconds, settings.fetch_check_memory_bytes) == (7, 1 << 30)
    policy = fetch_policy(settings)
    assert policy.addresses.allow == ("10.0.0.0/8", "2001:db8::1/128")
    assert (policy.addresses.deny, policy.max_redirects) == ((), 0)
    assert policy.proxies == Proxies(
        http="http://proxy.example:3128",
        https="http://[2001:db8::2]:3128",
        no_proxy=("*.example", "10.0.0.0/8"),
    )
    assert (settings.api_qps, settings.api_burst) == (1, 2)
    assert (settings.probe_seconds, settings.retry_base_seconds) == (60, 0.5)
    assert settings.memory_overhead_bytes == 10**12
    images = Settings.from_environment(environment(VALUE_SETS["images"]))
    assert images.worker_image == "registry.example:5000/worker:1.2.3"
    assert images.vm_image == "registry.example:5000/vm:1.2.3"
    assert images.image_pull_policy == "Always"
    assert Settings.from_environment(environment(VALUE_SETS["own data namespace"])).data_namespace == "vms"


def test_the_images_are_those_that_are_built() -> None:
    env = environment()
    assert pod_of(template())["containers"][0]["image"] == reference("goldpool-operator")
    assert env["GOLDPOOL_WORKER_IMAGE"] == reference("goldpool-worker")
    assert env["GOLDPOOL_VM_IMAGE"] == reference("goldpool-vm")


@pytest.mark.parametrize(
    ("kind", "name", "where"),
    [
        ("ClusterRole", "goldpool-operator", Where.CLUSTER),
        ("Role", "goldpool-storage", Where.DATA_NAMESPACE),
        ("Role", "goldpool-leader", Where.OWN_NAMESPACE),
    ],
)
def test_roles_are_the_table_and_are_bound_to_the_operator_alone(kind: str, name: str, where: Where) -> None:
    documents = template()
    role, binding = the(documents, kind, name), the(documents, f"{kind}Binding", name)
    namespace = {Where.DATA_NAMESPACE: "goldpool-data", Where.OWN_NAMESPACE: NAMESPACE}.get(where)
    assert role["rules"] == rules(where)
    assert role["metadata"].get("namespace") == binding["metadata"].get("namespace") == namespace
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "goldpool", "namespace": NAMESPACE}]


def test_workloads_have_neither_rights_nor_a_token() -> None:
    documents = template()
    account = the(documents, "ServiceAccount", "goldpool-workload")
    assert account["metadata"]["namespace"] == "goldpool-data"
    assert account["automountServiceAccountToken"] is False
    bound = [s["name"] for d in documents if d["kind"].endswith("RoleBinding") for s in d["subjects"]]
    assert "goldpool-workload" not in bound


def test_the_data_namespace_takes_privileged_pods_and_stays() -> None:
    namespace = the(template(VALUE_SETS["labelled data namespace"]), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert namespace["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep", "b": "c"}
    assert not [d for d in template(VALUE_SETS["own data namespace"]) if d["kind"] == "Namespace"]


def test_a_standby_is_spread_and_not_disturbed_with_its_leader() -> None:
    documents = template({"replicas": 2})
    assert the(documents, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert pod_of(documents)["topologySpreadConstraints"]
    assert not [d for d in template({"replicas": 1}) if d["kind"] == "PodDisruptionBudget"]


def test_editors_of_a_namespace_get_its_machines_but_no_pools() -> None:
    edit = the(template(), "ClusterRole", "goldpool-edit")
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert [rule["resources"] for rule in edit["rules"]] == [["virtualmachines", "volumes"]]
