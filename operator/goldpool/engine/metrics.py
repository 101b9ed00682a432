"""Prometheus metrics in a registry of our own, named as controller-runtime names them, so that stock dashboards work.

No label ever names an object that users make: ten thousand of them would be ten thousand time series.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric

from goldpool.engine.clock import Clock, SystemClock
from goldpool.engine.families import Collected, Family, by_first_label
from goldpool.kube.port import Key, Resource

EngineKey = tuple[str, Key]
"""The name of a controller and one of its keys."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_QUEUE_SECONDS: Final = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1000.0)

RECONCILES = Family(
    "controller_runtime_reconcile_total", "counter",
    "Passes by how they ended: success, requeue, requeue_after or error.", ("controller", "result"),
)  # fmt: skip
RECONCILE_ERRORS = Family(
    "controller_runtime_reconcile_errors_total", "counter", "Passes that failed.", ("controller",)
)
TERMINAL_ERRORS = Family(
    "controller_runtime_terminal_reconcile_errors_total", "counter",
    "Passes whose writes the API server will never accept as they are.", ("controller",),
)  # fmt: skip
RECONCILE_SECONDS = Family(
    "controller_runtime_reconcile_time_seconds", "histogram", "Duration of a pass.", ("controller",), _SECONDS
)
WORKERS_MAX = Family(
    "controller_runtime_max_concurrent_reconciles", "gauge", "Workers, shared by all controllers.",
    ("controller",),
)  # fmt: skip
WORKERS_ACTIVE = Family("controller_runtime_active_workers", "gauge", "Passes that run now.", ("controller",))
QUEUE_DEPTH = Family("workqueue_depth", "gauge", "Keys that wait.", ("name",))
QUEUE_ADDS = Family("workqueue_adds_total", "counter", "Keys added.", ("name",))
QUEUE_RETRIES = Family("workqueue_retries_total", "counter", "Keys added again after a failure.", ("name",))
QUEUE_SECONDS = Family(
    "workqueue_queue_duration_seconds", "histogram", "Time a key waited.", ("name",), _QUEUE_SECONDS
)
WORK_SECONDS = Family(
    "workqueue_work_duration_seconds", "histogram", "Time a key was processed.", ("name",), _SECONDS
)
UNFINISHED = Family(
    "workqueue_unfinished_work_seconds", "gauge", "Summed age of the running passes.", ("name",)
)
LONGEST_RUNNING = Family(
    "workqueue_longest_running_processor_seconds", "gauge", "Age of the oldest running pass.", ("name",)
)
REQUESTS = Family(
    "rest_client_requests_total", "counter",
    "Requests to the API server, watches too; the code is <error> when no answer came.",
    ("code", "method", "host"),
)  # fmt: skip
LEADER = Family(
    "leader_election_master_status", "gauge", "1 on the replica that leads, 0 on others.", ("name",)
)
EFFECTS = Family(
    "goldpool_effects_total", "counter", "Effects of passes by outcome: success, conflict or error.",
    ("controller", "effect", "outcome"),
)  # fmt: skip
CACHE_AGE = Family(
    "goldpool_cache_last_event_age_seconds", "gauge",
    "Time since the API server last said anything about this kind (an event or a bookmark).", ("kind",),
)  # fmt: skip
CORRECTIONS = Family(
    "goldpool_sweeper_corrections_total", "counter", "Cached objects that a sweep found gone, new or newer.",
    ("kind",),
)  # fmt: skip
SWEEP_AGE = Family(
    "goldpool_sweeper_last_sweep_age_seconds", "gauge",
    "Time since the cached objects of this kind were last compared with the API server's.", ("kind",),
)  # fmt: skip
EVENTS_DROPPED = Family(
    "goldpool_events_dropped_total", "counter",
    "Events not recorded: their object said too much, the backlog was full, or the API server refused.",
)  # fmt: skip
LOOP_LAG = Family("goldpool_event_loop_lag_seconds", "gauge", "How late a timer last fired.")
BUILD = Family("goldpool_build_info", "gauge", "Always 1.", ("version",))


