"""What a metric is, apart from its values: said once, and read by the registry, the documentation and the tests of
alerts and dashboards."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]
Values = Mapping[Labels, float]
"""Label values, in the order of the family's labels, to the value."""


@dataclass(frozen=True, slots=True)
class Family:
    """``name`` is as queries use it, so a counter's ends in ``_total``; a histogram's is without ``_bucket``.

    ``unit`` of values is in the name, as Prometheus asks: seconds or bytes; without one it is a count.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    text: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()

    def series(self) -> tuple[str, ...]:
        """Names of its time series."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self._bare(), self.text, self.labels, registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        return Gauge(self.name, self.text, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.text, self.labels, registry=registry, buckets=self.buckets)

    def collected(self, values: Values) -> Metric:
        """The family with values that were computed now."""
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        family = kind(self._bare(), self.text, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, value)
        return family

    def _bare(self) -> str:
        return self.name.removesuffix("_total")


class Collected(Collector):
    """Metrics that are computed when they are read."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def by_first_label(values: Mapping[str, float]) -> Values:
    return {(label,): value for label, value in values.items()}


def families_in(module: object) -> Iterator[Family]:
    """Those a module declares, in its order."""
    yield from (value for value in vars(module).values() if isinstance(value, Family))


PROCESS: Final = (
    Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."),
    Family("process_max_fds", "gauge", "Maximum number of open file descriptors."),
    Family("process_open_fds", "gauge", "Number of open file descriptors."),
    Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
    Family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
    Family("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
)
"""Of prometheus_client's own ProcessCollector, here only for the documentation."""
