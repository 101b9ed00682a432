"""Kubernetes Events: what happened to an object, for people who ask ``kubectl describe``."""

import asyncio
from collections import OrderedDict
from typing import Final

import structlog

from goldpool.engine.clock import Clock, SystemClock, micro_time
from goldpool.engine.plan import Record
from goldpool.kube.port import KubeApi, KubeError, Obj
from goldpool.kube.ratelimit import TokenBucket
from goldpool.kube.resources import EVENT

_SAME_FOR: Final = 120.0
_BURST: Final = 25
_PER_SECOND: Final = 1 / 60
_BACKLOG: Final = 1000
_REMEMBERED: Final = 4096
_NOTE: Final = 1024
"""Bytes."""
_REASON: Final = 128

log = structlog.get_logger(__name__)


class Recorder:
    """``record`` never blocks, waits or raises. What was said of an object in the last two minutes is not said again,
    and an object that says too much (25 at once, then one a minute) falls silent. An Event that cannot be posted is
    logged and lost: nothing may depend on it.
    """

    def __init__(
        self,
        api: KubeApi,
        *,
        instance: str,
        controller: str = "goldpool.io/operator",
        clock: Clock | None = None,
    ) -> None:
        self._api = api
        self._instance = instance[:128]
        self._controller = controller
        self._clock = clock or SystemClock()
        self._backlog: asyncio.Queue[Obj] = asyncio.Queue(_BACKLOG)
        self._said: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        """By the UID of the object that speaks."""
        self.dropped = 0
        """Events that nobody will ever see."""

    def record(self, record: Record) -> None:
        regarding = record.regarding["metadata"]
        uid = regarding.get("uid", "")
        if self._said_lately((uid, record.kind, record.reason, record.action, record.note)):
            return
        if not self._may_speak(uid):
            self.dropped += 1
            return
        try:
            self._backlog.put_nowait(self._event(record))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            event = await self._backlog.get()
            try:
                await self._api.create(EVENT, event)
            except KubeError as error:
                self.dropped += 1
                log.warning("event not recorded", reason=event["reason"], error=error.message)
            finally:
                self._backlog.task_done()

    async def flush(self, seconds: float = 2.0) -> None:
        """Waits until all is posted, but not longer than that."""
        try:
            await asyncio.wait_for(self._backlog.join(), seconds)
        except TimeoutError:
            log.warning("events lost at exit", count=self._backlog.qsize())

    def _said_lately(self, what: tuple[str, ...]) -> bool:
        now = self._clock.monotonic()
        while self._said and (
            len(self._said) > _REMEMBERED or now - next(iter(self._said.values())) >= _SAME_FOR
        ):
            self._said.popitem(last=False)
        if what in self._said:
            return True
        self._said[what] = now
        return False

    def _may_speak(self, uid: str) -> bool:
        bucket = self._buckets.pop(uid, None)
        if bucket is None:
            bucket = TokenBucket(_PER_SECOND, _BURST, clock=self._clock.monotonic)
        self._buckets[uid] = bucket
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket.try_take()

    def _event(self, record: Record) -> Obj:
        regarding = record.regarding
        metadata = regarding["metadata"]
        # Events are namespaced; those of cluster-scoped objects are kept in "default", where describe looks.
        namespace = metadata.get("namespace") or "default"
        return {
            "metadata": {"generateName": f"{metadata['name'][:200]}-", "namespace": namespace},
            "eventTime": micro_time(self._clock.now()),
            "type": record.kind.value,
            "reason": _cut(record.reason, _REASON),
            "action": _cut(record.action, _REASON),
            "note": _cut(record.note, _NOTE),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding.get("apiVersion", ""),
                "kind": regarding.get("kind", ""),
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            }
            | ({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
        }


def _cut(text: str, most: int) -> str:
    """The server counts bytes, whatever its message says of characters."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "…"
