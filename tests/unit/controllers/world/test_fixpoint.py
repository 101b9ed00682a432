"""Whatever users do, operations come to, hosts suffer and crashes cut off: the rules hold at every step, and in the end
everybody comes to rest where they were told to be."""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from goldpool.contracts.machine import Exit
from goldpool.contracts.operations import FailureReason
from goldpool.controllers.naming import RETRY_ANNOTATION
from goldpool.kube import resources as r
from goldpool.kube.port import AlreadyExists, Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.users import TEAM, a_data_volume, a_machine, a_pool, a_template

MACHINES = st.sampled_from(["vm-0", "vm-1", "vm-2"])
TEMPLATES = st.sampled_from(["debian", "debian", "alpine"])
VOLUMES = st.sampled_from(["data-0", "data-1"])
STRATEGIES = st.sampled_from(["Always", "Always", "Halted", "RerunOnFailure", "Once"])
NODES = st.sampled_from(["node-1", "node-2"])
TRANSIENT = st.sampled_from([FailureReason.LOST, FailureReason.IO_ERROR, FailureReason.POOL_FULL])
EXITS = st.sampled_from([Exit.GUEST_SHUTDOWN, Exit.QEMU_FAILED, Exit.DISK_MISSING])
ANY = st.integers(0, 1000)


