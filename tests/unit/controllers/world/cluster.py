"""A small cluster in one process: the real controllers and reconciler over a server and hosts in memory."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from goldpool.contracts.machine import Ended, Exit
from goldpool.controllers.indices import register_indices
from goldpool.controllers.landscape import Bind, Landscape, Reserve
from goldpool.controllers.naming import LABEL_VM_UID
from goldpool.controllers.parent import ParentController
from goldpool.controllers.storagelocation import StorageLocationController
from goldpool.controllers.storagepool import StoragePoolController
from goldpool.controllers.template import TemplateController
from goldpool.controllers.virtualmachine import VirtualMachineController
from goldpool.controllers.volume import VolumeController
from goldpool.controllers.world import World
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.dispatch.request import Ask, Settle
from goldpool.engine.metrics import EngineKey, Metrics
from goldpool.engine.plan import Controller, Outcome, Record, Soon
from goldpool.engine.reconcile import Reconciler
from goldpool.engine.status import only_status_changed
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import Change, Invalid, Key, KubeApi, KubeError, Obj
from goldpool.settings import Settings
from tests.unit.controllers.world.hosts import Disks, Dispatch
from tests.unit.controllers.world.rules import Rules
from tests.unit.controllers.world.server import Server

WATCHED = (*r.PRIMARY, r.NODE, r.POD, r.LEASE, r.PERSISTENT_VOLUME_CLAIM)
SETTINGS = Settings(probe_seconds=10**8, probe_failed_seconds=15)
METRICS = Metrics()


class Minted(World):
    """A world whose names are minted in order, so that every run is the same."""

    minted = 0

    def token(self) -> str:
        Minted.minted += 1
        return f"t{Minted.minted:07}"


class Silent:
    def record(self, record: Record) -> None: ...


@dataclass
class Pass:
    """A pass under way."""

    owner: EngineKey
    work: Coroutine[Any, Any, tuple[Outcome, float | None]]


class Operator:
    """One life of the operator: its cache, its controllers, what it has to do. Passes over one key never overlap."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        server, dispatch = cluster.server, cluster.dispatch
        self.cache = Cache(clock=lambda: 0.0)
        register_indices(self.cache)
        for resource in WATCHED:
            self.cache.add_scope(resource, lambda _: True)
        self.dirty: dict[EngineKey, None] = {}
        self.timers: dict[EngineKey, datetime] = {}
        self.passes: list[Pass] = []
        world = Minted(
            self.cache,
            cast(KubeApi, server),
            cast(Dispatcher, dispatch),
            SETTINGS,
            cluster_uid="cluster",
            now=lambda: server.now,
        )
        landscape = Landscape(world)
        controllers: list[Any] = [
            StoragePoolController(world),
            StorageLocationController(world),
            TemplateController(world),
            ParentController(world, jitter=lambda: 0.5),
            VolumeController(world, landscape),
            VirtualMachineController(world, landscape),
        ]
        self.controllers: dict[str, Controller[Any]] = {c.name: c for c in controllers}
        self._reconciler = Reconciler(
            cast(KubeApi, server), self.cache, Silent(), METRICS, may_write=lambda: True, requeue=self._add
        )

        async def bind(effect: Bind) -> None:
            self.cache.observe_write(r.VOLUME, await landscape.execute(world.kube, effect))

        self._reconciler.register_executor(Ask, dispatch.ask)
        self._reconciler.register_executor(Settle, dispatch.settle)
        self._reconciler.register_executor(Bind, bind)
        self._reconciler.register_executor(Reserve, landscape.reserve)
        self.cache.add_listener(self._on_change)
        for (resource, _), obj in server.objects.items():
            if resource in WATCHED:
                self.cache.upsert(resource, obj)

    def wake(self, key: Key) -> None:
        self._add((key.kind.lower(), key))

    def _add(self, owner: EngineKey) -> None:
        self.dirty[owner] = None

    def _on_change(self, change: Change) -> None:
        """As the Engine does it."""
        for name, controller in self.controllers.items():
            for found in {*controller.affected(change)}:
                if isinstance(found, Soon):
                    self._later((name, found.key), found.seconds)
            for key in sorted(k for k in {*controller.affected(change)} if isinstance(k, Key)):
                own = (
                    key == change.key
                    and change.resource == controller.resource
                    and change.new is not None
                    and self._reconciler.writes_status((name, key))
                    and only_status_changed(change)
                    and self._reconciler.saw_own_status((name, key), change.new)
                )
                if not own:
                    self._add((name, key))

    def ready(self) -> list[EngineKey]:
        under_way = {p.owner for p in self.passes}
        return [owner for owner in self.dirty if owner not in under_way]

    def begin(self, owner: EngineKey) -> Pass:
        del self.dirty[owner]
        self.timers.pop(owner, None)
        controller = self.controllers[owner[0]]
        begun = Pass(owner, self._reconciler.run(controller, owner[1]))
        self.passes.append(begun)
        return begun

    def advance(self, under_way: Pass) -> None:
        """To where it gives way next."""
        try:
            under_way.work.send(None)
        except StopIteration as end:
            self.passes.remove(under_way)
            outcome, again = end.value
            if outcome.result == "again":
                self._add(under_way.owner)
            elif again is not None:
                self._later(under_way.owner, again)
        except Invalid:
            raise
        except KubeError:
            self.passes.remove(under_way)
            self._add(under_way.owner)

    def run(self, owner: EngineKey) -> None:
        """A whole pass, with nothing in between."""
        begun = self.begin(owner)
        while begun in self.passes:
            self.advance(begun)

    def _later(self, owner: EngineKey, seconds: float) -> None:
        if seconds <= 0:
            self._add(owner)
            return
        due = self._cluster.due(seconds)
        self.timers[owner] = min(due, self.timers.get(owner, due))

    def release_due(self) -> None:
        for owner, due in [*self.timers.items()]:
            if due <= self._cluster.server.now:
                del self.timers[owner]
                self._add(owner)


