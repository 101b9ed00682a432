"""Machines a command names, changes and waits for."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from goldpool.api.model import parse_duration
from goldpool.api.virtualmachine import VirtualMachine
from goldpool.cli import power
from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import machine_names, namespace_names
from goldpool.cli.following import changes
from goldpool.cli.power import Change, Decision, Done, Failed, Pending, Progress, Refusal
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Conflict, KubeError
from goldpool.kube.resources import VIRTUAL_MACHINE

NOT_IN_TIME: Final = 3
_TRIES: Final = 10

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Wanted:
    """What the command line says: by names, or by labels."""

    cluster: Cluster
    names: Sequence[str]
    selector: str
    namespace: str
    """Empty: all of them."""
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of one machine. ``code`` is an exit status."""

    machine: str
    said: str
    code: int = 0


Work = Callable[[KubeClient, "Sight", VirtualMachine], Awaitable[Outcome]]


class Seconds(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{error}: write 90s, 5m or 1h30m", param, ctx)


def machine_options(command: F) -> F:
    """Adds NAME..., -l, -n, -A and --timeout; the command gets them as one ``wanted``."""

    @click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=machine_names)
    @click.option("-l", "--selector", default="", metavar="LABELS", help="All machines with these labels.")
    @click.option(
        "-n",
        "--namespace",
        default="",
        metavar="NAME",
        shell_complete=namespace_names,
        help="Namespace; by default the context's.",
    )
    @click.option("-A", "--all-namespaces", is_flag=True, help="With -l: in all namespaces.")
    @click.option("--timeout", type=Seconds(), default="5m", show_default=True, metavar="DURATION",
                  help="How long to wait, wherever the command waits.")  # fmt: skip
    @cluster_options
    @functools.wraps(command)
    def with_machines(
        *, names: tuple[str, ...], selector: str, namespace: str, all_namespaces: bool, timeout: float,
        cluster: Cluster, **kwargs: Any,
    ) -> object:  # fmt: skip
        if bool(names) == bool(selector):
            raise click.UsageError("give names of machines, or labels by -l")
        if all_namespaces and (names or namespace):
            raise click.UsageError("-A goes with -l, and without -n")
        where = "" if all_namespaces else namespace or cluster.namespace
        return command(wanted=Wanted(cluster, names, selector, where, timeout), **kwargs)

    return with_machines  # type: ignore[return-value]


def carry_out(wanted: Wanted, work: Work) -> None:
    """Does the work on all machines at the same time, and tells of each as it ends. Exits with the worst status."""

    async def all_of_them(client: KubeClient) -> Sequence[Outcome | BaseException]:
        machines = await _select(client, wanted)
        async with _sight(client, wanted.namespace) as sight:
            # Interrupted, gather ends only when each of them has put its machine in order.
            works = (_one(client, sight, machine, work) for machine in machines)
            return await asyncio.gather(*works, return_exceptions=True)

    outcomes: list[Outcome] = []
    for result in wanted.cluster.ask(all_of_them):
        if isinstance(result, BaseException):
            raise result
        outcomes.append(result)
    if not outcomes:
        click.echo("No machine has these labels.")
    if code := max((outcome.code for outcome in outcomes), default=0):
        raise click.exceptions.Exit(code)


async def changed(
    client: KubeClient, machine: VirtualMachine, decide: Callable[[VirtualMachine], Decision]
) -> tuple[Decision, VirtualMachine]:
    """Decides and writes, and decides again if the machine changed meanwhile. The machine is as it then is."""
    for _ in range(_TRIES):
        decision = decide(machine)
        if not isinstance(decision, Change):
            return decision, machine
        change = power.patch(machine, decision.strategy, decision.remember)
        name, namespace = machine.metadata.name, machine.metadata.namespace
        try:
            return decision, VirtualMachine.read(
                await client.merge_patch(VIRTUAL_MACHINE, name, change, namespace)
            )
        except Conflict:
            machine = VirtualMachine.read(await client.get(VIRTUAL_MACHINE, name, namespace))
    raise Conflict(f"{full_name(machine)} changes all the time")


def refused(machine: VirtualMachine, why: Refusal | Failed) -> Outcome:
    return Outcome(full_name(machine), why.said, 1)


def full_name(machine: VirtualMachine) -> str:
    return f"{machine.metadata.namespace}/{machine.metadata.name}"


class Sight:
    """All machines of a namespace, as they change."""

    def __init__(self) -> None:
        self._machines: dict[str, VirtualMachine | None] = {}
        self._news = asyncio.Condition()

    async def until(
        self, machine: VirtualMachine, judge: Callable[[VirtualMachine], Progress], seconds: float
    ) -> Done | Failed | Pending:
        """The first verdict that is final; Pending when there was none in ``seconds``."""
        last: Progress = judge(machine)
        uid = machine.metadata.uid
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                while isinstance(last, Pending):
                    await self._news.wait()
                    if uid in self._machines:
                        seen = self._machines[uid]
                        last = Failed("was deleted") if seen is None else judge(seen)
        return last

    async def follow(self, client: KubeClient, namespace: str) -> None:
        """For ever."""
        async for news in changes(client, VIRTUAL_MACHINE, namespace):
            async with self._news:
                for uid, obj in news.items():
                    self._machines[uid] = VirtualMachine.read(obj) if obj is not None else None
                self._news.notify_all()


@asynccontextmanager
async def _sight(client: KubeClient, namespace: str) -> AsyncIterator[Sight]:
    sight = Sight()
    following = asyncio.create_task(sight.follow(client, namespace))
    try:
        yield sight
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, KubeError):
            await following


async def _select(client: KubeClient, wanted: Wanted) -> list[VirtualMachine]:
    """Raises NotFound for the first name that is none, before anything is changed."""
    if wanted.selector:
        found = await client.list(VIRTUAL_MACHINE, wanted.namespace, labels=wanted.selector)
    else:
        names = dict.fromkeys(wanted.names)
        found = [await client.get(VIRTUAL_MACHINE, name, wanted.namespace) for name in names]
    return [VirtualMachine.read(obj) for obj in found]


async def _one(client: KubeClient, sight: Sight, machine: VirtualMachine, work: Work) -> Outcome:
    """One machine's refusal does not keep the others from being done."""
    try:
        outcome = await work(client, sight, machine)
    except KubeError as error:
        outcome = Outcome(full_name(machine), error.message, 1)
    mark = "Error: " if outcome.code else ""
    click.echo(f"{mark}{outcome.machine} {outcome.said}", err=bool(outcome.code))
    return outcome