class QueueView(Protocol):
    def waiting(self) -> list[EngineKey]: ...

    def processing(self) -> dict[EngineKey, float]: ...


class SourceView(Protocol):
    resources: Sequence[Resource]

    def last_event_age(self) -> float: ...


class SweeperView(Protocol):
    @property
    def corrections(self) -> Mapping[Resource, int]: ...

    def ages(self) -> Mapping[Resource, float]: ...


class RecorderView(Protocol):
    @property
    def dropped(self) -> int: ...


class Metrics:
    """One per process. Also the queue's observer."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        # A second series per counter, which says when it began: nobody asks, and process_start_time_seconds tells.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        self._clock = clock or SystemClock()
        self.reconciles = RECONCILES.counter(registry)
        self.reconcile_errors = RECONCILE_ERRORS.counter(registry)
        self.terminal_errors = TERMINAL_ERRORS.counter(registry)
        self.reconcile_seconds = RECONCILE_SECONDS.histogram(registry)
        self.workers_max = WORKERS_MAX.gauge(registry)
        self.workers_active = WORKERS_ACTIVE.gauge(registry)
        self.adds = QUEUE_ADDS.counter(registry)
        self.retries = QUEUE_RETRIES.counter(registry)
        self.queue_seconds = QUEUE_SECONDS.histogram(registry)
        self.work_seconds = WORK_SECONDS.histogram(registry)
        self.requests = REQUESTS.counter(registry)
        self.effects = EFFECTS.counter(registry)
        self.loop_lag = LOOP_LAG.gauge(registry)
        self.build = BUILD.gauge(registry)

    # --- wiring

    def count_request(self, host: str) -> Callable[[str, str, float], None]:
        """For ``KubeClient(observe=...)``."""

        def observe(method: str, code: str, _: float) -> None:
            self.requests.labels(code, method, host).inc()

        return observe

    def start_controller(self, name: str, workers: int) -> None:
        """A rate or a sum over a series that appears only with its first failure would miss that failure."""
        self.workers_max.labels(name).set(workers)
        self.workers_active.labels(name)
        self.reconcile_errors.labels(name)
        self.terminal_errors.labels(name)
        for result in ("success", "requeue", "requeue_after", "error"):
            self.reconciles.labels(name, result)

    def watch_queue(self, queue: QueueView) -> None:
        self.add_collector(lambda: _queue_metrics(queue, self._clock.monotonic()))

    def watch_leader(self, name: str, leads: Callable[[], bool]) -> None:
        self.add_collector(lambda: [LEADER.collected({(name,): leads()})])

    def watch(self, sources: Sequence[SourceView], sweeper: SweeperView, recorder: RecorderView) -> None:
        """How true the cache is, and what the recorder could not say."""
        self.add_collector(lambda: _cache_metrics(sources, sweeper))
        self.add_collector(lambda: [EVENTS_DROPPED.collected({(): recorder.dropped})])

    def add_collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Metrics computed when they are read: counts over the cache, for one."""
        self.registry.register(Collected(collect))

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


def _queue_metrics(queue: QueueView, now: float) -> Iterator[Metric]:
    depth: dict[str, float] = {}
    for name, _ in queue.waiting():
        depth[name] = depth.get(name, 0) + 1
    ages: dict[str, list[float]] = {}
    for (name, _), since in queue.processing().items():
        ages.setdefault(name, []).append(now - since)
    yield QUEUE_DEPTH.collected(by_first_label(depth))
    yield UNFINISHED.collected({(name,): sum(seconds) for name, seconds in ages.items()})
    yield LONGEST_RUNNING.collected({(name,): max(seconds) for name, seconds in ages.items()})


def _cache_metrics(sources: Sequence[SourceView], sweeper: SweeperView) -> Iterator[Metric]:
    yield CACHE_AGE.collected(
        {(resource.kind,): source.last_event_age() for source in sources for resource in source.resources}
    )

    yield CORRECTIONS.collected({(r.kind,): count for r, count in sweeper.corrections.items()})
    yield SWEEP_AGE.collected({(r.kind,): age for r, age in sweeper.ages().items()})
