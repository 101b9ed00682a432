"""What the gauges count."""

import re
from typing import cast

import pytest

from goldpool.api.model import Kind
from goldpool.api.template import Template
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.api.volume import Volume
from goldpool.controllers import census
from goldpool.controllers.census import MACHINE_PHASES, TEMPLATE_PHASES, VOLUME_PHASES, Census
from goldpool.controllers.indices import register_indices
from goldpool.controllers.landscape import Landscape
from goldpool.controllers.world import World
from goldpool.dispatch.dispatcher import Dispatcher
from goldpool.dispatch.record import JobKind
from goldpool.kube import resources as r
from goldpool.kube.cache import Cache
from goldpool.kube.port import KubeApi, Obj, Resource
from tests.unit.controllers.builders import (
    GIB,
    NOW,
    SETTINGS,
    a_condition,
    a_golden_pool,
    a_location,
    a_machine,
    a_parent,
    a_pinned_template,
    a_pool,
    a_volume,
    ago,
)

Series = dict[tuple[str, ...], float]


class Load:
    """The dispatcher, as far as a census looks."""

    def load(self) -> tuple[int, dict[JobKind, int]]:
        return 3, {JobKind.SLOT: 2, JobKind.FETCH: 1}


def counted(*objects: tuple[Resource, Obj], leads: bool = True) -> dict[str, Series]:
    """Family to label values to value."""
    cache = Cache(clock=lambda: 0.0)
    register_indices(cache)
    for resource, obj in objects:
        cache.upsert(resource, obj)
    world = World(
        cache, cast(KubeApi, None), cast(Dispatcher, Load()), SETTINGS, cluster_uid="c", now=lambda: NOW
    )
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in Census(world, Landscape(world), lambda: leads).collect()
    }


def a_site(**capacity: object) -> list[tuple[Resource, Obj]]:
    """One host, 100 GiB each, 10 used; one made volume of 20 GiB; the template's virtual size is 2 GiB."""
    return [
        (r.STORAGE_POOL, a_pool(spec={"capacity": capacity})),
        (r.STORAGE_POOL, a_golden_pool()),
        (r.STORAGE_LOCATION, a_location("std-a", status={"phase": "Ready"})),
        (r.STORAGE_LOCATION, a_location("golden-ssd", status={"phase": "Ready"})),
        (r.TEMPLATE, a_pinned_template(status={"phase": "Ready"})),
        (r.PARENT, a_parent()),
        (r.VOLUME, a_volume(made=True, status={"phase": "InUse"})),
    ]


def test_a_standby_counts_nothing() -> None:
    assert counted(*a_site(), leads=False) == {}


def test_machines_are_counted_by_phase_and_none_is_told_too() -> None:
    machines = [a_machine(f"vm-{n}", status={"phase": p}) for n, p in enumerate(["Running", "Running", None])]
    seen = counted(*((r.VIRTUAL_MACHINE, machine) for machine in machines))["goldpool_virtualmachines"]
    assert seen[("Running",)] == 2
    assert seen[("Pending",)] == 1  # nobody has looked at it yet
    assert seen[("HostLost",)] == 0


def test_templates_are_counted_by_what_is_wrong_with_their_sources() -> None:
    def told(name: str, **conditions: str) -> tuple[Resource, Obj]:
        each = [a_condition(kind, status=status) for kind, status in conditions.items()]
        return r.TEMPLATE, a_pinned_template(name, status={"conditions": each})

    seen = counted(
        told("gone", SourceReachable="False"),
        told("half", SourceReachable="True", Degraded="True"),
        told("moved", SourceReachable="True", SourceChanged="True", Degraded="True"),
        told("unasked", SourceReachable="Unknown"),
    )["goldpool_template_sources"]
    assert seen == {("SourceUnreachable",): 1, ("SourceChanged",): 1, ("Degraded",): 2}


def waiting(name: str, phase: str, *, ready: str = "False", since: float) -> tuple[Resource, Obj]:
    condition = a_condition(status=ready) | {"lastTransitionTime": ago(since)}
    return r.VIRTUAL_MACHINE, a_machine(name, status={"phase": phase, "conditions": [condition]})


def test_the_longest_wait_in_each_phase_is_told() -> None:
    seen = counted(
        waiting("a", "Starting", since=40),
        waiting("b", "Starting", since=90),
        waiting("c", "Running", ready="True", since=5000),
        (r.VIRTUAL_MACHINE, a_machine("d", created=ago(7), status={"phase": None})),
    )["goldpool_virtualmachines_longest_unready_seconds"]
    assert seen[("Starting",)] == 90
    assert seen[("Running",)] == 0
    assert seen[("Pending",)] == 7  # nobody has looked at it yet
    assert seen[("Paused",)] == 0


@pytest.mark.parametrize(
    ("kind", "known"),
    [(VirtualMachine, MACHINE_PHASES), (Volume, VOLUME_PHASES), (Template, TEMPLATE_PHASES)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_phases_are_those_the_api_explains(kind: type[Kind], known: tuple[str, ...]) -> None:
    status = kind.model_fields["status"].annotation
    assert status is not None
    text = str(status.model_fields["phase"].description).partition(";")[0]
    assert set(re.findall(r"\w+", text)) - {"or", "nothing"} == set(known)


def test_locations_are_counted_by_pool_and_phase() -> None:
    lost = a_location("std-a", "node-2", status={"phase": "NotMounted"})
    seen = counted(*a_site(), (r.STORAGE_LOCATION, lost))["goldpool_locations"]
    assert seen == {
        ("golden-ssd", "true", "Ready"): 1,
        ("std-a", "false", "Ready"): 1,
        ("std-a", "false", "NotMounted"): 1,
    }


def test_what_is_used_and_promised_stands_beside_its_limits() -> None:
    seen = counted(*a_site(overprovisioningPercent=200, usedLimitPercent=80, allocatedLimitPercent=90))
    here, gold = ("std-a", "node-1"), ("golden-ssd", "node-1")
    assert seen["goldpool_location_filesystem_bytes"][here] == 100 * GIB
    assert seen["goldpool_location_used_bytes"][here] == 10 * GIB
    assert seen["goldpool_location_used_limit_bytes"][here] == 80 * GIB
    assert seen["goldpool_location_allocated_bytes"] == {here: 20 * GIB, gold: 2 * GIB}
    assert seen["goldpool_location_allocated_limit_bytes"][here] == 180 * GIB


def test_a_declared_capacity_goes_before_the_disks() -> None:
    seen = counted(*a_site(bytes="50Gi"))
    assert seen["goldpool_location_capacity_bytes"][("std-a", "node-1")] == 50 * GIB


def test_a_location_nobody_has_looked_at_has_no_size() -> None:
    fresh = a_location("std-a", "node-2", status={"total": None, "free": None})
    seen = counted(*a_site(), (r.STORAGE_LOCATION, fresh))
    for name in ("capacity", "filesystem", "used", "used_limit", "allocated_limit"):
        assert ("std-a", "node-2") not in seen[f"goldpool_location_{name}_bytes"]


def test_there_are_never_more_series_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "MOST_LOCATIONS", 1)
    seen = counted(*a_site())
    assert list(seen["goldpool_location_used_bytes"]) == [("golden-ssd", "node-1")]
    assert seen["goldpool_locations_unlisted"] == {(): 1}
    assert sum(seen["goldpool_locations"].values()) == 2


def test_what_the_dispatcher_carries() -> None:
    seen = counted()
    assert seen["goldpool_operations_waiting"] == {(): 3}
    assert seen["goldpool_storage_jobs"] == {("slot",): 2, ("fetch",): 1}
