"""Two replicas: one writes. The other one knows all, and goes on when the first ends, dies, freezes or is cut off."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import leadership
from tests.e2e.api import Api
from tests.e2e.operator_process import TIMES, OperatorProcess
from tests.e2e.proxy import Answered, ApiProxy, Request
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.e2e.thoroughness import thorough

NODE = "node-1"
pytestmark = pytest.mark.alone
SHORT = {"LEASE_SECONDS": "6", "LEASE_RENEW_SECONDS": "4", "LEASE_RETRY_SECONDS": "0.5"}
STEADY = SHORT | {"LEASE_SECONDS": "60", "LEASE_RENEW_SECONDS": "40"}
"""Takes over when a short Lease has run out, and does not lose its own when the machine stands still."""
LONG = {
    "LEASE_SECONDS": "600",
    "LEASE_RENEW_SECONDS": "500",
    "LEASE_RETRY_SECONDS": "100",
    "SWEEP_SECONDS": "600",
}
"""Nothing of it runs out in a test, nor does the time between two attempts, or until a sweep, which lists everything."""


@dataclass
class Replica:
    process: OperatorProcess
    proxy: ApiProxy


@dataclass
class Replicas:
    """None runs at first; the session's own operator is stopped meanwhile."""

    api: Api
    kubeconfig: Path
    directory: Path
    made: list[Replica]

    def start(self, name: str, times: dict[str, str]) -> Replica:
        """Returns when its caches are full."""
        proxy = ApiProxy(self.kubeconfig, self.directory / name)
        log = self.directory / f"{name}.log"
        process = OperatorProcess(log, proxy.kubeconfig, name=name, times=TIMES | times, restarts=False)
        replica = Replica(process, proxy)
        self.made.append(replica)
        process.start()
        process.await_ready()
        return replica

    def end(self) -> None:
        for replica in self.made:
            replica.process.thaw()
            replica.process.stop()
            replica.proxy.close()
            print(replica.process.tail())
        leadership.free(self.api)


@pytest.fixture
def replicas(site: Site, api: Api, operator_kubeconfig: Path, tmp_path: Path) -> Iterator[Replicas]:
    site.operator.stop()
    replicas = Replicas(api, operator_kubeconfig, tmp_path, [])
    try:
        yield replicas
    finally:
        replicas.end()
        site.operator.start()


def leads(site: Site, replica: Replica) -> None:
    site.eventually(lambda: replica.process.role() == "leading", "the replica leads")


def one_job_each(site: Site, *pools: str) -> None:
    for verb in ("initialize", "fetch", "create"):
        jobs = site.jobs.operations(verb, *pools)
        assert set(jobs.values()) <= {1}, f"given to more than one Job: {jobs}"


def test_a_standby_is_ready_writes_nothing_and_goes_on_when_the_leader_ends(
    site: Site, replicas: Replicas, boot: Image
) -> None:
    first = replicas.start("first", LONG)
    leads(site, first)
    second = replicas.start("second", LONG)
    pools = site.pools_on(NODE)
    template = site.template(boot)
    site.machine("a", template=template)
    site.running("a")
    assert second.process.role() == "standby"
    assert second.proxy.answered == []  # not even to the Lease

    site.machine("b", template=template)
    read = len(second.proxy.reads)
    stopped = time.monotonic()
    first.process.stop()
    assert first.process.ended() == 0
    leads(site, second)
    print(f"hand-over: {time.monotonic() - stopped:.2f} s from SIGTERM until the standby says that it leads")
    site.running("b")
    # Its caches were full: it lists only what it must not believe them, the Jobs in flight and users of what goes.
    listed = {r.part for r in second.proxy.reads[read:] if r.lists}
    assert not listed & {"volumes", "virtualmachines", "templates", "parents", "storagelocations", "nodes"}
    one_job_each(site, *pools)


def effective(late: Sequence[Answered]) -> list[Answered]:
    """What changed something that another leader may have changed since. An event tells what was; a Job whose slot is
    free repeats what may be repeated (docs/availability.md)."""
    return [a for a in late if a.status < 400 and a.request.part not in {"events", "jobs"}]


@pytest.mark.parametrize("write", thorough(14, 3, 29))
def test_a_frozen_leader_changes_nothing_when_it_wakes_up(
    site: Site, replicas: Replicas, boot: Image, write: int
) -> None:
    """Frozen when the API server has carried out a write, whose answer waits for it; and others are under way."""
    first = replicas.start("first", SHORT)
    leads(site, first)
    second = replicas.start("second", STEADY)
    counted: list[Request] = []

    def freezes(request: Request) -> None:
        counted.append(request)
        if len(counted) == write:
            first.process.freeze()

    first.proxy.faults.committed = freezes
    pools = [site.pool("golden", golden=True), site.pool("standard")]
    template = site.template(boot)
    names = [f"m-{n}" for n in range(4)]
    for name in names:
        site.machine(name, template=template)
    leads(site, second)
    written = len(first.proxy.answered)
    site.running(*names)
    one_job_each(site, *pools)
    made = len(site.jobs.of_pools(*pools))
    first.process.thaw()
    site.eventually(lambda: first.process.ended() is not None, "the old leader ends")
    assert first.process.ended() == 1
    # No fence reaches what was half sent when it froze: the kernel sends the rest. Its guard has it refused.
    late = first.proxy.answered[written:]
    assert not effective(late), late
    half_sent = [a for a in late if a.status < 400 and a.request.part == "jobs"]
    assert len(site.jobs.of_pools(*pools)) - made <= len(half_sent)
    site.running(*names)


@pytest.mark.parametrize("write", thorough(17, 5))
def test_a_leader_that_is_cut_off_ends_and_what_it_sent_harms_nobody(
    site: Site, replicas: Replicas, boot: Image, write: int
) -> None:
    """What it sent after that write lies in the network, and arrives when all is done."""
    first = replicas.start("first", SHORT)
    leads(site, first)
    second = replicas.start("second", STEADY)
    counted: list[Request] = []

    def holds(_: Request) -> bool:
        return len(counted) >= write

    first.proxy.faults.committed = lambda request: None if holds(request) else counted.append(request)
    first.proxy.faults.holds = holds
    pools = [site.pool("golden", golden=True), site.pool("standard")]
    template = site.template(boot)
    names = [f"m-{n}" for n in range(4)]
    for name in names:
        site.machine(name, template=template)
    site.eventually(lambda: first.process.ended() == 1, "the leader without a network ends by itself")
    leads(site, second)
    site.running(*names)
    one_job_each(site, *pools)

    held = [request for request in first.proxy.held if request.writes]
    late = first.proxy.let_go()
    print("arrived late:", *(f"{answered.status} {answered.request}" for answered in late), sep="\n  ")
    assert len(late) == len(held)
    assert not effective(late)
    site.running(*names)
