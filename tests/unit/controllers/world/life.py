"""A cluster's life in small random steps: one pass begins or goes on, one event arrives, one Job starts or ends, one
user acts. The same seed is the same life."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from goldpool.contracts.machine import Exit
from goldpool.contracts.report import FailureReason
from goldpool.controllers.changes import iso_of
from goldpool.controllers.naming import REFETCH_ANNOTATION, RETRY_ANNOTATION
from goldpool.kube import resources as r
from goldpool.kube.port import AlreadyExists, Obj
from tests.unit.controllers.world.cluster import Cluster
from tests.unit.controllers.world.users import (
    TEAM,
    a_data_volume,
    a_machine,
    a_pool,
    a_template,
    an_iso,
    inserted,
)

MACHINES = ("vm-0", "vm-1", "vm-2")
TEMPLATES = ("debian", "debian", "alpine")
ISOS = ("tools", "drivers")
"""The second one is not golden."""
VOLUMES = ("data-0", "data-1")
STRATEGIES = ("Always", "Always", "Halted", "RerunOnFailure", "Once")
POLICIES = ("Required", "Preferred")
NODES = ("node-1", "node-2")
TRANSIENT = (FailureReason.LOST, FailureReason.LOST, FailureReason.IO_ERROR, FailureReason.POOL_FULL)
FAULTS = ("", "", "", "", "", "", "before", "after")
WORK, ACTS, TROUBLE = 60, 6, 3
"""Of 69 steps, so many are the operator's and the hosts' work, the users' acts, and trouble."""


