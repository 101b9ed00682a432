"""``kubectl goldpool stop``."""

import click

from goldpool.cli import power
from goldpool.cli.machines import NOT_IN_TIME, Wanted, carry_out, machine_options
from goldpool.cli.page import Example, Page
from goldpool.cli.switching import Switch


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool stop web-1 --wait", "Stop a machine, and wait until it is off"),
        Example("kubectl goldpool stop -A -l app=web", "Stop all machines with a label, in all namespaces"),
    ),
    exit_status={NOT_IN_TIME: "A machine was still shutting down after --timeout. It goes on doing so."},
    see_also=("kubectl goldpool start", "kubectl goldpool restart"),
)
@click.option("--wait", is_flag=True, help="Wait until the guests are off and their disks are free.")
@machine_options
def stop(wanted: Wanted, wait: bool) -> None:
    """Stop virtual machines.

    Sets spec.runStrategy to Halted: the guest is asked to shut down, and is switched off when it has not done so within
    spec.stopTimeoutSeconds. Its disks stay as they are. The run strategy it had is kept in the annotation
    goldpool.io/run-strategy for the next start.

    Takes the rights to get, list, watch and patch virtualmachines.
    """
    carry_out(wanted, Switch(power.stop, wait, wanted.seconds).carry_out)
