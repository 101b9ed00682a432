"""Carrying a decision about a machine's run strategy out: write, wait where it takes two steps, write again."""

from collections.abc import Callable
from dataclasses import dataclass

from goldpool.api.virtualmachine import RunStrategy, VirtualMachine
from goldpool.cli import power
from goldpool.cli.machines import NOT_IN_TIME, Outcome, Sight, changed, full_name, refused
from goldpool.cli.power import Change, Decision, Done, Failed, Pending, Progress, Refusal
from goldpool.kube.client import KubeClient


@dataclass(frozen=True)
class Switch:
    """``decide`` says what to do with a machine as it is; ``wait`` until it is done, at most ``seconds`` per step."""

    decide: Callable[[VirtualMachine], Decision]
    wait: bool
    seconds: float

    async def carry_out(self, client: KubeClient, sight: Sight, machine: VirtualMachine) -> Outcome:
        pod = machine.status.pod_ref.uid if machine.status.pod_ref else ""
        decision, machine = await changed(client, machine, self.decide)
        match decision:
            case Refusal():
                return refused(machine, decision)
            case Change(then=RunStrategy() as strategy):
                stop = await self._stop_for(client, sight, machine, strategy)
                if isinstance(stop, Outcome):
                    return stop
                machine = stop
            case Change():
                pass
            case _:
                pod = ""  # it may run as it is
        if not self.wait:
            return Outcome(full_name(machine), decision.said)
        generation = machine.metadata.generation
        if machine.spec.run_strategy is RunStrategy.HALTED:
            return self._outcome(
                machine,
                await sight.until(machine, lambda m: power.stopped(m, generation=generation), self.seconds),
            )
        return self._outcome(
            machine,
            await sight.until(
                machine, lambda m: power.started(m, generation=generation, pod_before=pod), self.seconds
            ),
        )

    async def _stop_for(
        self, client: KubeClient, sight: Sight, machine: VirtualMachine, strategy: RunStrategy
    ) -> Outcome | VirtualMachine:
        """The machine, started anew after its end. Whatever interrupts the waiting, Ctrl-C too, it gets its run strategy
        back, unless somebody else meanwhile said what it shall be."""
        generation = machine.metadata.generation
        again = machine
        try:
            stop = await sight.until(machine, lambda m: power.stopped(m, generation=generation), self.seconds)
        finally:
            _, again = await changed(client, machine, lambda m: _back(m, strategy))
        return again if isinstance(stop, Done) else self._outcome(machine, stop)

    def _outcome(self, machine: VirtualMachine, progress: Progress) -> Outcome:
        name = full_name(machine)
        match progress:
            case Done():
                return Outcome(name, progress.said)
            case Failed():
                return refused(machine, progress)
            case Pending():
                return Outcome(
                    name, f"is not there yet after {self.seconds:.0f} s: {progress.said}", NOT_IN_TIME
                )


def _back(machine: VirtualMachine, strategy: RunStrategy) -> Decision:
    if machine.spec.run_strategy is RunStrategy.HALTED:
        return Change(strategy, "start requested")
    return power.Nothing("somebody else started it")