class Life:
    """``step`` until you have seen enough, then ``ends_well``."""

    def __init__(self, seed: int, *, shared: bool, faults: bool) -> None:
        self._dice = Random(seed)
        self.cluster = Cluster()
        self.told: list[str] = []
        self._retries = 0
        server = self.cluster.server
        server.put(r.STORAGE_POOL, a_pool("golden", golden=True))
        server.put(r.STORAGE_POOL, a_pool("std", shared=shared))
        server.put(r.TEMPLATE, a_template("debian", refresh="Refetch", checks=True))
        self.cluster.settle()
        if faults:
            server.faults = lambda: self._dice.choice(FAULTS)

    def step(self) -> None:
        acts = (
            self.make_machine, self.make_machine, self.make_template, self.make_volume, self.change_strategy,
            self.change_strategy, self.delete_machine, self.delete_template, self.delete_volume, self.delete_parent,
            self.retry, self.everybody_waits, self.everybody_waits, self.make_iso, self.change_iso,
            self.ask_for_refetch,
        )  # fmt: skip
        trouble = (
            self.crash, self.wait, self.wait, self.guest_ends, self.kubelet_refuses, self.node_changes,
            self.golden_pool_changes, self.source_changes, self.source_changes,
        )  # fmt: skip
        [kind] = self._dice.choices(((self.work,), acts, trouble), (WORK, ACTS, TROUBLE))
        act: Callable[[], object] = self._dice.choice(kind)
        self.told.append(act.__name__ if act != self.work else "")
        act()
        self.nobody_is_both_busy_and_stuck()

    # -- the operator and the hosts

    def work(self) -> None:
        operator, dispatch, dice = self.cluster.operator, self.cluster.dispatch, self._dice
        steps: list[Callable[[], object]] = [self.cluster.kubelet]
        if ready := operator.ready():
            steps += [lambda: self._say("pass", operator.run, dice.choice(ready))] * 3
            if len(operator.passes) < 3:
                steps += [lambda: self._say("begin", operator.begin, dice.choice(ready))] * 3
        if operator.passes:
            steps += [lambda: operator.advance(dice.choice(operator.passes))] * 6
        if lagging := self.cluster.lagging():
            steps += [lambda: self._say("hear", self.cluster.deliver, dice.choice(lagging))] * 6
        if startable := dispatch.startable():
            steps += [lambda: self._say("start", dispatch.start, dice.choice(startable))] * 2
        if dispatch.running:
            steps += [self.end_job]
        before = len(self.cluster.server.writes)
        dice.choice(steps)()
        self.told += [f"  {write}" for write in self.cluster.server.writes[before:]]

    def _say(self, what: str, act: Callable[[Any], object], about: Any) -> None:
        self.told.append(f"{what} {about[1] if isinstance(about, tuple) else getattr(about, 'kind', about)}")
        act(about)

    def end_job(self) -> None:
        operation = self._dice.choice([*self.cluster.dispatch.running])
        failure = self._dice.choice(TRANSIENT) if self._dice.random() < 0.25 else None
        done = failure is FailureReason.LOST and self._dice.random() < 0.5
        self.told.append(f"end {operation} {failure or ''} {done}")
        self.cluster.dispatch.end(operation, failure, all_the_same=done)

    def crash(self) -> None:
        self.cluster.crash()

    def wait(self) -> None:
        self.cluster.server.pass_time(self._dice.choice((1, 10, 60, 600, 3700)))
        self.cluster.operator.release_due()

    # -- users

    def _make(self, resource: Any, obj: Obj) -> None:
        with suppress(AlreadyExists):
            self.cluster.server.put(resource, obj)

    def make_machine(self) -> None:
        data = tuple(self._dice.sample(VOLUMES, self._dice.choice((0, 0, 1, 2))))
        iso = self._dice.choice(("", "", *ISOS))
        self._make(
            r.VIRTUAL_MACHINE,
            a_machine(
                self._dice.choice(MACHINES),
                template=self._dice.choice((*TEMPLATES, "") if iso else TEMPLATES),
                iso=iso,
                data=data,
                golden=self._dice.choice(POLICIES),
            ),
        )

    def make_template(self) -> None:
        prepare = self._dice.choice(((), ("golden",)))
        refresh, checks = self._dice.choice(("Pin", "Refetch", "Refetch")), self._dice.random() < 0.7
        name = self._dice.choice(TEMPLATES)
        self._make(r.TEMPLATE, a_template(name, prepare=prepare, refresh=refresh, checks=checks))

    def ask_for_refetch(self) -> None:
        self._retries += 1
        asked = {"annotations": {REFETCH_ANNOTATION: str(self._retries)}}
        if templates := self.cluster.server.all(r.TEMPLATE):
            name = self._dice.choice(templates)["metadata"]["name"]
            self.cluster.server.edit(r.TEMPLATE, name, metadata=asked)

    def make_iso(self) -> None:
        name = self._dice.choice(ISOS)
        self._make(r.TEMPLATE, an_iso(name, golden=name == ISOS[0]))

    def change_iso(self) -> None:
        name, iso = self._dice.choice(MACHINES), self._dice.choice(("", *ISOS))
        if self.cluster.server.find(r.VIRTUAL_MACHINE, name, TEAM):
            self.told.append(f"  {name} {iso}")
            wanted = inserted(iso) if iso else None
            self.cluster.server.edit(r.VIRTUAL_MACHINE, name, TEAM, spec={"iso": wanted})

    def make_volume(self) -> None:
        self._make(r.VOLUME, a_data_volume(self._dice.choice(VOLUMES)))

    def change_strategy(self) -> None:
        name, strategy = self._dice.choice(MACHINES), self._dice.choice(STRATEGIES)
        if self.cluster.server.find(r.VIRTUAL_MACHINE, name, TEAM):
            self.told.append(f"  {name} {strategy}")
            self.cluster.server.edit(r.VIRTUAL_MACHINE, name, TEAM, spec={"runStrategy": strategy})

    def _delete(self, resource: Any, name: str, namespace: str = "") -> None:
        self.told.append(f"  {name}")
        self.cluster.server.remove(resource, name, namespace)

    def delete_machine(self) -> None:
        self._delete(r.VIRTUAL_MACHINE, self._dice.choice(MACHINES), TEAM)

    def delete_template(self) -> None:
        self._delete(r.TEMPLATE, self._dice.choice((*TEMPLATES, *ISOS)))

    def delete_volume(self) -> None:
        self._delete(r.VOLUME, self._dice.choice((*VOLUMES, *(f"{vm}-root" for vm in MACHINES))), TEAM)

    def delete_parent(self) -> None:
        if parents := self.cluster.server.all(r.PARENT):
            self._delete(r.PARENT, self._dice.choice(parents)["metadata"]["name"])

    def everybody_waits(self) -> None:
        """Long enough that nothing is left to do."""
        self.cluster.settle(horizon=60)

    def retry(self) -> None:
        self._retries += 1
        again = {"annotations": {RETRY_ANNOTATION: str(self._retries)}}
        for resource in (r.VIRTUAL_MACHINE, r.TEMPLATE):
            for obj in self.cluster.server.all(resource):
                metadata = obj["metadata"]
                self.cluster.server.edit(
                    resource, metadata["name"], metadata.get("namespace", ""), metadata=again
                )

    # -- trouble

    def _fresh_pods(self) -> list[Obj]:
        """Bound, nothing reported yet."""
        bound = [p for p in self.cluster.pods() if p["spec"].get("nodeName")]
        return [p for p in bound if not p.get("status", {}).get("phase")]

    def guest_ends(self) -> None:
        up = [p for p in self.cluster.pods() if p.get("status", {}).get("phase") == "Running"]
        if up and self._dice.random() < 0.7:
            self.cluster.stop(
                self._dice.choice(up), self._dice.choice((Exit.GUEST_SHUTDOWN, Exit.QEMU_FAILED))
            )
        elif fresh := self._fresh_pods():
            self.cluster.stop(self._dice.choice(fresh), Exit.DISK_MISSING)

    def kubelet_refuses(self) -> None:
        if fresh := self._fresh_pods():
            self.cluster.refuse(self._dice.choice(fresh))

    def node_changes(self, node: str = "", *, ready: bool | None = None) -> None:
        well = self._dice.random() < 0.6 if ready is None else ready
        state = {"conditions": [{"type": "Ready", "status": str(well)}]}
        cordoned = not well and self._dice.random() < 0.5
        self.cluster.server.edit(
            r.NODE, node or self._dice.choice(NODES), status=state, spec={"unschedulable": cordoned}
        )

    def source_changes(self) -> None:
        """To something new, or back to what it was."""
        url = f"https://mirror.example/{self._dice.choice(TEMPLATES)}"
        served = self.cluster.disks.served
        served[url] = self._dice.choice((served.get(url, 0), served.get(url, 0) + 1, 0))
        self.told.append(f"  {url} {served[url]}")

    def golden_pool_changes(self, state: str = "") -> None:
        state = state or self._dice.choice(("Enabled", "Disabled"))
        self.cluster.server.edit(r.STORAGE_POOL, "golden", spec={"state": state})

    # -- what holds

    def nobody_is_both_busy_and_stuck(self) -> None:
        for resource in r.PRIMARY:
            for obj in self.cluster.server.all(resource):
                told = {c["type"] for c in obj.get("status", {}).get("conditions", ())}
                assert not {"Reconciling", "Stalled"} <= told

    def ends_well(self) -> None:
        """All trouble ends, and somebody says "try again"."""
        self.cluster.server.faults = lambda: ""
        for node in NODES:
            self.node_changes(node, ready=True)
        self.golden_pool_changes("Enabled")
        self.told.append("-- at rest")
        self.cluster.settle()
        self.cluster.rest()
        self.retry()
        self.told.append("-- tried again")
        self.cluster.settle()
        self.cluster.rest()
        self._everybody_is_where_they_should_be()

    def _everybody_is_where_they_should_be(self) -> None:
        server, disks = self.cluster.server, self.cluster.disks
        running = {p["metadata"]["labels"]["goldpool.io/virtualmachine"] for p in self.cluster.pods()}
        for machine in server.all(r.VIRTUAL_MACHINE):
            assert not self._can_run(machine) or machine["metadata"]["name"] in running, machine["status"][
                "conditions"
            ]
            assert "deletionTimestamp" not in machine["metadata"], "a machine that never goes"
        holders = {m["metadata"]["uid"] for m in server.all(r.VIRTUAL_MACHINE)}
        assert {x["spec"]["holderIdentity"] for x in server.all(r.LEASE)} <= holders, "a claim of nobody"
        ids = {v["spec"].get("storageID") for v in server.all(r.VOLUME)}
        assert {storage for _, storage in disks.volumes} <= ids, "a disk that no object names"
        used = {v.get("status", {}).get("parent") for v in server.all(r.VOLUME)}
        kept = self._revisions_to_keep()
        # Its place is chosen before the machine names the copy there, and it may wait in between: for a volume that went.
        wanted = {
            (iso_of(m).get("template"), iso_of(m).get("location")) for m in server.all(r.VIRTUAL_MACHINE)
        }
        for machine in server.all(r.VIRTUAL_MACHINE):
            assert (
                machine["metadata"]["name"] in running or not iso_of(machine) or machine["spec"].get("iso")
            ), "an ISO that nobody wants is kept"
        for parent in server.all(r.PARENT):
            template = server.find(r.TEMPLATE, parent["spec"]["template"])
            # A template that goes waits for those who were bound to its copies, whether or not a disk was made.
            going = template is not None and "deletionTimestamp" in template["metadata"]
            unused = (
                not parent["status"].get("blockers")  # in doubt a volume that is bound here is a user
                and parent["metadata"]["name"] not in used
                and (parent["spec"]["template"], parent["spec"]["location"]) not in wanted
                and parent["status"].get("revision") not in kept
            )
            assert going or not (parent["spec"]["fallback"] and unused), "a fallback of nobody"
        for template in server.all(r.TEMPLATE):
            self._serves_what_is_served(template)
        named = {p["metadata"]["name"] for p in server.all(r.PARENT)}
        assert {name for _, name in disks.parents} <= named, "a copy that no object names"

    def _serves_what_is_served(self, template: Obj) -> None:
        """With checks and Refetch, new disks take what the source serves, and no copy of an earlier revision is there for
        nobody."""
        if "deletionTimestamp" in template["metadata"]:
            return
        status, source = template["status"], template["spec"]["source"]
        used = {v.get("status", {}).get("parent") for v in self.cluster.server.all(r.VOLUME)}
        used |= {iso_of(m).get("parent") for m in self.cluster.server.all(r.VIRTUAL_MACHINE)}
        kept = self._revisions_to_keep()
        copies = [
            p
            for p in self.cluster.server.all(r.PARENT)
            if p["spec"]["templateUID"] == template["metadata"]["uid"]
        ]
        for copy in copies:
            earlier = copy["status"]["state"] == "Ready" and copy["status"]["revision"] != status["revision"]
            assert not earlier or copy["metadata"]["name"] in used or copy["status"]["revision"] in kept, (
                "an earlier revision's copy of nobody"
            )
        served = self.cluster.disks.revision_of(source["url"])
        if status.get("revision") and source["refreshPolicy"] == "Refetch" and "checkInterval" in source:
            # A copy whose deletion was asked for keeps no place for the next one: that comes with the next disk.
            there = any(
                p["status"]["state"] == "Ready" and "deletionTimestamp" not in p["metadata"] for p in copies
            )
            assert status["revision"] == served or not there, "new disks take what is served no more"

    def _revisions_to_keep(self) -> set[str]:
        """Of volumes whose own copy was told to go: another one of the same bytes stays."""
        going = {
            p["metadata"]["name"]
            for p in self.cluster.server.all(r.PARENT)
            if "deletionTimestamp" in p["metadata"]
        }
        told = [v.get("status", {}) for v in self.cluster.server.all(r.VOLUME)]
        return {status["revision"] for status in told if status.get("parent") in going}

    def _serves_its_revision(self, template: Obj) -> bool:
        pinned = template["status"].get("revision")
        return pinned in {None, self.cluster.disks.revision_of(template["spec"]["source"]["url"])}

    def _can_run(self, machine: Obj) -> bool:
        """Always, with all it needs there and held by nobody else."""
        server = self.cluster.server
        if machine["spec"].get("runStrategy", "Always") != "Always":
            return False
        if not self._can_have_its_iso(machine):
            return False
        named = machine["spec"]["rootVolume"].get("templateRef", {}).get("name")
        template = server.find(r.TEMPLATE, named) if named else None
        root = server.find(r.VOLUME, f"{machine['metadata']['name']}-root", TEAM)
        if root is None and machine["status"].get("firstStartTime"):
            return False  # a disk that was used is never made anew
        made = root is not None and root.get("status", {}).get("createdTime")
        if not made and named and (template is None or "deletionTimestamp" in template["metadata"]):
            return False
        if not made and template is not None and not self._serves_its_revision(template):
            return False
        for attached in machine["spec"]["volumes"]:
            volume = server.find(r.VOLUME, attached["volumeRef"]["name"], TEAM)
            if volume is None or "deletionTimestamp" in volume["metadata"]:
                return False
            lease = server.find(r.LEASE, f"volume-{volume['metadata']['uid']}", "goldpool-data")
            if lease is not None and lease["spec"]["holderIdentity"] != machine["metadata"]["uid"]:
                return False
        places = {
            v["spec"]["placement"]["host"] for v in self._disks_of(machine) if v["spec"].get("storageID")
        } - {""}
        return len(places) < 2

    def _can_have_its_iso(self, machine: Obj) -> bool:
        wanted = machine["spec"].get("iso")
        if wanted is None:
            return True
        template = self.cluster.server.find(r.TEMPLATE, wanted["templateRef"]["name"])
        return template is not None and "deletionTimestamp" not in template["metadata"]

    def _disks_of(self, machine: Obj) -> list[Obj]:
        names = [
            f"{machine['metadata']['name']}-root",
            *(v["volumeRef"]["name"] for v in machine["spec"]["volumes"]),
        ]
        found = (self.cluster.server.find(r.VOLUME, name, TEAM) for name in names)
        return [v for v in found if v is not None]
