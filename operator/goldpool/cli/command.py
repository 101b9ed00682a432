"""kubectl-goldpool: the commands it has, and nothing else."""

from typing import Final

import click

from goldpool import __version__
from goldpool.cli.commands.completion import completion
from goldpool.cli.commands.console import console
from goldpool.cli.commands.explain import explain
from goldpool.cli.commands.release import release
from goldpool.cli.commands.restart import restart
from goldpool.cli.commands.start import start
from goldpool.cli.commands.stop import stop
from goldpool.cli.commands.tree import tree
from goldpool.cli.commands.watch import watch

COMMANDS: Final[tuple[click.Command, ...]] = (
    tree,
    watch,
    explain,
    start,
    stop,
    restart,
    console,
    release,
    completion,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kubectl-goldpool")
def main() -> None:
    """Look at golden pools, and at the virtual machines that boot from them."""


for command in COMMANDS:
    main.add_command(command)
