"""The Grafana dashboard that the chart carries: rows of panels, each a question and the queries that answer it."""

import json
from dataclasses import dataclass
from typing import Any, Final

PATH: Final = "charts/goldpool/files/dashboard.json"
_JOB: Final = 'job="$job"'
_WIDTH: Final = 24
_HEIGHT: Final = 7


@dataclass(frozen=True)
class Panel:
    """``queries`` are (PromQL, legend); JOB in them stands for the matcher of the chosen job."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    text: str = ""


def _quantiles(name: str, by: str = "", matcher: str = "JOB") -> tuple[tuple[str, str], ...]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({name}_bucket{{{matcher}}}[5m])))",
            f"p{p}{legend}",
        )
        for q, p in ((0.5, 50), (0.95, 95))
    )


def _share(part: str, whole: str) -> str:
    return f"max by (pool, host) ({part}{{JOB}}) / max by (pool, host) ({whole}{{JOB}})"


_SLOWEST_OPERATIONS: Final = (
    "histogram_quantile(0.95, sum by (le, kind) (rate(goldpool_operation_duration_seconds_bucket{JOB}[5m])))"
)
ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "Machines and storage",
        (
            Panel("Leader", (("sum(leader_election_master_status{JOB})", ""),), kind="stat",
                  text="Replicas that lead: one, or nothing works."),
            Panel("Machines", (("sum(max by (phase) (goldpool_virtualmachines{JOB}))", ""),), kind="stat"),
            Panel("Running", (('max(goldpool_virtualmachines{JOB, phase="Running"})', ""),), kind="stat"),
            Panel("In trouble",
                  (('sum(max by (phase) (goldpool_virtualmachines{JOB, phase=~"Failed|(Storage)?Paused|HostLost"}))', ""),),
                  kind="stat"),
            Panel("Machines by phase", (("max by (phase) (goldpool_virtualmachines{JOB})", "{{phase}}"),)),
            Panel("Time to first Running",
                  _quantiles("goldpool_time_to_ready_seconds", matcher='JOB, kind="VirtualMachine"'), unit="s"),
            Panel("Parents by state", (("max by (state) (goldpool_parents{JOB})", "{{state}}"),)),
            Panel("Time to fetch a parent",
                  _quantiles("goldpool_time_to_ready_seconds", matcher='JOB, kind="Parent"'), unit="s"),
            Panel("Downloaded", (("sum(rate(goldpool_fetched_bytes_total{JOB}[5m]))", "bytes/s"),), unit="Bps",
                  text="Counted when a download is published."),
            Panel("Volumes by phase", (("max by (phase) (goldpool_volumes{JOB})", "{{phase}}"),)),
            Panel("Templates by phase", (("max by (phase) (goldpool_templates{JOB})", "{{phase}}"),)),
            Panel("Locations that cannot be used",
                  (('max by (pool, phase) (goldpool_locations{JOB, phase!="Ready"})', "{{pool}} {{phase}}"),)),
        ),
    ),
    (
        "Pools",
        (
            Panel("Used part of each location",
                  ((_share("goldpool_location_used_bytes", "goldpool_location_filesystem_bytes"),
                    "{{pool}} {{host}}"),), unit="percentunit"),
            Panel("Used, of what may be used",
                  ((_share("goldpool_location_used_bytes", "goldpool_location_used_limit_bytes"),
                    "{{pool}} {{host}}"),), unit="percentunit",
                  text="At 100 % nothing new is placed there (usedLimitPercent)."),
            Panel("Promised, of what may be promised",
                  ((_share("goldpool_location_allocated_bytes", "goldpool_location_allocated_limit_bytes"),
                    "{{pool}} {{host}}"),), unit="percentunit",
                  text="Over-provisioning included (allocatedLimitPercent)."),
            Panel("Capacity by pool",
                  (("sum by (pool) (max by (pool, host) (goldpool_location_capacity_bytes{JOB}))", "{{pool}}"),),
                  unit="bytes"),
        ),
    ),
    (
        "Operations",
        (
            Panel("Operations by kind",
                  (("sum by (kind) (rate(goldpool_operations_total{JOB}[5m]))", "{{kind}}"),), unit="ops"),
            Panel("Failed operations",
                  (('sum by (kind, outcome) (rate(goldpool_operations_total{JOB, outcome!="Succeeded"}[5m]))',
                    "{{kind}} {{outcome}}"),), unit="ops"),
            Panel("Duration of operations, p95",
                  ((_SLOWEST_OPERATIONS, "{{kind}}"),), unit="s"),
            Panel("Waiting, and Jobs",
                  (("max(goldpool_operations_waiting{JOB})", "waiting operations"),
                   ("max by (kind) (goldpool_storage_jobs{JOB})", "Jobs: {{kind}}"))),
        ),
    ),
    (
        "The operator",
        (
            Panel("Passes", (("sum by (controller) (rate(controller_runtime_reconcile_total{JOB}[5m]))",
                              "{{controller}}"),), unit="ops"),
            Panel("Failed passes",
                  (("sum by (controller) (rate(controller_runtime_reconcile_errors_total{JOB}[5m]))",
                    "{{controller}}"),
                   ("sum by (controller) (rate(controller_runtime_terminal_reconcile_errors_total{JOB}[5m]))",
                    "refused: {{controller}}")), unit="ops"),
            Panel("Duration of a pass",
                  _quantiles("controller_runtime_reconcile_time_seconds", "controller"), unit="s"),
            Panel("Waiting keys", (("max by (name) (workqueue_depth{JOB})", "{{name}}"),),
                  text="A standby's wait until it leads."),
            Panel("Time in the queue", _quantiles("workqueue_queue_duration_seconds", "name"), unit="s"),
            Panel("Effects", (("sum by (effect, outcome) (rate(goldpool_effects_total{JOB}[5m]))",
                               "{{effect}} {{outcome}}"),), unit="ops"),
            Panel("Requests to the API server",
                  (("sum by (method, code) (rate(rest_client_requests_total{JOB}[5m]))", "{{method}} {{code}}"),),
                  unit="reqps"),
            Panel("Age of the cache",
                  (("max by (kind) (goldpool_cache_last_event_age_seconds{JOB})", "{{kind}}"),
                   ("max by (kind) (goldpool_sweeper_last_sweep_age_seconds{JOB})", "sweep: {{kind}}")), unit="s"),
            Panel("Missed changes, dropped events",
                  (("sum by (kind) (increase(goldpool_sweeper_corrections_total{JOB}[1h]))", "corrected: {{kind}}"),
                   ("sum(increase(goldpool_events_dropped_total{JOB}[1h]))", "events dropped"))),
            Panel("Event loop", (("max by (instance) (goldpool_event_loop_lag_seconds{JOB})", "{{instance}}"),),
                  unit="s", text="How late timers fire."),
            Panel("CPU", (("rate(process_cpu_seconds_total{JOB}[5m])", "{{instance}}"),)),
            Panel("Memory", (("process_resident_memory_bytes{JOB}", "{{instance}}"),), unit="bytes"),
        ),
    ),
)  # fmt: skip


def files() -> dict[str, str]:
    """Path below the repository's root to content."""
    return {PATH: json.dumps(dashboard(), indent=1) + "\n"}


def dashboard() -> dict[str, Any]:
    """In Grafana's JSON model, schema version 39 (Grafana 11)."""
    return {
        "title": "Goldpool",
        "uid": "goldpool",
        "description": "Machines, pools and the operator behind them.",
        "tags": ["goldpool", "kubernetes"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _VARIABLES},
        "panels": _panels(),
    }


_VARIABLES: Final[list[dict[str, Any]]] = [
    {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
    {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": {"query": "label_values(goldpool_build_info, job)", "refId": "job"},
        "refresh": 2,
        "current": {"text": "goldpool", "value": "goldpool"},
    },
]


def _panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    x, y = 0, 0
    for title, panels in ROWS:
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        made.append({"id": len(made) + 1, **row, "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1}})
        x, y, height = 0, y + 1, 0
        for panel in panels:
            w, h = (6, 4) if panel.kind == "stat" else (8, _HEIGHT)
            if x + w > _WIDTH or (height and h != height):
                x, y = 0, y + height
            height = h
            made.append({"id": len(made) + 1, **_panel(panel), "gridPos": {"x": x, "y": y, "w": w, "h": h}})
            x += w
        y += height
    return made


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": source,
                "expr": query.replace("JOB", _JOB),
                "legendFormat": legend,
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }
