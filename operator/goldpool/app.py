"""Wiring: sources fill the cache, the engine runs the controllers, the dispatcher runs their Jobs. Nothing else."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog

from goldpool import __version__
from goldpool.controllers.census import Census
from goldpool.controllers.indices import register_indices
from goldpool.controllers.landscape import Bind, Landscape, Reserve
from goldpool.controllers.leaving import Leaving
from goldpool.controllers.milestones import Milestones
from goldpool.controllers.naming import LABEL_MANAGED, MANAGED_BY
from goldpool.controllers.parent import ParentController
from goldpool.controllers.storagelocation import StorageLocationController
from goldpool.controllers.storagepool import StoragePoolController
from goldpool.controllers.template import TemplateController
from goldpool.controllers.virtualmachine import VirtualMachineController
from goldpool.controllers.volume import VolumeController
from goldpool.controllers.world import World
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.dispatch.request import Ask, Settle
from goldpool.dispatch.settings import DispatchSettings
from goldpool.dispatch.settings import Limits as DispatchLimits
from goldpool.engine.engine import Engine
from goldpool.engine.health import Health
from goldpool.engine.leader import Leader, Terms
from goldpool.engine.log import configure_logging
from goldpool.engine.metrics import Metrics
from goldpool.engine.recorder import Recorder
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.client import KubeClient
from goldpool.kube.config import load_configuration
from goldpool.kube.informer import Informer, Source
from goldpool.kube.kopf_source import KopfSource
from goldpool.kube.port import Key
from goldpool.kube.sweep import Sweeper, Swept
from goldpool.settings import Settings

log = structlog.get_logger(__name__)

WRITTEN_BY_PEOPLE: Final = (r.STORAGE_POOL, r.TEMPLATE, r.VIRTUAL_MACHINE, r.VOLUME)
LEASE_NAME: Final = "goldpool-operator"


def dispatch_settings(settings: Settings) -> DispatchSettings:
    return DispatchSettings(
        image=settings.worker_image,
        namespace=settings.data_namespace,
        service_account=settings.service_account,
        image_pull_policy=settings.image_pull_policy,
        priority_class=settings.job_priority_class,
        deadline_seconds=settings.job_deadline_seconds,
        start_seconds=settings.job_start_seconds,
        limits=DispatchLimits(
            fetches_per_host=settings.fetches_per_host,
            fetches_per_pool=settings.fetches_per_pool,
            fetches=settings.fetches_per_cluster,
            source_probes_per_host=settings.source_probes_per_host,
            source_probes=settings.source_probes_per_cluster,
        ),
    )


def sources_of(client: KubeClient, cache: Cache, sweeper: Sweeper, settings: Settings) -> list[Source]:
    """kopf delivers the kinds people write; our own informers the rest. Pods and Leases of others are never read."""
    informers = (
        Informer(client, cache, each.resource, each.namespace, labels=each.labels)
        for each in _swept(settings)
        if each.resource not in WRITTEN_BY_PEOPLE
    )
    return [KopfSource(client, cache, WRITTEN_BY_PEOPLE, sweeper), *informers]


def _swept(settings: Settings) -> list[Swept]:
    """All that the cache holds."""
    ours, data = f"{LABEL_MANAGED}={MANAGED_BY}", settings.data_namespace
    clusterwide = (*WRITTEN_BY_PEOPLE, r.STORAGE_LOCATION, r.PARENT, r.NODE)
    within = (r.POD, r.JOB, r.LEASE, r.PERSISTENT_VOLUME_CLAIM)
    return [*map(Swept, clusterwide), *(Swept(resource, data, ours) for resource in within)]


def register(engine: Engine, world: World) -> Landscape:
    """The controllers, and how to do what the engine does not know; what they plan over."""
    landscape = Landscape(world)
    for controller in (
        StoragePoolController(world),
        StorageLocationController(world),
        TemplateController(world),
        ParentController(world),
        VolumeController(world, landscape),
        VirtualMachineController(world, landscape),
    ):
        engine.register(Leaving(controller, world.kube, world.cache))

    async def bind(effect: Bind) -> None:
        world.cache.observe_write(r.VOLUME, await landscape.execute(world.kube, effect))

    engine.register_executor(Ask, world.dispatcher.ask)
    engine.register_executor(Settle, world.dispatcher.settle)
    engine.register_executor(Bind, bind)
    engine.register_executor(Reserve, landscape.reserve)
    engine.before_work(world.dispatcher.rebuild)
    return landscape


def wake(engine: Callable[[], Engine]) -> Callable[[Key], None]:
    """An operation's news go to the controller of its owner's kind."""

    def enqueue(key: Key) -> None:
        engine().enqueue(key.kind.lower(), key)

    return enqueue


async def run(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Losing the Lease ends the process at once: another replica may act by then."""
    identity = f"{settings.pod_name}-{secrets.token_hex(3)}"
    metrics = Metrics()
    metrics.build.labels(__version__).set(1)
    terms = Terms(settings.lease_seconds, settings.lease_renew_seconds, settings.lease_retry_seconds)
    client, lease_client = await _clients(settings, metrics, terms)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    cache = Cache()
    register_indices(cache)
    cluster_uid = await _cluster_uid(client, stop)
    if stop.is_set():
        return
    recorder = Recorder(client, instance=identity)
    leader = Leader(
        lease_client,
        name=LEASE_NAME,
        namespace=settings.namespace,
        identity=identity,
        terms=terms,
        on_lost=lambda: os._exit(1),
    )
    client.fence(leader.holds)
    metrics.watch_leader(LEASE_NAME, leader.holds)
    engine = Engine(
        client, cache, recorder, workers=settings.workers, metrics=metrics, may_write=leader.holds
    )
    milestones = Milestones(metrics.registry, leads=leader.holds, now=_now)
    dispatcher = Dispatcher(
        client,
        cache,
        settings=dispatch_settings(settings),
        wake=wake(lambda: engine),
        clock=_now,
        ended=milestones.ended,
    )
    world = World(cache, client, dispatcher, settings, cluster_uid=cluster_uid, now=_now)
    landscape = register(engine, world)
    cache.add_listener(dispatcher.observe)
    cache.add_listener(milestones.observe)

    sweeper = Sweeper(client, cache, _swept(settings), period=settings.sweep_seconds)
    sources = sources_of(client, cache, sweeper, settings)
    metrics.watch(sources, sweeper, recorder)
    metrics.add_collector(Census(world, landscape, leader.holds).collect)
    health = Health(
        metrics,
        ready=lambda: all(s.synced.is_set() for s in sources),
        role=lambda: "leading" if leader.holds() else "standby",
        port=settings.health_port,
    )
    await health.start()
    background: tuple[Awaitable[object], ...] = (*(s.run() for s in sources), sweeper.run(), recorder.run())
    tasks = [_supervised(work, stop) for work in background]
    try:
        if not await _first(stop, asyncio.gather(*(s.synced.wait() for s in sources))):
            return
        log.info("caches filled", identity=identity)
        if not await _first(stop, leader.acquire()):
            return
        log.info("leading", identity=identity)
        if not await _first(stop, engine.start()):
            return
        tasks.append(_supervised(dispatcher.run(), stop))
        await stop.wait()
        await engine.stop()
        await recorder.flush()
    finally:
        await _leave(client, leader, tasks)
        await health.stop()
        await client.close()
        await lease_client.close()
        log.info("stopped", identity=identity)


