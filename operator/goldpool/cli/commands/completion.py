"""``kubectl goldpool completion``."""

from typing import Final

import click
from click.shell_completion import get_completion_class

from goldpool.cli.page import Example, Page

PROGRAM: Final = "kubectl-goldpool"
VARIABLE: Final = "_KUBECTL_GOLDPOOL_COMPLETE"
"""What click looks for in the environment when the program is asked for completions."""
SHELLS: Final = ("bash", "zsh", "fish")


@click.command(
    cls=Page,
    examples=(
        Example("source <(kubectl-goldpool completion bash)", "In ~/.bashrc; bash 4.4 or newer"),
        Example("source <(kubectl-goldpool completion zsh)", "In ~/.zshrc, after compinit"),
        Example(
            "kubectl-goldpool completion fish > ~/.config/fish/completions/kubectl-goldpool.fish",
            "Once, for fish",
        ),
    ),
    see_also=("kubectl completion --help",),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes kubectl-goldpool in a shell.

    Commands, options and the names of machines and namespaces are completed; names come from the cluster, and where it
    does not answer within two seconds (GOLDPOOL_COMPLETION_SECONDS in the environment) there are none.

    For `kubectl goldpool` nothing needs to be sourced beyond kubectl's own completion: it runs the program
    kubectl_complete-goldpool, which is installed beside kubectl-goldpool.
    """
    shell_class = get_completion_class(shell)
    assert shell_class is not None, "click knows these three"
    click.echo(shell_class(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())
