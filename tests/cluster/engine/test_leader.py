"""The Lease on a real API server: one holder at any time, handed over at once, lost in time."""

import asyncio
import contextlib
import secrets
import time

import pytest

from goldpool.engine.leader import Leader, Terms
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Obj
from goldpool.kube.resources import LEASE
from tests.cluster.engine.world import Wire, eventually

FAST = Terms(duration=3.0, renew_deadline=2.0, retry_period=0.2)
"""For tests that wait until a Lease runs out."""
LONG = Terms(duration=60.0, renew_deadline=50.0, retry_period=0.2)
"""For tests in which it must not, however slow the machine."""
NAME = "toys"


def a_leader(client: KubeClient, namespace: str, identity: str = "", terms: Terms = LONG) -> Leader:
    return Leader(
        client, name=NAME, namespace=namespace, identity=identity or secrets.token_hex(4), terms=terms
    )


async def lease(client: KubeClient, namespace: str) -> Obj:
    return await client.get(LEASE, NAME, namespace)


async def renewed(client: KubeClient, namespace: str, before: Obj) -> Obj:
    found = before

    async def later() -> bool:
        nonlocal found
        found = await lease(client, namespace)
        return bool(found["spec"]["renewTime"] > before["spec"]["renewTime"])

    await eventually(later)
    return found


async def test_the_first_to_come_leads_and_renews(client: KubeClient, namespace: str) -> None:
    leader = a_leader(client, namespace, "one")
    await leader.acquire()
    first = await lease(client, namespace)
    assert leader.holds()
    assert first["spec"]["holderIdentity"] == "one"
    assert first["spec"]["leaseTransitions"] == 0
    second = await renewed(client, namespace, first)
    assert second["spec"]["acquireTime"] == first["spec"]["acquireTime"]
    await leader.release()
    assert not leader.holds()
    assert (await lease(client, namespace))["spec"]["holderIdentity"] == ""


async def test_of_many_exactly_one_leads(client: KubeClient, namespace: str) -> None:
    leaders = [a_leader(client, namespace) for _ in range(5)]
    tasks = [asyncio.create_task(leader.acquire()) for leader in leaders]
    await eventually(lambda: any(leader.holds() for leader in leaders))
    for _ in range(20):
        assert sum(leader.holds() for leader in leaders) == 1
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    for leader in leaders:
        await leader.release()


async def test_a_released_lease_is_taken_at_once(client: KubeClient, namespace: str) -> None:
    """The release itself wakes who waits: neither the Lease nor the time between two attempts runs out."""
    slow = Terms(duration=600.0, renew_deadline=500.0, retry_period=200.0)
    first, second = a_leader(client, namespace, "one", slow), a_leader(client, namespace, "two", slow)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, slow.retry_period / 2)
    assert (await lease(client, namespace))["spec"]["leaseTransitions"] == 1
    await second.release()


async def test_cut_off_it_stops_before_another_may_begin(
    client: KubeClient, wired: KubeClient, wire: Wire, namespace: str
) -> None:
    lost: list[str] = []
    first = Leader(
        wired, name=NAME, namespace=namespace, identity="one", terms=FAST, on_lost=lambda: lost.append("one")
    )
    second = a_leader(client, namespace, "two", FAST)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.5)
    await wire.cut()
    overlap = False
    deadline = asyncio.get_running_loop().time() + 60
    while not waiting.done():
        assert asyncio.get_running_loop().time() < deadline
        overlap = overlap or (first.holds() and second.holds())
        await asyncio.sleep(0.01)
    assert not overlap
    assert not first.holds()
    assert lost == ["one"]
    assert first.lost.is_set()
    await wire.mend()
    await asyncio.sleep(0.6)
    assert not first.holds()  # never again
    await second.release()


async def test_a_short_outage_costs_no_leadership(
    wired: KubeClient, wire: Wire, namespace: str, client: KubeClient
) -> None:
    leader = a_leader(wired, namespace, "one")
    await leader.acquire()
    await wire.cut()
    before = await lease(client, namespace)
    await asyncio.sleep(0.8)
    await wire.mend()
    await renewed(client, namespace, before)
    assert leader.holds()
    await leader.release()


async def test_a_lease_taken_by_force_is_lost(client: KubeClient, namespace: str) -> None:
    leader = a_leader(client, namespace, "one")
    await leader.acquire()
    await client.merge_patch(LEASE, NAME, {"spec": {"holderIdentity": "thief"}}, namespace)
    await eventually(leader.lost.is_set, seconds=LONG.renew_deadline / 2)
    assert not leader.holds()
    await leader.release()
    assert (await lease(client, namespace))["spec"]["holderIdentity"] == "thief"


async def test_a_stalled_event_loop_holds_no_lease(client: KubeClient, namespace: str) -> None:
    """No timer can fire while the loop is blocked; what runs next must still see that it may not write."""
    leader = a_leader(client, namespace, "one", FAST)
    await leader.acquire()
    time.sleep(FAST.renew_deadline + 0.1)  # noqa: ASYNC251
    assert not leader.holds()
    await leader.release()


async def test_waiting_survives_an_outage(
    client: KubeClient, wired: KubeClient, wire: Wire, namespace: str
) -> None:
    leader = a_leader(wired, namespace, "one")
    await wire.cut()
    waiting = asyncio.create_task(leader.acquire())
    await asyncio.sleep(1.0)
    assert not waiting.done()
    await wire.mend()
    await asyncio.wait_for(waiting, 60)
    await leader.release()


@pytest.mark.parametrize("lives", [3])
async def test_a_crashed_holder_is_succeeded_after_its_lease(
    client: KubeClient, namespace: str, lives: int
) -> None:
    for life in range(lives):
        leader = a_leader(client, namespace, f"life-{life}", FAST)
        started = asyncio.get_running_loop().time()
        await asyncio.wait_for(leader.acquire(), 60)
        took = asyncio.get_running_loop().time() - started
        assert life == 0 or took >= FAST.duration
        renewal = leader._renewing  # as SIGKILL would
        assert renewal is not None
        renewal.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewal
    assert (await lease(client, namespace))["spec"]["leaseTransitions"] == lives - 1
