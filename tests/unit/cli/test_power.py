"""What starting, stopping and restarting mean, and when they are done."""

from typing import Any

import pytest

from goldpool.api.virtualmachine import RunStrategy, VirtualMachine
from goldpool.cli.power import (
    STARTED_AS,
    Change,
    Done,
    Failed,
    Nothing,
    Pending,
    Refusal,
    patch,
    restart,
    start,
    started,
    stop,
    stopped,
)
from tests.unit.cli.builders import ready, stalled

ALWAYS, HALTED, ONCE, RERUN = (
    RunStrategy.ALWAYS,
    RunStrategy.HALTED,
    RunStrategy.ONCE,
    RunStrategy.RERUN_ON_FAILURE,
)


def a_machine(
    strategy: RunStrategy, *, before: str = "", deleting: bool = False, **status: Any
) -> VirtualMachine:
    metadata: dict[str, Any] = {"name": "web", "namespace": "team", "uid": "u", "resourceVersion": "7"}
    if before:
        metadata["annotations"] = {STARTED_AS: before}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {"memory": "1Gi", "rootVolume": {"templateRef": {"name": "t"}}, "runStrategy": str(strategy)}
    return VirtualMachine.read(
        {"metadata": metadata, "spec": spec, "status": {"observedGeneration": 3, **status}}
    )


def written(decision: object) -> tuple[RunStrategy, RunStrategy | None, RunStrategy | None]:
    assert isinstance(decision, Change), decision
    return decision.strategy, decision.remember, decision.then


@pytest.mark.parametrize(
    ("machine", "wish", "expected"),
    [
        (a_machine(HALTED), None, ALWAYS),
        (a_machine(HALTED, before="RerunOnFailure"), None, RERUN),
        (a_machine(HALTED, before="RerunOnFailure"), ONCE, ONCE),
        (a_machine(HALTED, before="Halted"), None, ALWAYS),  # anybody may write annotations
        (a_machine(HALTED, before="nonsense"), None, ALWAYS),
        (a_machine(ALWAYS, phase="Running"), ONCE, ONCE),
    ],
)
def test_a_start_gives_back_what_a_stop_took(
    machine: VirtualMachine, wish: RunStrategy | None, expected: RunStrategy
) -> None:
    assert written(start(machine, wish)) == (expected, None, None)


@pytest.mark.parametrize(
    ("strategy", "phase", "wish"),
    [
        (ONCE, "Succeeded", None),
        (ONCE, "Failed", None),
        (RERUN, "Succeeded", None),
        (ONCE, "Succeeded", ONCE),
    ],
)
def test_what_is_done_is_stopped_first_so_that_it_is_forgotten(
    strategy: RunStrategy, phase: str, wish: RunStrategy | None
) -> None:
    assert written(start(a_machine(strategy, phase=phase), wish)) == (HALTED, strategy, strategy)


@pytest.mark.parametrize("machine", [a_machine(ALWAYS, phase="Running"), a_machine(ONCE, phase="Running")])
def test_what_runs_is_not_started(machine: VirtualMachine) -> None:
    assert isinstance(start(machine), Nothing)


@pytest.mark.parametrize("strategy", [ALWAYS, ONCE, RERUN])
def test_a_stop_remembers_the_strategy(strategy: RunStrategy) -> None:
    assert written(stop(a_machine(strategy))) == (HALTED, strategy, None)


def test_a_second_stop_forgets_nothing() -> None:
    assert isinstance(stop(a_machine(HALTED, before="Once")), Nothing)


@pytest.mark.parametrize("strategy", [ALWAYS, ONCE, RERUN])
def test_a_restart_is_a_stop_and_a_start(strategy: RunStrategy) -> None:
    assert written(restart(a_machine(strategy))) == (HALTED, strategy, strategy)


def test_a_restart_of_what_is_stopped_starts_it() -> None:
    assert written(restart(a_machine(HALTED, before="Once"))) == (ONCE, None, None)


@pytest.mark.parametrize("command", [start, stop, restart])
def test_what_is_being_deleted_is_left_alone(command: Any) -> None:
    assert isinstance(command(a_machine(ALWAYS, deleting=True)), Refusal)


def test_a_write_fits_only_the_machine_that_was_looked_at() -> None:
    assert patch(a_machine(ALWAYS), HALTED, ALWAYS) == {
        "metadata": {"resourceVersion": "7", "annotations": {STARTED_AS: "Always"}},
        "spec": {"runStrategy": "Halted"},
    }
    assert patch(a_machine(HALTED), ONCE, None)["metadata"]["annotations"] == {STARTED_AS: None}


RUNS: dict[str, Any] = {
    "phase": "Running",
    "conditions": [ready(reason="Running")],
    "podRef": {"namespace": "d", "name": "p", "uid": "new"},
}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (a_machine(ALWAYS, **RUNS), Done),
        (a_machine(ALWAYS, **RUNS | {"podRef": {"namespace": "d", "name": "p", "uid": "old"}}), Pending),
        (a_machine(ALWAYS, **RUNS | {"observedGeneration": 2}), Pending),
        (a_machine(ALWAYS, phase="Starting", conditions=[ready("False", "Starting")]), Pending),
        (a_machine(ALWAYS, phase="Failed", conditions=[ready("False", "Failed"), stalled()]), Failed),
        (a_machine(ONCE, phase="Succeeded", conditions=[ready(reason="Succeeded")]), Done),
        (a_machine(ALWAYS, deleting=True, **RUNS), Failed),
    ],
)
def test_a_start_is_done_when_the_new_pod_runs(machine: VirtualMachine, expected: type) -> None:
    assert type(started(machine, generation=3, pod_before="old")) is expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (a_machine(HALTED, phase="Stopped", conditions=[ready(reason="Halted")]), Done),
        (a_machine(HALTED, phase="Stopping", conditions=[ready("False", "Stopping")]), Pending),
        (a_machine(HALTED, observedGeneration=2, conditions=[ready(reason="Halted")]), Pending),
        (a_machine(ALWAYS, conditions=[ready(reason="Halted")]), Failed),  # somebody else started it
    ],
)
def test_a_stop_is_done_when_the_disks_are_free(machine: VirtualMachine, expected: type) -> None:
    assert type(stopped(machine, generation=3)) is expected
