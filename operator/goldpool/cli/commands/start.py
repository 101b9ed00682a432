"""``kubectl goldpool start``."""

import functools

import click

from goldpool.api.virtualmachine import RunStrategy
from goldpool.cli import power
from goldpool.cli.machines import NOT_IN_TIME, Wanted, carry_out, machine_options
from goldpool.cli.page import Example, Page
from goldpool.cli.switching import Switch

_STRATEGIES = [str(strategy) for strategy in RunStrategy if strategy is not RunStrategy.HALTED]


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool start web-1 web-2", "Start two machines of the present namespace"),
        Example(
            "kubectl goldpool start -n team-a -l app=web --wait",
            "Start all with a label, and wait until they run",
        ),
        Example("kubectl goldpool start batch-1 --as Once", "Let it run once more"),
    ),
    exit_status={NOT_IN_TIME: "Started, but a machine did not run within --timeout."},
    see_also=("kubectl goldpool stop", "kubectl goldpool restart", "kubectl goldpool console"),
)
@click.option("--as", "strategy", type=click.Choice(_STRATEGIES), default=None,
              help="The run strategy from now on; by default the one from before the stop, else Always.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait until the guests run.")
@machine_options
def start(wanted: Wanted, strategy: str | None, wait: bool) -> None:
    """Start virtual machines.

    Writes spec.runStrategy. A machine that ran as Once, or that powered itself off under RerunOnFailure, is done: it is
    set to Halted for a moment, which makes the operator forget that, and then runs once more.

    Where manifests are applied from a repository, the next apply undoes this: change runStrategy there.

    Takes the rights to get, list, watch and patch virtualmachines.
    """
    wish = RunStrategy(strategy) if strategy else None
    switch = Switch(functools.partial(power.start, wish=wish), wait, wanted.seconds)
    carry_out(wanted, switch.carry_out)
