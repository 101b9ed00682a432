"""Prometheus metrics in a registry of our own, named as controller-runtime names them, so that stock dashboards work.

No label ever names an object: ten thousand of them would be ten thousand time series.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from goldpool.engine.clock import Clock, SystemClock
from goldpool.kube.port import Key, Resource

EngineKey = tuple[str, Key]
"""The name of a controller and one of its keys."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_QUEUE_SECONDS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1000.0)


class QueueView(Protocol):
    def waiting(self) -> list[EngineKey]: ...

    def processing(self) -> dict[EngineKey, float]: ...


class SourceView(Protocol):
    resources: Sequence[Resource]

    def last_event_age(self) -> float: ...


class Metrics:
    """One per process. Also the queue's observer."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._clock = clock or SystemClock()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.reconciles = counter(
            "controller_runtime_reconcile",
            "Passes by how they ended.",
            ["controller", "result"],
        )
        self.reconcile_errors = counter(
            "controller_runtime_reconcile_errors",
            "Passes that failed.",
            ["controller"],
        )
        self.terminal_errors = counter(
            "controller_runtime_terminal_reconcile_errors",
            "Passes whose writes the API server will never accept as they are.",
            ["controller"],
        )
        self.reconcile_seconds = histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a pass.",
            ["controller"],
            buckets=_SECONDS,
        )
        self.workers_max = gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Workers, shared by all.",
            ["controller"],
        )
        self.workers_active = gauge(
            "controller_runtime_active_workers",
            "Passes that run now.",
            ["controller"],
        )
        self.adds = counter(
            "workqueue_adds",
            "Keys added.",
            ["name"],
        )
        self.retries = counter(
            "workqueue_retries",
            "Keys added again after a failure.",
            ["name"],
        )
        self.queue_seconds = histogram(
            "workqueue_queue_duration_seconds",
            "Time a key waited.",
            ["name"],
            buckets=_QUEUE_SECONDS,
        )
        self.work_seconds = histogram(
            "workqueue_work_duration_seconds",
            "Time a key was processed.",
            ["name"],
            buckets=_SECONDS,
        )
        self.requests = counter(
            "rest_client_requests",
            "Requests.",
            ["code", "method", "host"],
        )
        self.leader = gauge(
            "leader_election_master_status",
            "1 on the replica that leads.",
            ["name"],
        )
        self.effects = counter(
            "goldpool_effects",
            "Effects by outcome.",
            ["controller", "effect", "outcome"],
        )
        self.loop_lag = gauge(
            "goldpool_event_loop_lag_seconds",
            "How late a timer last fired.",
        )
        self.build = gauge(
            "goldpool_build_info",
            "Always 1.",
            ["version"],
        )

    # --- wiring

    def count_request(self, host: str) -> Callable[[str, str, float], None]:
        """For ``KubeClient(observe=...)``."""

        def observe(method: str, code: str, _: float) -> None:
            self.requests.labels(code, method, host).inc()

        return observe

    def watch_queue(self, queue: QueueView) -> None:
        self.registry.register(_Collected(lambda: _queue_metrics(queue, self._clock.monotonic())))

    def watch_sources(self, sources: Sequence[SourceView]) -> None:
        self.registry.register(_Collected(lambda: _source_metrics(sources)))

    def watch_corrections(self, corrections: Mapping[Resource, int]) -> None:
        self.registry.register(_Collected(lambda: _correction_metrics(corrections)))

    def add_collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Metrics computed when they are read: counts over the cache, for one."""
        self.registry.register(_Collected(collect))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    # --- the queue's observer

    def added(self, key: EngineKey) -> None:
        self.adds.labels(key[0]).inc()

    def started(self, key: EngineKey, waited: float) -> None:
        self.queue_seconds.labels(key[0]).observe(waited)

    def finished(self, key: EngineKey, took: float) -> None:
        self.work_seconds.labels(key[0]).observe(took)

    def retried(self, key: EngineKey) -> None:
        self.retries.labels(key[0]).inc()


class _Collected(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _queue_metrics(queue: QueueView, now: float) -> Iterator[Metric]:
    depth: dict[str, int] = {}
    for name, _ in queue.waiting():
        depth[name] = depth.get(name, 0) + 1
    ages: dict[str, list[float]] = {}
    for (name, _), since in queue.processing().items():
        ages.setdefault(name, []).append(now - since)
    yield _gauges("workqueue_depth", "Keys that wait.", "name", depth)
    yield _gauges(
        "workqueue_unfinished_work_seconds",
        "Summed age of the running passes.",
        "name",
        {name: sum(seconds) for name, seconds in ages.items()},
    )
    yield _gauges(
        "workqueue_longest_running_processor_seconds",
        "Age of the oldest running pass.",
        "name",
        {name: max(seconds) for name, seconds in ages.items()},
    )


def _source_metrics(sources: Sequence[SourceView]) -> Iterator[Metric]:
    yield _gauges(
        "goldpool_cache_last_event_age_seconds",
        "Time since the API server last said anything about this kind.",
        "kind",
        {resource.kind: source.last_event_age() for source in sources for resource in source.resources},
    )


def _correction_metrics(corrections: Mapping[Resource, int]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "goldpool_sweeper_corrections", "Objects whose deletion the source had missed.", labels=["kind"]
    )
    for resource, count in corrections.items():
        family.add_metric([resource.kind], count)
    yield family


def _gauges(name: str, text: str, label: str, values: Mapping[str, Any]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], float(number))
    return family
