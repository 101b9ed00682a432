"""What the recorder keeps to itself. What the server accepts: tests/cluster/engine."""

import asyncio
from typing import Any

from goldpool.engine.plan import EventKind, Record
from goldpool.engine.recorder import Recorder
from goldpool.kube.port import Obj, Resource, Unavailable
from tests.unit.engine.virtual_time import LoopClock, run_virtually


class Posted:
    """The one method of the API that a recorder uses."""

    def __init__(self, *, broken: bool = False) -> None:
        self.events: list[Obj] = []
        self.broken = broken

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        await asyncio.sleep(0.01)
        if self.broken:
            raise Unavailable("away")
        self.events.append(obj)
        return obj


def a_record(note: str = "made", *, uid: str = "u1", **metadata: Any) -> Record:
    regarding = {"apiVersion": "v1", "kind": "Toy", "metadata": {"name": "a", "uid": uid, **metadata}}
    return Record(regarding, EventKind.NORMAL, "Made", "Make", note)


def a_recorder(posted: Posted) -> Recorder:
    return Recorder(posted, instance="one", clock=LoopClock())  # type: ignore[arg-type]


def test_the_same_is_said_once_in_two_minutes() -> None:
    async def main() -> None:
        posted = Posted()
        recorder = a_recorder(posted)
        running = asyncio.create_task(recorder.run())
        for _ in range(13):  # two minutes
            recorder.record(a_record())
            recorder.record(a_record(uid="u2"))
            await asyncio.sleep(10.0)
        assert [event["regarding"]["uid"] for event in posted.events] == ["u1", "u2", "u1", "u2"]
        running.cancel()

    run_virtually(main())


def test_an_object_that_says_too_much_falls_silent_and_others_do_not() -> None:
    async def main() -> None:
        posted = Posted()
        recorder = a_recorder(posted)
        running = asyncio.create_task(recorder.run())
        for number in range(100):
            recorder.record(a_record(f"note {number}"))
        recorder.record(a_record(uid="u2"))
        await recorder.flush()
        assert len(posted.events) == 26
        assert recorder.dropped == 75
        running.cancel()

    run_virtually(main())


def test_an_event_that_cannot_be_posted_is_lost_and_the_next_is_not() -> None:
    async def main() -> None:
        posted = Posted(broken=True)
        recorder = a_recorder(posted)
        running = asyncio.create_task(recorder.run())
        recorder.record(a_record("lost"))
        await recorder.flush()
        posted.broken = False
        recorder.record(a_record("kept"))
        await recorder.flush()
        assert [event["note"] for event in posted.events] == ["kept"]
        running.cancel()

    run_virtually(main())


def test_where_an_event_is_kept() -> None:
    async def main() -> None:
        posted = Posted()
        recorder = a_recorder(posted)
        running = asyncio.create_task(recorder.run())
        recorder.record(a_record(namespace="team-a"))
        recorder.record(a_record("cluster-scoped", uid="u2"))
        await recorder.flush()
        namespaced, cluster_scoped = posted.events
        assert namespaced["metadata"]["namespace"] == namespaced["regarding"]["namespace"] == "team-a"
        assert cluster_scoped["metadata"]["namespace"] == "default"
        assert "namespace" not in cluster_scoped["regarding"]
        assert len(namespaced["eventTime"]) == len("2026-01-01T00:00:00.000000Z")
        running.cancel()

    run_virtually(main())
