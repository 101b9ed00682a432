"""A burst of changes costs what is only counted one pass; what somebody waits for is not delayed by it."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from goldpool.engine.engine import Engine
from goldpool.engine.plan import Plan, Soon
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Key, KubeApi, Obj, Resource
from tests.unit.engine.virtual_time import LoopClock, run_virtually

TOY = Resource("example.io", "v1", "Toy", "toys", namespaced=False)
OTHER = Resource("example.io", "v1", "Other", "others", namespaced=False)
COUNTED = Key("Toy", "", "counted")


class Counting:
    name = "toy"
    resource = TOY

    def __init__(self, *found: Key | Soon) -> None:
        self._found = found
        self.passes: list[float] = []

    async def gather(self, key: Key) -> Key:
        self.passes.append(asyncio.get_running_loop().time())
        return key

    def plan(self, _: Key) -> Plan:
        return Plan()

    def affected(self, change: Change) -> Iterable[Key | Soon]:
        return self._found if change.resource == OTHER else ()


class Silent:
    def record(self, _: Any) -> None: ...


def an_other(number: int) -> Obj:
    return {"metadata": {"name": f"o-{number}", "uid": f"u-{number}", "resourceVersion": "1"}}


async def passes_of(*found: Key | Soon) -> list[float]:
    """When passes began, in seconds after the first of a hundred changes, one each hundredth of a second."""
    cache, counting = Cache(), Counting(*found)
    engine = Engine(cast(KubeApi, None), cache, Silent(), workers=4, clock=LoopClock())
    engine.register(counting)
    await engine.start()
    began = asyncio.get_running_loop().time()
    for number in range(100):
        cache.upsert(OTHER, an_other(number))
        await asyncio.sleep(0.01)
    await asyncio.sleep(10)
    await engine.stop()
    return [when - began for when in counting.passes]


def test_a_burst_of_changes_is_one_pass() -> None:
    assert run_virtually(passes_of(Soon(COUNTED, 1.5))) == [pytest.approx(1.5, abs=0.01)]


def test_a_change_that_is_waited_for_is_a_pass_at_once() -> None:
    assert len(run_virtually(passes_of(COUNTED))) == 100


def test_soon_delays_nothing_that_is_due_now() -> None:
    assert len(run_virtually(passes_of(Soon(COUNTED), COUNTED))) == 100
