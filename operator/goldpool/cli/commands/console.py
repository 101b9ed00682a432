"""``kubectl goldpool console``."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Final

import click

from goldpool.api.virtualmachine import VirtualMachine
from goldpool.cli import terminal
from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import machine_names, namespace_names
from goldpool.cli.page import Example, Page
from goldpool.contracts.machine import CONSOLE_COMMAND, ConsoleExit
from goldpool.kube.client import KubeClient
from goldpool.kube.execution import Channel, Execution
from goldpool.kube.port import Forbidden
from goldpool.kube.resources import VIRTUAL_MACHINE

CONTAINER: Final = "machine"
_MARKS: Final = frozenset({"event", "level"})
_TYPED_AT_ONCE: Final = 64


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool console web-1", "Sit down at a machine's serial console"),
        Example("kubectl goldpool console web-1 --log", "Only read what it has said since it was started"),
        Example("kubectl goldpool console web-1 --log --follow", "Read on as it goes on"),
        Example("echo uptime | kubectl goldpool console web-1", "Type a line, and watch; Ctrl-C ends it"),
    ),
    see_also=("kubectl goldpool start", "docs/security.md"),
)
@click.argument("name", shell_complete=machine_names)
@click.option(
    "-n",
    "--namespace",
    default="",
    metavar="NAME",
    shell_complete=namespace_names,
    help="Namespace; by default the context's.",
)
@click.option("--take", is_flag=True, help="End the session of whoever is at the console.")
@click.option(
    "--log", is_flag=True, help="Print what the guest has said since it was started, and do not connect."
)
@click.option("-f", "--follow", is_flag=True, help="With --log: go on until the guest is off.")
@cluster_options
def console(*, cluster: Cluster, name: str, namespace: str, take: bool, log: bool, follow: bool) -> None:
    """Connect this terminal to a machine's serial console.

    Every key goes to the guest, Ctrl-C too; Ctrl-] leaves, and the guest goes on. Press Enter where nothing is shown:
    what was said before is in --log. One person at a time may be at a console; a second one is told so. What the guest
    says is in its pod's log all the same. A guest shows a prompt only where its system runs one on the first serial
    port (on Linux: console=ttyS0, and a getty).

    The console is a program run in the machine's pod, so it takes the rights to get virtualmachines and to get and
    create pods/exec in the data namespace; --log takes to get pods/log there. Whoever may run programs in a
    machine's pod holds all of that machine, its disks too. By default administrators only have these rights;
    docs/security.md tells how to give them for one machine.
    """
    if follow and not log:
        raise click.UsageError("--follow goes with --log")
    if take and log:
        raise click.UsageError("--take and --log exclude each other: who only reads disturbs nobody")
    where = namespace or cluster.namespace

    async def session(client: KubeClient) -> str:
        machine = VirtualMachine.read(await client.get(VIRTUAL_MACHINE, name, where))
        pod = machine.status.pod_ref
        if pod is None:
            raise click.ClickException(
                f"{where}/{name} does not run ({machine.status.phase or 'new'}): "
                f"kubectl goldpool start -n {where} {name}"
            )
        try:
            if log:
                return await _print_log(client, pod.name, pod.namespace, follow=follow)
            argv = [*CONSOLE_COMMAND, *(["--take"] if take else [])]
            async with client.execute(pod.name, pod.namespace, CONTAINER, argv) as execution:
                return await _sit(execution, f"{where}/{name}")
        except Forbidden as error:
            right = "get pods/log" if log else "get and create pods/exec"
            raise click.ClickException(
                f"these credentials may not {right} in namespace {pod.namespace} for pod {pod.name}: "
                "a console is an administrator's, or whose administrators give that right (docs/security.md)"
            ) from error

    if last := cluster.ask(session):
        click.echo(last, err=True)


async def _print_log(client: KubeClient, pod: str, namespace: str, *, follow: bool) -> str:
    if follow:
        async for line in client.follow_pod_log(pod, namespace):
            _print_line(line)
    else:
        for line in (await client.pod_log(pod, namespace)).splitlines():
            _print_line(line)
    return ""


def _print_line(line: str) -> None:
    if by_guest(line):
        terminal.show(line.encode() + b"\n")


def by_guest(line: str) -> bool:
    """The pod's log has also what the pod itself logs about QEMU: one JSON object per line."""
    if not line.startswith("{"):
        return True
    try:
        found = json.loads(line)
    except ValueError:
        return True
    return not (isinstance(found, dict) and found.keys() >= _MARKS)


async def _sit(execution: Execution, machine: str) -> str:
    """Returns what to say at the end."""
    stdin = sys.stdin.fileno()
    if sys.stdin.isatty():
        click.echo(f"At the console of {machine}. Ctrl-] leaves.", err=True)
    errors = bytearray()
    with terminal.raw(stdin):
        typing = asyncio.create_task(_type(execution, stdin))
        listening = asyncio.create_task(_listen(execution, errors))
        try:
            await asyncio.wait({typing, listening}, return_when=asyncio.FIRST_COMPLETED)
            if typing.done() and typing.result():
                return ""
            await listening
        finally:
            for task in (typing, listening):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    return farewell(execution.status, errors.decode(errors="replace").strip(), machine)


async def _type(execution: Execution, stdin: int) -> bool:
    """True when the person left. At the end of a file there is still something to read."""
    async for typed in terminal.keys(stdin):
        for begin in range(0, len(typed.data), _TYPED_AT_ONCE):
            await execution.write(typed.data[begin : begin + _TYPED_AT_ONCE])
        if typed.left:
            return True
    return False


async def _listen(execution: Execution, errors: bytearray) -> None:
    async for chunk in execution.chunks():
        if chunk.channel is Channel.STDOUT:
            terminal.show(chunk.data)
        else:
            errors += chunk.data


def farewell(status: int | None, errors: str, machine: str) -> str:
    """Raises ClickException where the session did not end as it should."""
    if status == ConsoleExit.GUEST_ENDED:
        return f"{machine} is off."
    if status == ConsoleExit.LEFT:
        return ""
    raise click.ClickException(f"{machine}: {errors or f'the console ended with exit code {status}'}")
