"""What the kubelet and Prometheus ask: ``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from goldpool.engine.clock import Clock, SystemClock
from goldpool.engine.metrics import Metrics

_BEAT: Final = 1.0


class Health:
    """``/healthz`` fails when the event loop has not turned for ``stalled_after`` seconds, ``/readyz`` while ``ready``
    says no (caches not filled; never because another replica leads: a standby is ready to take over). A ready replica
    says its ``role``."""

    def __init__(
        self,
        metrics: Metrics,
        ready: Callable[[], bool],
        *,
        role: Callable[[], str] = lambda: "ready",
        port: int = 8080,
        host: str = "",
        stalled_after: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self._metrics = metrics
        self._ready = ready
        self._role = role
        self._host = host or None
        self._stalled_after = stalled_after
        self._clock = clock or SystemClock()
        self._beat_at = self._clock.monotonic()
        self._runner: web.AppRunner | None = None
        self._heart: asyncio.Task[None] | None = None
        self.port = port
        """0 takes a free one; after ``start`` the one taken."""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._exposition)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._heart = asyncio.create_task(self._beat(), name="heartbeat")

    async def stop(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _beat(self) -> None:
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(_BEAT)
            self._beat_at = self._clock.monotonic()
            self._metrics.loop_lag.set(max(0.0, self._beat_at - before - _BEAT))

    async def _healthz(self, _: web.Request) -> web.Response:
        age = self._clock.monotonic() - self._beat_at
        if age > self._stalled_after:
            return web.Response(status=503, text=f"event loop stalled for {age:.0f} s\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        return (
            web.Response(text=f"ok: {self._role()}\n")
            if self._ready()
            else web.Response(status=503, text="caches not synced\n")
        )

    async def _exposition(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )
