"""``kubectl goldpool restart``."""

import click

from goldpool.cli import power
from goldpool.cli.machines import NOT_IN_TIME, Wanted, carry_out, machine_options
from goldpool.cli.page import Example, Page
from goldpool.cli.switching import Switch


@click.command(
    cls=Page,
    examples=(
        Example(
            "kubectl goldpool restart web-1", "Restart a machine; returns when it was stopped and is starting"
        ),
        Example(
            "kubectl goldpool restart -l app=web --wait", "Restart all with a label, and wait until they run"
        ),
    ),
    exit_status={NOT_IN_TIME: "A machine did not stop, or with --wait did not run again, within --timeout."},
    see_also=("kubectl goldpool start", "kubectl goldpool stop"),
)
@click.option("--wait", is_flag=True, help="Wait until the guests run again.")
@machine_options
def restart(wanted: Wanted, wait: bool) -> None:
    """Stop virtual machines cleanly, and start them again.

    The guest is asked to shut down, and is started when no process of it is left; no data is lost that a shutdown keeps.
    Always waits for the stop. Whatever interrupts that, Ctrl-C too, gives the machine its run strategy back: it then goes
    on as it was, or starts again once it is off. A machine that is stopped is started.

    Takes the rights to get, list, watch and patch virtualmachines.
    """
    carry_out(wanted, Switch(power.restart, wait, wanted.seconds).carry_out)
