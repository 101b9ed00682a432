"""Who leads: a Lease, held by one replica at a time. The one shipped with the client library is broken
(operator.md §1.10): it dies when the server is away, writes local time as UTC, and never releases."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from goldpool.engine.clock import Clock, SystemClock, micro_time
from goldpool.kube.port import AlreadyExists, Conflict, KubeApi, KubeError, NotFound, Obj
from goldpool.kube.resources import LEASE

log = structlog.get_logger(__name__)

_REQUEST: Final = 3.0
"""Seconds for one Lease request: the general 30 would outlive the whole lease."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds. A holder stops at ``renew_deadline``, counted from the start of its last successful request; others
    wait ``duration``, counted from when they saw it renewed. The difference is the margin for slow clocks and stops."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > self.retry_period > 0:
            raise ValueError("a Lease needs duration > renew deadline > retry period > 0")

    @property
    def margin(self) -> float:
        """From the last moment a holder may send a write to the first moment another may hold."""
        return self.duration - self.renew_deadline


class Leader:
    """At most one holder at any time, as long as clocks run at about the same speed; their time of day does not matter.

    ``acquire`` returns holding: at once when the holder releases, for the Lease is watched meanwhile; else when it ran
    out. From then on it is renewed in the background. When it is lost, ``holds`` turns
    False by itself at the deadline (also after a stalled event loop), ``lost`` is set and ``on_lost`` called, once.
    This object never holds again after that: the process is expected to end.
    """

    def __init__(
        self,
        api: KubeApi,
        *,
        name: str,
        namespace: str,
        identity: str,
        terms: Terms | None = None,
        clock: Clock | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self.lost = asyncio.Event()
        self._api = api
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._terms = terms or Terms()
        self._clock = clock or SystemClock()
        self._on_lost = on_lost
        self._version = ""
        self._valid_until = float("-inf")
        self._renewing: asyncio.Task[None] | None = None
        self._watched: tuple[str, float] = ("", 0.0)
        """The version of another's lease, and since when it has not changed."""
        self._freed = asyncio.Event()

    def holds(self) -> bool:
        """Whether a write may be sent now."""
        return not self.lost.is_set() and self._clock.monotonic() < self._valid_until

    async def acquire(self) -> None:
        """Waits until this replica leads. Unreachable servers only make it wait longer."""
        if self._renewing is not None:
            raise RuntimeError("a leadership is acquired once")
        if not await self._attempt():
            await self._wait_for_it()
        log.info("leading", lease=self._name, identity=self._identity)
        self._renewing = asyncio.create_task(self._renew(), name="lease renewal")

    async def release(self) -> None:
        """Hands over at once. Only after everything this replica was doing has ended."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.wait((self._renewing,))
        if not self.holds():
            return
        self._valid_until = float("-inf")
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(self._clock.now())}
        try:
            # A renewal cut off by the cancellation may have been committed: look which version is ours.
            lease = await self._request(self._api.get(LEASE, self._name, self._namespace))
            if _holder(lease) == self._identity:
                await self._patch(spec, lease["metadata"]["resourceVersion"])
                log.info("lease released", lease=self._name)
        except (KubeError, TimeoutError) as error:
            log.warning("lease not released", lease=self._name, error=str(error))

    async def _wait_for_it(self) -> None:
        listening = asyncio.create_task(self._listen(), name="lease watch")
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), self._terms.retry_period)
                self._freed.clear()
                if await self._attempt():
                    return
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        """Only makes the next attempt come earlier: where there is no watch, the retry period decides."""
        while True:
            version, _ = self._watched
            with contextlib.suppress(KubeError):
                if version:  # else no attempt has seen a holder yet
                    await self._hear(version)
            await asyncio.sleep(self._terms.retry_period)

    async def _hear(self, version: str) -> None:
        async for event in self._api.watch(
            LEASE, self._namespace, resource_version=version, fields=f"metadata.name={self._name}"
        ):
            if event.type == "DELETED" or (event.type != "BOOKMARK" and not _holder(event.object)):
                self._freed.set()

    async def _attempt(self) -> bool:
        """One attempt to become the holder."""
        try:
            try:
                lease = await self._request(self._api.get(LEASE, self._name, self._namespace))
            except NotFound:
                started = self._clock.monotonic()
                return self._held(started, await self._request(self._api.create(LEASE, self._new_lease())))
            if not self._is_free(lease):
                return False
            started = self._clock.monotonic()
            return self._held(
                started, await self._patch(self._claim(lease), lease["metadata"]["resourceVersion"])
            )
        except (Conflict, AlreadyExists):
            return False  # another replica was faster
        except (KubeError, TimeoutError) as error:
            log.warning("lease not reachable", lease=self._name, error=str(error) or "timeout")
            return False

    def _is_free(self, lease: Obj) -> bool:
        holder = _holder(lease)
        if not holder or holder == self._identity:
            # Ours: an attempt whose answer was lost. The identity is unique to this process.
            return True
        version, now = lease["metadata"]["resourceVersion"], self._clock.monotonic()
        if self._watched[0] != version:
            self._watched = (version, now)
        duration = float(lease["spec"].get("leaseDurationSeconds") or self._terms.duration)
        return now - self._watched[1] >= duration

    async def _renew(self) -> None:
        pause = self._terms.retry_period
        while True:
            await asyncio.sleep(pause)
            pause = self._terms.retry_period
            left = self._valid_until - self._clock.monotonic()
            if left <= 0:
                return self._lose("renew deadline passed")
            started = self._clock.monotonic()
            try:
                answer = await self._patch(
                    {"renewTime": micro_time(self._clock.now())}, self._version, seconds=min(_REQUEST, left)
                )
                self._held(started, answer)
            except (Conflict, NotFound):
                if not await self._still_ours():
                    return self._lose("lease taken")
                pause = 0.0
            except (KubeError, TimeoutError) as error:
                log.warning(
                    "lease not renewed", lease=self._name, error=str(error) or "timeout", left=round(left, 1)
                )

    async def _still_ours(self) -> bool:
        """A renewal whose answer was lost makes the next one conflict, though nobody took anything."""
        try:
            lease = await self._request(self._api.get(LEASE, self._name, self._namespace))
        except NotFound:
            return False
        except (KubeError, TimeoutError):
            return True  # not known: the deadline decides
        if _holder(lease) != self._identity:
            return False
        self._version = lease["metadata"]["resourceVersion"]
        return True

    def _lose(self, why: str) -> None:
        log.error("leadership lost", lease=self._name, why=why)
        self._valid_until = float("-inf")
        self.lost.set()
        if self._on_lost is not None:
            self._on_lost()

    def _held(self, started: float, lease: Obj) -> bool:
        self._version = lease["metadata"]["resourceVersion"]
        self._valid_until = started + self._terms.renew_deadline
        return True

    async def _patch(self, spec: dict[str, Any], version: str, *, seconds: float = _REQUEST) -> Obj:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._request(
            self._api.merge_patch(LEASE, self._name, body, self._namespace), seconds=seconds
        )

    async def _request(self, request: Any, *, seconds: float = _REQUEST) -> Obj:
        async with asyncio.timeout(seconds):
            answer: Obj = await request
            return answer

    def _new_lease(self) -> Obj:
        return {
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._claim({"spec": {"leaseTransitions": -1}}),
        }

    def _claim(self, lease: Obj) -> dict[str, Any]:
        spec = lease.get("spec") or {}
        now = micro_time(self._clock.now())
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._terms.duration),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1,
        }


def _holder(lease: Obj) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")
