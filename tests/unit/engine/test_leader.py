"""Leadership under faults that no real server can be asked for: answers lost after the commit, requests that hang,
processes that freeze, clocks that run at different speeds. Time is virtual."""

import asyncio
import copy
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from goldpool.engine.leader import Leader, Terms
from goldpool.kube.port import AlreadyExists, Conflict, NotFound, Obj, Resource, Unavailable, WatchEvent
from tests.unit.engine.virtual_time import LoopClock, run_virtually, stall


@dataclass
class LeaseServer:
    """One Lease with a resourceVersion. ``fault`` decides for each request what goes wrong."""

    random: random.Random
    faults: float = 0.0
    lease: Obj | None = None
    version: int = 0
    writes: list[dict[str, Any]] = field(default_factory=list)
    next_fault: str = ""
    """Of the next write."""
    answers_after: float = 0.0
    """Seconds between the commit of a write and its answer."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        async def read() -> Obj:
            if self.lease is None:
                raise NotFound("none")
            return copy.deepcopy(self.lease)

        return await self._answer(read)

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        async def write() -> Obj:
            if self.lease is not None:
                raise AlreadyExists("taken")
            return self._store(copy.deepcopy(obj["spec"]))

        return await self._answer(write, writes=True)

    async def merge_patch(
        self, resource: Resource, name: str, patch: Obj, namespace: str = "", *, subresource: str = ""
    ) -> Obj:
        async def write() -> Obj:
            if self.lease is None:
                raise NotFound("none")
            if patch["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                raise Conflict("stale")
            return self._store(self.lease["spec"] | patch["spec"])

        return await self._answer(write, writes=True)

    async def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        seen = int(resource_version)
        while True:
            await asyncio.sleep(0.5)
            if self._draw():
                raise Unavailable("cut off")
            if self.lease is not None and self.version > seen:
                seen = self.version
                yield WatchEvent("MODIFIED", copy.deepcopy(self.lease))

    def _store(self, spec: dict[str, Any]) -> Obj:
        self.version += 1
        self.writes.append(spec)
        self.lease = {"metadata": {"name": "l", "resourceVersion": str(self.version)}, "spec": spec}
        return copy.deepcopy(self.lease)

    async def _answer(self, act: Any, *, writes: bool = False) -> Obj:
        fault = self._draw()
        if writes and self.next_fault:
            fault, self.next_fault = self.next_fault, ""
        await asyncio.sleep(self.random.uniform(0.0, 0.05))
        if fault == "refused":
            raise Unavailable("refused")
        if fault == "hangs":
            await asyncio.sleep(1000)
        if fault == "slow":
            await asyncio.sleep(self.random.uniform(0.0, 4.0))
        answer: Obj = await act()
        if writes:
            await asyncio.sleep(self.answers_after)
        if fault == "answer lost":
            raise Unavailable("connection reset")
        if fault == "answer slow":
            await asyncio.sleep(self.random.uniform(0.0, 12.0))
        return answer

    def _draw(self) -> str:
        if self.random.random() >= self.faults:
            return ""
        return self.random.choice(["refused", "hangs", "slow", "answer lost", "answer slow"])


def a_leader(server: LeaseServer, identity: str, *, rate: float = 1.0, **more: Any) -> Leader:
    return Leader(
        server,  # type: ignore[arg-type]
        name="l",
        namespace="ns",
        identity=identity,
        clock=LoopClock(rate),
        **more,
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), faults=st.sampled_from([0.0, 0.1, 0.3, 0.6]), data=st.data())
def test_never_two_at_once(seed: int, faults: float, data: st.DataObject) -> None:
    rates = data.draw(st.lists(st.floats(0.85, 1.15), min_size=3, max_size=3))

    async def main() -> None:
        chance = random.Random(seed)
        server = LeaseServer(chance, faults)
        living: list[Leader] = []
        led: set[str] = set()

        async def replica(slot: int) -> None:
            life = 0
            while True:
                life += 1
                leader = a_leader(server, f"{slot}-{life}", rate=rates[slot])
                living.append(leader)
                await leader.acquire()
                led.add(f"{slot}-{life}")
                end = asyncio.create_task(leader.lost.wait())
                await asyncio.wait([end], timeout=chance.uniform(5.0, 60.0))
                if not end.done():
                    if chance.random() < 0.5:
                        await leader.release()
                    else:
                        assert leader._renewing is not None
                        leader._renewing.cancel()  # killed; ``holds`` may stay true until its deadline
                end.cancel()

        tasks = [asyncio.create_task(replica(slot)) for slot in range(3)]
        for _ in range(6000):
            await asyncio.sleep(0.1)
            if chance.random() < 0.002:
                stall(chance.uniform(0.0, 30.0))
            assert sum(leader.holds() for leader in living) <= 1
        for task in tasks:
            assert not task.done() or task.exception() is None
            task.cancel()
        assert len(led) > 1

    run_virtually(main())


def test_a_renewal_whose_answer_is_lost_costs_nothing() -> None:
    async def main() -> None:
        server = LeaseServer(random.Random(1))
        leader = a_leader(server, "a")
        await leader.acquire()
        for _ in range(5):
            server.next_fault = "answer lost"
            await asyncio.sleep(6.0)
            assert leader.holds()
        await leader.release()
        assert server.writes[-1]["holderIdentity"] == ""

    run_virtually(main())


def test_a_claim_whose_answer_is_lost_is_ours() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = LeaseServer(random.Random(1), next_fault="answer lost")
        leader = a_leader(server, "a")
        begin = loop.time()
        await leader.acquire()
        assert loop.time() - begin < 5.0  # it does not wait for itself to expire
        assert {spec["holderIdentity"] for spec in server.writes} == {"a"}
        await leader.release()

    run_virtually(main())


def test_the_deadline_counts_from_the_start_of_the_request() -> None:
    """The server renewed when it got the request; the answer came much later, and the lease is that much older."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = LeaseServer(random.Random(1), answers_after=2.5)
        leader = a_leader(server, "a")
        await leader.acquire()
        assert leader._valid_until - loop.time() <= Terms().renew_deadline - 2.5
        await leader.release()

    run_virtually(main())


def test_a_frozen_process_wakes_up_without_the_lease() -> None:
    async def main() -> None:
        server = LeaseServer(random.Random(1))
        lost: list[bool] = []
        leader = a_leader(server, "a", on_lost=lambda: lost.append(True))
        await leader.acquire()
        stall(60.0)
        assert not leader.holds()  # before anything else could run
        await asyncio.sleep(5.0)
        assert lost == [True]
        assert not leader.holds()

    run_virtually(main())


def test_a_waiting_replica_times_the_lease_itself() -> None:
    """Whatever the holder wrote as its time: the other's clock may be hours off."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = LeaseServer(random.Random(1))
        spec = {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 15,
            "renewTime": "1999-01-01T00:00:00.000000Z",
        }
        server.lease = {"metadata": {"resourceVersion": "0"}, "spec": spec}
        begin = loop.time()
        leader = a_leader(server, "a")
        await leader.acquire()
        assert 15.0 <= loop.time() - begin <= 15.0 + 2 * Terms().retry_period + 1.0
        await leader.release()

    run_virtually(main())
