"""The queue against a model, and its waiting in virtual time."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from goldpool.engine.queue import Backoff, QueueClosed, Schedule, WorkQueue
from tests.unit.engine.virtual_time import LoopClock, run_virtually

KEYS = st.sampled_from("abcd")


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: every add is followed by the start of a pass, and no key runs twice at once."""

    @initialize()
    def begin(self) -> None:
        self.queue: Schedule[str] = Schedule(seed=1)
        self.now = 0.0
        self.owed: dict[str, bool] = {}
        """Keys that need the start of another pass; True if somebody asked with ordinary priority."""
        self.running: set[str] = set()
        self.due: dict[str, float] = {}

    @rule(key=KEYS, low=st.booleans())
    def add(self, key: str, low: bool) -> None:
        news = self.queue.add(key, self.now, low=low)
        assert news == (key not in self.owed)
        self.owed[key] = self.owed.get(key, False) or not low

    @rule(key=KEYS, delay=st.integers(0, 10))
    def add_later(self, key: str, delay: int) -> None:
        self.queue.add_at(key, self.now + delay)
        self.due[key] = min(self.due.get(key, float("inf")), self.now + delay)

    @rule(seconds=st.integers(0, 6))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.queue.release_due(self.now)
        for key in [key for key, when in self.due.items() if when <= self.now]:
            del self.due[key]
            self.owed[key] = True

    @rule()
    def take(self) -> None:
        ready = {key for key in self.owed if key not in self.running}
        taken = self.queue.take(self.now)
        if taken is None:
            assert not ready
            return
        key, waited = taken
        assert key in ready
        assert waited >= 0
        assert self.owed[key] or not any(self.owed[other] for other in ready)
        del self.owed[key]
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.queue.done(key, self.now)
        self.running.remove(key)

    @invariant()
    def the_queue_agrees(self) -> None:
        assert sorted(self.queue.waiting()) == sorted(key for key in self.owed if key not in self.running)
        assert set(self.queue.processing()) == self.running
        assert self.queue.delayed() == self.due
        assert self.queue.next_due() == min(self.due.values(), default=None)
        assert len(self.queue) == len(self.queue.waiting())


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


def test_keys_of_one_priority_come_in_the_order_they_were_added() -> None:
    queue: Schedule[str] = Schedule()
    for key in "cab":
        queue.add(key, 0.0)
    assert [queue.take(1.0) for _ in range(4)] == [("c", 1.0), ("a", 1.0), ("b", 1.0), None]


def test_an_initial_key_waits_behind_what_people_do_now() -> None:
    queue: Schedule[str] = Schedule()
    queue.add("initial", 0.0, low=True)
    queue.add("both", 0.0, low=True)
    queue.add("now", 1.0)
    queue.add("both", 2.0)
    assert [taken[0] for _ in range(3) if (taken := queue.take(3.0))] == ["now", "both", "initial"]


@given(failures=st.integers(0, 1000), seed=st.integers(0, 100))
def test_a_backoff_grows_to_its_cap_and_keeps_half_of_it(failures: int, seed: int) -> None:
    backoff = Backoff(base=0.5, cap=60.0)
    whole = min(0.5 * 2 ** min(failures, 32), 60.0)
    assert whole / 2 <= backoff.after(failures, random.Random(seed)) <= whole


def test_success_starts_the_backoff_anew() -> None:
    queue: Schedule[str] = Schedule(seed=1)
    delays = [queue.failed("a", Backoff(1.0, 100.0)) for _ in range(5)]
    queue.succeeded("a")
    assert delays[-1] >= 8.0
    assert queue.failed("a", Backoff(1.0, 100.0)) <= 1.0


def test_workers_share_the_keys_and_no_key_runs_twice_at_once() -> None:
    async def main() -> None:
        queue: WorkQueue[int] = WorkQueue(clock=LoopClock())
        running: set[int] = set()
        passes: dict[int, int] = {}

        async def work() -> None:
            while True:
                try:
                    key = await queue.get()
                except QueueClosed:
                    return
                assert key not in running
                running.add(key)
                await asyncio.sleep(0.1)
                running.remove(key)
                passes[key] = passes.get(key, 0) + 1
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(4)]
        for key in range(40):
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.05)
        queue.add(0)  # is being processed: once more
        started = asyncio.get_running_loop().time()
        await asyncio.sleep(1.2)
        assert passes == {0: 2} | dict.fromkeys(range(1, 40), 1)
        assert asyncio.get_running_loop().time() - started < 1.3
        queue.close()
        await asyncio.gather(*workers)

    run_virtually(main())


def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue: WorkQueue[str] = WorkQueue(clock=LoopClock())
        begin = loop.time()
        queue.add_after("late", 30.0)
        queue.add_after("late", 60.0)  # the earlier time counts
        queue.add_after("soon", 5.0)
        order = []
        for _ in range(2):
            key = await queue.get()
            order.append((key, round(loop.time() - begin)))
            queue.done(key)
        assert order == [("soon", 5), ("late", 30)]

    run_virtually(main())


def test_a_sleeping_worker_hears_of_an_earlier_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue: WorkQueue[str] = WorkQueue(clock=LoopClock())
        queue.add_after("a", 100.0)
        getting = asyncio.create_task(queue.get())
        await asyncio.sleep(1.0)
        begin = loop.time()
        queue.add_after("a", 2.0)
        assert await getting == "a"
        assert round(loop.time() - begin) == 2

    run_virtually(main())


def test_closing_lets_what_runs_end_and_gives_out_nothing() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(clock=LoopClock())
        queue.add("a")
        queue.add("b")
        key = await queue.get()
        waiting = asyncio.create_task(WorkQueue.get(queue))
        queue.close()
        with pytest.raises(QueueClosed):
            await queue.get()
        with pytest.raises(QueueClosed):
            await waiting
        draining = asyncio.create_task(queue.drained())
        await asyncio.sleep(1.0)
        assert not draining.done()
        queue.done(key)
        await asyncio.wait_for(draining, 1.0)

    run_virtually(main())


def test_a_cancelled_worker_loses_no_key() -> None:
    """The wake-up meant for it must reach another."""

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue(clock=LoopClock())
        first, second = (asyncio.create_task(queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await asyncio.wait_for(second, 5.0) == "a"

    run_virtually(main())