async def _clients(settings: Settings, metrics: Metrics, terms: Terms) -> tuple[KubeClient, KubeClient]:
    """One for everything, and one for the Lease: neither fenced nor behind other writes, for it renews what the fence
    asks for. What the kernel still repeats when leadership ends has gone before another may lead."""
    configuration = await load_configuration()
    observe = metrics.count_request(configuration.host)
    late = terms.margin * 0.8
    return (
        KubeClient(
            configuration,
            rate=settings.api_qps,
            burst=settings.api_burst,
            observe=observe,
            unacknowledged=late,
        ),
        KubeClient(configuration, observe=observe, unacknowledged=late),
    )


async def _leave(client: KubeClient, leader: Leader, tasks: list[asyncio.Task[None]]) -> None:
    """Every write is answered before the Lease is given back; where one is not, the Lease runs out instead."""
    answered = await client.seal(5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=5)
    if answered:
        await leader.release()


async def _cluster_uid(client: KubeClient, stop: asyncio.Event) -> str:
    """The UID of kube-system stands for the cluster: it is on every location's identity."""
    while not stop.is_set():
        try:
            found: str = (await client.get(r.NAMESPACE, "kube-system"))["metadata"]["uid"]
        except Exception as error:  # whatever it is, the pod must not crash-loop while the API server is away
            log.warning("API server not reached", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 2)
        else:
            return found
    return ""


async def _first(stop: asyncio.Event, wanted: Awaitable[object]) -> bool:
    """True once ``wanted`` is done, False when the process is to stop first."""
    waits = [asyncio.ensure_future(wanted), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    done = waits[0].done()
    for task in waits:
        task.cancel()
    with suppress(asyncio.CancelledError):
        if done:
            waits[0].result()
    return done


def _supervised(work: Awaitable[object], stop: asyncio.Event) -> asyncio.Task[None]:
    """None of the background tasks ever ends by itself: one that does takes the process with it."""

    async def watched() -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("background task failed")
        if not stop.is_set():
            log.error("background task ended")
            os._exit(1)

    return asyncio.create_task(watched())


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """``goldpool-operator``: everything is set by environment variables (see ``settings``)."""
    settings = Settings.from_environment()
    terminal = {"json": False, "console": True}.get(settings.log_format)
    configure_logging(terminal=terminal, replica=settings.pod_name)
    try:
        asyncio.run(run(settings))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
