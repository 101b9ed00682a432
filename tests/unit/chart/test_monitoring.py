"""Monitors, alerts and the dashboard: they are rendered as asked, name only what is served, and fire when they should."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.generate.__main__ import ROOT
from hack.generate.dashboard import dashboard
from tests.unit.chart.helm import CHART, NAMESPACE, Document, template, the
from tests.unit.chart.promql import check, grouped_by, problems, selectors
from tests.unit.chart.test_chart import VALUE_SETS

RUNBOOKS = ROOT / "docs/runbooks"
SOURCE: Document = yaml.safe_load((CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
CASES: Document = yaml.safe_load((Path(__file__).parent / "alerts.test.yaml").read_text(encoding="utf-8"))
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Remedy"]


def alerts_of(spec: Document) -> list[Document]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def panels() -> Iterator[Document]:
    yield from (panel for panel in dashboard()["panels"] if panel["type"] != "row")


def queries() -> Iterator[Any]:
    for rule in alerts_of(SOURCE):
        yield pytest.param(rule["expr"], "goldpool", id=rule["alert"])
    for panel in panels():
        for target in panel["targets"]:
            yield pytest.param(target["expr"], "$job", id=f"{panel['title']} {target['refId']}")


@pytest.mark.parametrize(("query", "job"), [*queries()])
def test_a_query_names_only_what_the_operator_serves_and_nobody_elses(query: str, job: str) -> None:
    """Half of the names are those of every controller-runtime operator in the cluster."""
    assert problems(query) == []
    assert query.count(f'job="{job}"') == len([*selectors(query)])


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ('goldpool_parent{job="a"}', "no metric goldpool_parent"),
        ('rate(goldpool_time_to_ready_seconds{job="a"}[5m])', "no metric goldpool_time_to_ready_seconds"),
        ('goldpool_parents{phase="Ready"}', "goldpool_parents has no label phase"),
        ('sum by (pool) (goldpool_parents{job="a"})', "no label pool"),
        ("goldpool_parents", "no metric with matchers in goldpool_parents"),
    ],
)
def test_a_wrong_name_would_be_found(query: str, problem: str) -> None:
    assert problems(query) == [problem]


# --- alerts


def test_promtool_takes_the_rules_and_they_fire_when_they_should(tmp_path: Path) -> None:
    spec = the(template({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")["spec"]
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(spec))
    check("check", "rules", "--lint-fatal", tmp_path / "whole.yaml")
    for rule in alerts_of(spec):
        del rule["annotations"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(Path(__file__).parent / "alerts.test.yaml", tmp_path)
    check("test", "rules", tmp_path / "alerts.test.yaml")


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_is_seen_firing_and_silent(fires: bool) -> None:
    cases = [case for test in CASES["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if bool(case.get("exp_alerts")) is fires} == {
        rule["alert"] for rule in alerts_of(SOURCE)
    }


@pytest.mark.parametrize("rule", alerts_of(SOURCE), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_with_labels_it_has(rule: Document) -> None:
    assert rule["alert"].startswith("Goldpool")
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description"}
    text = " ".join(rule["annotations"].values())
    used = set(re.findall(r"\$labels\.(\w+)", text))
    assert used <= grouped_by(rule["expr"]) | set(rule["labels"])


@pytest.mark.parametrize("name", [rule["alert"] for rule in alerts_of(SOURCE)])
def test_an_alert_has_a_runbook_with_every_section(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert "```sh\n" in text.partition("## Diagnosis")[2].partition("## Remedy")[0]


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {rule["alert"] for rule in alerts_of(SOURCE)}


def rendered_rules(**values: Any) -> list[Document]:
    rule = the(template({"metrics": {"prometheusRule": {"enabled": True} | values}}), "PrometheusRule")
    return alerts_of(rule["spec"])


def test_runbooks_are_where_somebody_published_them() -> None:
    for rule in rendered_rules(runbookURL="https://runbooks.example/goldpool/"):
        expected = f"https://runbooks.example/goldpool/{rule['alert']}.md"
        assert rule["annotations"]["runbook_url"] == expected


def test_an_alert_can_be_left_out_and_labelled() -> None:
    kept = rendered_rules(disabled=["GoldpoolNoLeader"], alertLabels={"severity": "page", "team": "a"})
    assert len(kept) == len(alerts_of(SOURCE)) - 1
    assert all(rule["labels"] == {"severity": "page", "team": "a"} for rule in kept)
    assert "GoldpoolNoLeader" not in {rule["alert"] for rule in kept}


def test_a_group_without_alerts_is_no_group() -> None:
    storage = [rule["alert"] for rule in SOURCE["groups"][1]["rules"]]
    values = {"metrics": {"prometheusRule": {"enabled": True, "disabled": storage}}}
    assert [group["name"] for group in the(template(values), "PrometheusRule")["spec"]["groups"]] == [
        "goldpool-operator",
        "goldpool-machines",
    ]


# --- monitors


def test_nothing_of_it_unless_asked_for() -> None:
    kinds = {d["kind"] for d in template()}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}


def test_the_service_monitor_finds_the_service_and_calls_the_job_goldpool() -> None:
    documents = template(VALUE_SETS["watched"])
    monitor, service = the(documents, "ServiceMonitor"), the(documents, "Service")
    spec = monitor["spec"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert spec["namespaceSelector"]["matchNames"] == [NAMESPACE] == [service["metadata"]["namespace"]]
    assert [e["port"] for e in spec["endpoints"]] == [p["name"] for p in service["spec"]["ports"]]
    assert service["metadata"]["labels"][spec["jobLabel"]] == "goldpool"


def test_the_pod_monitor_finds_the_pods_and_calls_the_job_goldpool() -> None:
    documents = template(VALUE_SETS["watched by pods"] | {"nameOverride": "pool"})
    spec, pod = the(documents, "PodMonitor")["spec"], the(documents, "Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    [endpoint] = spec["podMetricsEndpoints"]
    assert endpoint["port"] in {p["name"] for p in pod["spec"]["containers"][0]["ports"]}
    assert endpoint["interval"] == "1m"
    assert endpoint["relabelings"] == [{"action": "labeldrop", "regex": "pod"}]
    assert labels[spec["jobLabel"]] == "goldpool"


# --- the dashboard


def test_grafana_gets_the_dashboard_where_its_sidecar_looks() -> None:
    found = the(template(VALUE_SETS["watched"]), "ConfigMap")
    assert found["metadata"]["namespace"] == "monitoring"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert yaml.safe_load(found["data"]["goldpool.json"]) == dashboard()


def test_panels_are_told_apart_and_none_lies_on_another() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_panel_asks_the_chosen_source() -> None:
    for panel in panels():
        assert panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_promtool_understands_every_query(tmp_path: Path) -> None:
    """As recording rules, which is how it takes expressions."""
    rules = [
        {"record": f"panel:{number}", "expr": target["expr"].replace("$job", "goldpool")}
        for number, target in enumerate(target for panel in panels() for target in panel["targets"])
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    check("check", "rules", path)
