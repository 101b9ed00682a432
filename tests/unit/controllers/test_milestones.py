"""Which changes are milestones, and what is counted of them."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from goldpool.contracts.report import FailureReason, Fetched
from goldpool.controllers.milestones import Milestones, became_ready
from goldpool.dispatch.outcome import Ended, Failed, Succeeded
from goldpool.kube import resources as r
from goldpool.kube.port import Change, Obj, Resource, key_of
from tests.unit.controllers.builders import NOW, REVISION, a_machine, a_parent, a_volume, ago


def changed(resource: Resource, old: Obj, new: Obj) -> Change:
    return Change(resource, key_of(resource, new), old, new)


def of_machine(**new: Any) -> Change:
    status = {"firstStartTime": ago(0)} | new.pop("status", {})
    return changed(r.VIRTUAL_MACHINE, a_machine(), a_machine(status=status, **new))


def of_parent(before: str | None, after: str) -> Change:
    return changed(r.PARENT, a_parent(status={"state": before}), a_parent(status={"state": after}))


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (of_machine(), True),
        (of_machine(generation=2), False),  # perhaps it was halted until now
        (of_machine(status={"firstStartTime": None}), False),
        (changed(r.VIRTUAL_MACHINE, *[a_machine(status={"firstStartTime": ago(9)})] * 2), False),
        (of_parent(None, "Ready"), True),
        (of_parent("Fetching", "Ready"), True),
        (of_parent("Published", "Ready"), True),
        (of_parent("Fetching", "Published"), False),
        (of_parent("Retiring", "Ready"), False),  # its removal was called off
        (of_parent("Ready", "Ready"), False),
        (changed(r.VOLUME, a_volume(), a_volume(made=True)), False),
    ],
)
def test_what_became_ready_for_the_first_time(change: Change, counts: bool) -> None:
    assert became_ready(change) is counts


class Counted:
    def __init__(self, *, leads: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.milestones = Milestones(self.registry, leads=lambda: leads, now=lambda: NOW)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_the_time_is_from_creation() -> None:
    counted = Counted()
    counted.milestones.observe(of_machine(created=ago(4)))
    counted.milestones.observe(of_machine(created=ago(-1)))  # its clock is ahead of ours
    assert counted.value("goldpool_time_to_ready_seconds_count", kind="VirtualMachine") == 2
    assert counted.value("goldpool_time_to_ready_seconds_sum", kind="VirtualMachine") == 4


def test_only_who_leads_counts_and_nobody_counts_what_was_there_before() -> None:
    standby = Counted(leads=False)
    standby.milestones.observe(of_machine())
    assert standby.value("goldpool_time_to_ready_seconds_count", kind="VirtualMachine") is None
    fresh = Counted()
    machine = a_machine(status={"firstStartTime": ago(9)})
    fresh.milestones.observe(Change(r.VIRTUAL_MACHINE, key_of(r.VIRTUAL_MACHINE, machine), None, machine))
    assert fresh.value("goldpool_time_to_ready_seconds_count", kind="VirtualMachine") is None


BROUGHT = Succeeded(
    fetched=Fetched(revision=REVISION, file_bytes=1000, virtual_bytes=2000, resumed_bytes=300)
)


@pytest.mark.parametrize(
    ("kind", "outcome", "label", "fetched"),
    [
        ("CreateChild", Succeeded(), "Succeeded", 0),
        ("Fetch", BROUGHT, "Succeeded", 1000),
        ("Fetch", Failed(FailureReason.CHECKSUM_MISMATCH, "no", True), "ChecksumMismatch", 0),
    ],
)
def test_operations_by_kind_and_outcome(kind: str, outcome: Ended, label: str, fetched: int) -> None:
    counted = Counted()
    counted.milestones.ended(kind, outcome, 2.5)
    assert counted.value("goldpool_operations_total", kind=kind, outcome=label) == 1
    assert counted.value("goldpool_operation_duration_seconds_sum", kind=kind) == 2.5
    assert counted.value("goldpool_fetched_bytes_total") == fetched
    assert counted.value("goldpool_fetch_resumed_bytes_total") == fetched * 3 // 10
