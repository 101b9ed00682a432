"""What starting, stopping and restarting mean for one machine as it is now, and when they are done. Pure."""

from dataclasses import dataclass
from typing import Any, Final

from goldpool.api.conditions import ConditionStatus, ConditionType, Reason
from goldpool.api.virtualmachine import RunStrategy, VirtualMachine

STARTED_AS: Final = "goldpool.io/run-strategy"
"""Annotation on a machine that was stopped: the run strategy it had, so that ``start`` gives it back."""

_AT_REST: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Change:
    """Write ``strategy``. With ``then`` the machine is first stopped, and gets that strategy once it is."""

    strategy: RunStrategy
    said: str
    remember: RunStrategy | None = None
    then: RunStrategy | None = None


@dataclass(frozen=True)
class Nothing:
    """It is so already."""

    said: str


@dataclass(frozen=True)
class Refusal:
    """It cannot be; the sentence says what helps."""

    said: str


Decision = Change | Nothing | Refusal


def start(machine: VirtualMachine, wish: RunStrategy | None = None) -> Decision:
    """``wish`` is a run strategy to have from now on; else the one from before the stop, else Always.

    A machine that ran as Once, or powered itself off under RerunOnFailure, is done; only a stop makes it forget that.
    """
    if machine.deleting:
        return _BEING_DELETED
    now = machine.spec.run_strategy
    if now is RunStrategy.HALTED:
        return Change(wish or remembered(machine), "start requested")
    if machine.status.phase in _AT_REST and (wish or now) is now and now is not RunStrategy.ALWAYS:
        return Change(RunStrategy.HALTED, "start requested", remember=now, then=now)
    if wish is not None and wish is not now:
        return Change(wish, f"run strategy is {wish} now, was {now}")
    return Nothing(f"is started already: {machine.status.phase or 'new'}")


def stop(machine: VirtualMachine) -> Decision:
    """The guest is asked to shut down; its disks stay, and so does its claim on its place."""
    if machine.deleting:
        return _BEING_DELETED
    now = machine.spec.run_strategy
    if now is RunStrategy.HALTED:
        return Nothing("is stopped already")
    return Change(RunStrategy.HALTED, "stop requested", remember=now)


def restart(machine: VirtualMachine) -> Decision:
    """A clean stop, then a start with the same run strategy. What is stopped is started."""
    if machine.deleting or machine.spec.run_strategy is RunStrategy.HALTED:
        return start(machine)
    now = machine.spec.run_strategy
    return Change(RunStrategy.HALTED, "restart requested", remember=now, then=now)


def remembered(machine: VirtualMachine) -> RunStrategy:
    """What it was before it was stopped. Anybody may write annotations: what is no strategy to start by is Always."""
    try:
        before = RunStrategy(machine.metadata.annotations.get(STARTED_AS, ""))
    except ValueError:
        return RunStrategy.ALWAYS
    return RunStrategy.ALWAYS if before is RunStrategy.HALTED else before


def patch(machine: VirtualMachine, strategy: RunStrategy, remember: RunStrategy | None) -> dict[str, Any]:
    """A merge patch that fits only the machine that was looked at."""
    return {
        "metadata": {
            "resourceVersion": machine.metadata.resource_version,
            "annotations": {STARTED_AS: str(remember) if remember else None},
        },
        "spec": {"runStrategy": str(strategy)},
    }


_BEING_DELETED: Final = Refusal("is being deleted")


# -- when it is done


@dataclass(frozen=True)
class Done:
    said: str


@dataclass(frozen=True)
class Failed:
    said: str


@dataclass(frozen=True)
class Pending:
    said: str


Progress = Done | Failed | Pending


def started(machine: VirtualMachine, *, generation: int, pod_before: str = "") -> Progress:
    """Whether it runs what was asked for in ``generation``, in another pod than ``pod_before``."""
    if machine.deleting:
        return Failed("is being deleted")
    status = machine.status
    if status.observed_generation < generation:
        return Pending("the operator has not looked at it yet")
    pod = status.pod_ref.uid if status.pod_ref else ""
    if status.phase == "Running" and pod != pod_before:
        return Done(f"runs on {status.host}")
    if status.phase == "Succeeded" and machine.spec.run_strategy is not RunStrategy.ALWAYS:
        return Done(f"ran and is done: {_ready(machine)}")
    if _is(machine, ConditionType.STALLED):
        return Failed(_ready(machine))
    return Pending(_ready(machine))


def stopped(machine: VirtualMachine, *, generation: int) -> Progress:
    """Whether no process of it is left, and no claim on its disks."""
    if machine.status.observed_generation < generation:
        return Pending("the operator has not looked at it yet")
    if machine.spec.run_strategy is not RunStrategy.HALTED:
        return Failed(f"somebody set spec.runStrategy to {machine.spec.run_strategy} meanwhile")
    halted = any(
        c.type == ConditionType.READY and c.reason == Reason.HALTED for c in machine.status.conditions
    )
    return Done("is stopped") if halted else Pending(_ready(machine))


def _is(machine: VirtualMachine, condition: ConditionType) -> bool:
    return any(c.type == condition and c.status == ConditionStatus.TRUE for c in machine.status.conditions)


def _ready(machine: VirtualMachine) -> str:
    ready = next((c for c in machine.status.conditions if c.type == ConditionType.READY), None)
    return f"{ready.reason}: {ready.message}" if ready else "no status yet"