class Cluster:
    """Two hosts, a server, and one operator at a time."""

    def __init__(self) -> None:
        self.server = Server()
        self.disks = Disks()
        self.dispatch = Dispatch(self.disks, now=lambda: self.server.now)
        self.rules = Rules(self.server, self.disks)
        self.server.allowed = self.rules.admit
        self.dispatch.check = self.rules.operation_begins
        self.dispatch.wake = self._wake
        Minted.minted = 0
        for name in ("node-1", "node-2"):
            self.server.put(r.NODE, a_node_object(name))
        self.operator = Operator(self)

    def _wake(self, key: Key) -> None:
        """Whichever operator lives."""
        self.operator.wake(key)

    def due(self, seconds: float) -> datetime:
        return self.server.now + timedelta(seconds=seconds)

    def crash(self) -> None:
        """The operator is gone in the middle of what it did; another one lists everything."""
        for under_way in self.operator.passes:
            under_way.work.close()
        self.dispatch.restart()
        self.server.events.clear()
        self.operator = Operator(self)

    def deliver(self, resource: Any = None) -> None:
        """The next event of a resource (or of any) reaches the cache."""
        for number, (kind, obj, gone) in enumerate(self.server.events):
            if resource is None or kind is resource:
                del self.server.events[number]
                if kind in WATCHED:
                    (self.operator.cache.remove if gone else self.operator.cache.upsert)(kind, obj)
                return

    def lagging(self) -> list[Any]:
        return [*dict.fromkeys(kind for kind, _, _ in self.server.events)]

    # -- pods

    def pods(self) -> list[Obj]:
        return [p for p in self.server.all(r.POD) if LABEL_VM_UID in p["metadata"]["labels"]]

    def report(self, pod: Obj, containers: list[Obj], **status: Any) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.server.edit(r.POD, name, namespace, status={"containerStatuses": containers} | status)

    def schedule(self, pod: Obj) -> None:
        affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        fields = [f for t in affinity["nodeSelectorTerms"] for f in t.get("matchFields", ())]
        nodes = [n["metadata"]["name"] for n in self.server.all(r.NODE)]
        for f in fields:
            nodes = [n for n in nodes if (n in f["values"]) is (f["operator"] == "In")]
        if nodes:
            self.server.edit(
                r.POD, pod["metadata"]["name"], pod["metadata"]["namespace"], spec={"nodeName": nodes[0]}
            )

    def boot(self, pod: Obj) -> None:
        self.rules.guest_starts(pod)
        running = [{"name": "machine", "state": {"running": {"startedAt": self.server.stamp()}}}]
        self.report(pod, running, phase="Running", conditions=[{"type": "Ready", "status": "True"}])

    def refuse(self, pod: Obj) -> None:
        """The kubelet does not admit it."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.server.edit(r.POD, name, namespace, status={"phase": "Failed", "reason": "OutOfcpu"})

    def stop(self, pod: Obj, exit_: Exit = Exit.STOPPED) -> None:
        self.rules.guest_ends(pod)
        told = {
            "exitCode": 0,
            "startedAt": self.server.stamp(),
            "message": Ended(reason=exit_).to_json(),
        }
        done = [{"name": "machine", "state": {"terminated": told}}]
        self.report(pod, done, phase="Succeeded", conditions=[{"type": "Ready", "status": "False"}])

    def clear(self, pod: Obj) -> None:
        """The kubelet is done with a pod that is deleted."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.server.edit(r.POD, name, namespace, metadata={"deletionGracePeriodSeconds": None})

    def kubelet(self) -> bool:
        """One thing that a healthy cluster does by itself; False when there is nothing to do."""
        for pod in self.pods():
            going = "deletionTimestamp" in pod["metadata"]
            status = pod.get("status", {})
            states = [next(iter(c["state"])) for c in status.get("containerStatuses", ())]
            over = states == ["terminated"] or status.get("phase") == "Failed"
            if not pod["spec"].get("nodeName"):
                if not going and not over:
                    before = pod["metadata"]["resourceVersion"]
                    self.schedule(pod)
                    if self.server.find(r.POD, pod["metadata"]["name"], pod["metadata"]["namespace"]) != pod:
                        return True
                    assert before
                continue
            if going and not over:
                self.stop(pod)
                return True
            if going and "deletionGracePeriodSeconds" in pod["metadata"]:
                self.clear(pod)
                return True
            if not going and not states and not over:
                self.boot(pod)
                return True
        return False

    # -- until nothing is left to do

    def settle(self, *, patience: int = 4000, horizon: float = 4 * 3600) -> None:
        """Everything works from here on, until nobody has anything to do, also not later (within the horizon)."""
        end = self.due(horizon)
        for _ in range(patience):
            if self.server.events:
                self.deliver()
            elif self.operator.passes:
                self.operator.advance(self.operator.passes[0])
            elif ready := self.operator.ready():
                self.operator.run(ready[0])
            elif startable := self.dispatch.startable():
                self.dispatch.start(startable[0])
            elif self.dispatch.running:
                self.dispatch.end(next(iter(self.dispatch.running)))
            elif not self.kubelet():
                due = min(self.operator.timers.values(), default=None)
                if due is None or due > end:
                    return
                self.server.now = max(self.server.now, due)
                self.operator.release_due()
        raise AssertionError(f"it does not come to rest: {self.server.writes[-40:]}")

    def rest(self) -> None:
        """A pass over everything writes nothing and asks for nothing new."""
        before, asked = len(self.server.writes), {*self.dispatch.waiting, *self.dispatch.running}
        for _ in range(2):
            for name, controller in self.operator.controllers.items():
                for key in self.operator.cache.keys(controller.resource):
                    self.operator.dirty[name, key] = None
                    self.operator.run((name, key))
        assert not self.server.writes[before:], self.server.writes[before:]
        assert {*self.dispatch.waiting, *self.dispatch.running} == asked


def a_node_object(name: str) -> Obj:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
