"""What Prometheus, the kubelet and the log's readers get."""

import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import aiohttp
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from goldpool.engine.clock import SystemClock, micro_time
from goldpool.engine.health import Health
from goldpool.engine.log import configure_logging
from goldpool.engine.metrics import EngineKey, Metrics
from goldpool.engine.queue import WorkQueue
from goldpool.kube.port import Key, Resource
from goldpool.kube.resources import VOLUME

CONTROLLER_RUNTIME = {
    "controller_runtime_reconcile_total",
    "controller_runtime_reconcile_errors_total",
    "controller_runtime_terminal_reconcile_errors_total",
    "controller_runtime_reconcile_time_seconds_bucket",
    "controller_runtime_max_concurrent_reconciles",
    "controller_runtime_active_workers",
    "workqueue_depth",
    "workqueue_adds_total",
    "workqueue_queue_duration_seconds_bucket",
    "workqueue_work_duration_seconds_bucket",
    "workqueue_unfinished_work_seconds",
    "workqueue_longest_running_processor_seconds",
    "workqueue_retries_total",
    "rest_client_requests_total",
    "leader_election_master_status",
}


def samples(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


class Source:
    resources: Sequence[Resource] = (VOLUME,)

    def last_event_age(self) -> float:
        return 7.0


class Sweeper:
    def __init__(self) -> None:
        self.corrections: dict[Resource, int] = {VOLUME: 0}

    def ages(self) -> dict[Resource, float]:
        return {VOLUME: 9.0}


class Recorder:
    dropped = 0


def test_a_first_failure_is_seen_by_a_rate() -> None:
    """Which knows no increase from nothing to one."""
    metrics = Metrics()
    metrics.start_controller("volume", 4)
    seen = samples(metrics)
    assert seen["controller_runtime_reconcile_errors_total[('controller', 'volume')]"] == 0
    assert seen["controller_runtime_terminal_reconcile_errors_total[('controller', 'volume')]"] == 0
    assert seen["controller_runtime_reconcile_total[('controller', 'volume'), ('result', 'error')]"] == 0


async def test_the_names_that_stock_dashboards_know() -> None:
    metrics = Metrics()
    queue: WorkQueue[EngineKey] = WorkQueue(observer=metrics)
    metrics.watch_queue(queue.schedule)
    sweeper, recorder = Sweeper(), Recorder()
    metrics.watch([Source()], sweeper, recorder)
    sweeper.corrections[VOLUME], recorder.dropped = 3, 5
    leading: list[bool] = []
    metrics.watch_leader("goldpool", lambda: bool(leading))
    metrics.start_controller("volume", 4)
    for name in ("a", "b"):
        queue.add(("volume", Key("Volume", "ns", name)))
    first = await queue.get()
    metrics.count_request("https://api")("GET", "200", 0.1)
    metrics.reconcile_seconds.labels("volume").observe(0.1)
    metrics.retried(first)
    metrics.finished(first, 0.1)
    seen = samples(metrics)
    assert not CONTROLLER_RUNTIME - {name.split("[")[0] for name in seen}
    assert seen["workqueue_depth[('name', 'volume')]"] == 1
    assert seen["workqueue_adds_total[('name', 'volume')]"] == 2
    assert seen["goldpool_cache_last_event_age_seconds[('kind', 'Volume')]"] == 7
    assert seen["goldpool_sweeper_corrections_total[('kind', 'Volume')]"] == 3
    assert seen["goldpool_sweeper_last_sweep_age_seconds[('kind', 'Volume')]"] == 9
    assert seen["goldpool_events_dropped_total[]"] == 5
    assert seen["leader_election_master_status[('name', 'goldpool')]"] == 0
    leading.append(True)
    assert samples(metrics)["leader_election_master_status[('name', 'goldpool')]"] == 1
    queue.done(first)
    assert "workqueue_longest_running_processor_seconds[('name', 'volume')]" not in samples(metrics)


class Jumping(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


async def test_probes() -> None:
    ready: list[bool] = []
    clock = Jumping()
    health = Health(Metrics(), lambda: bool(ready), port=0, host="127.0.0.1", clock=clock)
    await health.start()

    async def status(path: str) -> int:
        url = f"http://127.0.0.1:{health.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status

    try:
        assert await status("/healthz") == 200
        assert await status("/readyz") == 503
        ready.append(True)
        assert await status("/readyz") == 200
        assert await status("/metrics") == 200
        clock.ahead = 31.0  # since the heart last beat
        assert await status("/healthz") == 503
        await asyncio.sleep(1.2)
        assert await status("/healthz") == 200
    finally:
        await health.stop()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> object:
    before = structlog.get_config()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def test_one_line_of_json_per_event(lines: object, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging(terminal=False, replica="one")
    log = structlog.get_logger("goldpool.test")
    with structlog.contextvars.bound_contextvars(controller="volume"):
        log.info("parent published", name="p")
    logging.getLogger("kopf.activities").info("chatter")
    logging.getLogger("kopf.activities").warning("trouble in %s", "paradise")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("pass failed")
    sys.stdout.flush()
    published, trouble, failed = lines()  # type: ignore[operator]
    assert published["event"] == "parent published"
    assert (published["controller"], published["name"], published["replica"]) == ("volume", "p", "one")
    assert published["level"] == "info"
    assert (trouble["event"], trouble["logger"]) == ("trouble in paradise", "kopf.activities")
    assert "ValueError: no" in failed["exception"]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "2026-01-02T03:04:05.000000Z",
        ),  # isoformat omits the zeros
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.000000Z"),
    ],
)
def test_a_micro_time_has_six_digits_and_is_utc(moment: datetime, text: str) -> None:
    assert micro_time(moment) == text