class Months(RuleBasedStateMachine):
    """Steps are small: one pass begins or goes on, one event arrives, one Job starts or ends, one user acts."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.retries = 0

    @initialize(shared=st.booleans())
    def two_pools(self, shared: bool) -> None:
        self.cluster.server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
        self.cluster.server.put(r.STORAGE_POOL, a_pool("std", shared=shared))
        self.cluster.server.put(r.TEMPLATE, a_template("debian"))
        self.cluster.settle()

    # -- users

    def _make(self, resource: Any, obj: Obj) -> None:
        with suppress(AlreadyExists):
            self.cluster.server.put(resource, obj)

    @rule(name=MACHINES, template=TEMPLATES, data=st.lists(VOLUMES, max_size=1))
    def make_machine(self, name: str, template: str, data: list[str]) -> None:
        self._make(r.VIRTUAL_MACHINE, a_machine(name, template=template, data=tuple(data)))

    @rule(name=TEMPLATES, prepare=st.sampled_from([(), ("golden",)]))
    def make_template(self, name: str, prepare: tuple[str, ...]) -> None:
        self._make(r.TEMPLATE, a_template(name, prepare=prepare))

    @rule(name=VOLUMES)
    def make_volume(self, name: str) -> None:
        self._make(r.VOLUME, a_data_volume(name))

    @rule(name=MACHINES, strategy=STRATEGIES)
    def change_strategy(self, name: str, strategy: str) -> None:
        if self.cluster.server.find(r.VIRTUAL_MACHINE, name, TEAM):
            self.cluster.server.edit(r.VIRTUAL_MACHINE, name, TEAM, spec={"runStrategy": strategy})

    @rule(name=MACHINES)
    def delete_machine(self, name: str) -> None:
        self.cluster.server.remove(r.VIRTUAL_MACHINE, name, TEAM)

    @rule(name=TEMPLATES)
    def delete_template(self, name: str) -> None:
        self.cluster.server.remove(r.TEMPLATE, name)

    @rule(name=st.one_of(VOLUMES, MACHINES.map(lambda vm: f"{vm}-root")))
    def delete_volume(self, name: str) -> None:
        self.cluster.server.remove(r.VOLUME, name, TEAM)

    @rule(which=ANY)
    def delete_parent(self, which: int) -> None:
        if parents := self.cluster.server.all(r.PARENT):
            self.cluster.server.remove(r.PARENT, parents[which % len(parents)]["metadata"]["name"])

    @rule()
    def retry(self) -> None:
        self.retries += 1
        again = {"annotations": {RETRY_ANNOTATION: str(self.retries)}}
        for resource in (r.VIRTUAL_MACHINE, r.TEMPLATE):
            for obj in self.cluster.server.all(resource):
                metadata = obj["metadata"]
                self.cluster.server.edit(
                    resource, metadata["name"], metadata.get("namespace", ""), metadata=again
                )

    # -- the operator

    @precondition(lambda self: self.cluster.operator.ready() and len(self.cluster.operator.passes) < 3)
    @rule(which=ANY)
    def begin(self, which: int) -> None:
        ready = self.cluster.operator.ready()
        self.cluster.operator.advance(self.cluster.operator.begin(ready[which % len(ready)]))

    @precondition(lambda self: self.cluster.operator.ready())
    @rule(which=ANY, count=st.integers(1, 6))
    def run(self, which: int, count: int) -> None:
        for _ in range(count):
            if ready := self.cluster.operator.ready():
                self.cluster.operator.run(ready[which % len(ready)])

    @precondition(lambda self: self.cluster.operator.passes)
    @rule(which=ANY, fault=st.sampled_from(["", "", "", "before", "after"]))
    def go_on(self, which: int, fault: str) -> None:
        passes = self.cluster.operator.passes
        self.cluster.server.faults = lambda: fault
        self.cluster.operator.advance(passes[which % len(passes)])
        self.cluster.server.faults = lambda: ""

    @precondition(lambda self: self.cluster.server.events)
    @rule(which=ANY, count=st.integers(1, 8))
    def hear(self, which: int, count: int) -> None:
        for _ in range(count):
            if lagging := self.cluster.lagging():
                self.cluster.deliver(lagging[which % len(lagging)])

    @rule()
    def crash(self) -> None:
        self.cluster.crash()

    @rule(seconds=st.sampled_from([1, 10, 60, 600, 3600]))
    def wait(self, seconds: int) -> None:
        self.cluster.server.pass_time(seconds)
        self.cluster.operator.release_due()

    # -- hosts

    @precondition(lambda self: self.cluster.dispatch.startable())
    @rule(which=ANY)
    def start_job(self, which: int) -> None:
        startable = self.cluster.dispatch.startable()
        self.cluster.dispatch.start(startable[which % len(startable)])

    @precondition(lambda self: self.cluster.dispatch.running)
    @rule(which=ANY, failure=st.one_of(st.none(), st.none(), st.none(), TRANSIENT), done=st.booleans())
    def end_job(self, which: int, failure: FailureReason | None, done: bool) -> None:
        running = [*self.cluster.dispatch.running]
        lost = failure is FailureReason.LOST
        self.cluster.dispatch.end(running[which % len(running)], failure, all_the_same=lost and done)

    @rule()
    def the_cluster_does_its_part(self) -> None:
        self.cluster.kubelet()

    @precondition(lambda self: self.cluster.pods())
    @rule(which=ANY, exit_=EXITS)
    def a_guest_ends(self, which: int, exit_: Exit) -> None:
        pods = self.cluster.pods()
        pod = pods[which % len(pods)]
        if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") in {None, "Running"}:
            fresh = pod.get("status", {}).get("phase") is None
            if fresh or exit_ is not Exit.DISK_MISSING:
                self.cluster.stop(pod, exit_)

    @precondition(lambda self: self.cluster.pods())
    @rule(which=ANY)
    def a_kubelet_refuses(self, which: int) -> None:
        pods = self.cluster.pods()
        pod = pods[which % len(pods)]
        if pod["spec"].get("nodeName") and not pod.get("status", {}).get("phase"):
            self.cluster.refuse(pod)

    @rule(node=NODES, ready=st.booleans(), cordoned=st.booleans())
    def a_node_changes(self, node: str, ready: bool, cordoned: bool) -> None:
        state = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        self.cluster.server.edit(r.NODE, node, status=state, spec={"unschedulable": cordoned})

    # -- what holds

    @invariant()
    def nobody_is_both_busy_and_stuck(self) -> None:
        for resource in r.PRIMARY:
            for obj in self.cluster.server.all(resource):
                told = {c["type"] for c in obj.get("status", {}).get("conditions", ())}
                assert not {"Reconciling", "Stalled"} <= told

    @invariant()
    def a_disk_in_use_has_its_object(self) -> None:
        named = {v["spec"].get("storageID") for v in self.cluster.server.all(r.VOLUME)}
        assert self.cluster.rules.writers.keys() <= named

    def teardown(self) -> None:
        server = self.cluster.server
        server.faults = lambda: ""
        for node in ("node-1", "node-2"):
            self.a_node_changes(node, ready=True, cordoned=False)
        self.cluster.settle()
        self.retry()
        self.cluster.settle()
        self.cluster.rest()
        self._everybody_is_where_they_should_be()

    def _everybody_is_where_they_should_be(self) -> None:
        server = self.cluster.server
        running = {p["metadata"]["labels"]["goldpool.io/virtualmachine"] for p in self.cluster.pods()}
        for machine in server.all(r.VIRTUAL_MACHINE):
            if self._can_run(machine):
                assert machine["metadata"]["name"] in running, machine["status"]["conditions"]
        for lease in server.all(r.LEASE):
            holders = {m["metadata"]["uid"] for m in server.all(r.VIRTUAL_MACHINE)}
            assert lease["spec"]["holderIdentity"] in holders, "a claim of nobody"
        ids = {v["spec"].get("storageID") for v in server.all(r.VOLUME)}
        on_disk = {storage for _, storage in self.cluster.disks.volumes}
        assert on_disk <= ids, "a disk that no object names"
        named = {p["metadata"]["name"] for p in server.all(r.PARENT)}
        assert {name for _, name in self.cluster.disks.parents} <= named, "a copy that no object names"

    def _can_run(self, machine: Obj) -> bool:
        """Always, with all it needs there and held by nobody else."""
        if (
            machine["spec"].get("runStrategy", "Always") != "Always"
            or "deletionTimestamp" in machine["metadata"]
        ):
            return False
        template = self.cluster.server.find(r.TEMPLATE, machine["spec"]["rootVolume"]["templateRef"]["name"])
        root = self.cluster.server.find(r.VOLUME, f"{machine['metadata']['name']}-root", TEAM)
        made = root is not None and root.get("status", {}).get("createdTime")
        if not made and (template is None or "deletionTimestamp" in template["metadata"]):
            return False
        for attached in machine["spec"]["volumes"]:
            volume = self.cluster.server.find(r.VOLUME, attached["volumeRef"]["name"], TEAM)
            if volume is None or "deletionTimestamp" in volume["metadata"]:
                return False
            lease = self.cluster.server.find(r.LEASE, f"volume-{volume['metadata']['uid']}", "goldpool-data")
            if lease is not None and lease["spec"]["holderIdentity"] != machine["metadata"]["uid"]:
                return False
        return True


TestMonths = Months.TestCase
TestMonths.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
