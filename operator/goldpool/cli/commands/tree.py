"""``kubectl goldpool tree``."""

from dataclasses import asdict

import click
from rich.console import Console

from goldpool.cli import inventory, render
from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import namespace_names
from goldpool.cli.forest import tree as forest
from goldpool.cli.page import Example, Page
from goldpool.cli.structured import structured


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool tree", "Everything"),
        Example("kubectl goldpool tree -n team-a", "One team's volumes and machines, and all pools"),
        Example("kubectl goldpool tree --golden-only", "Only golden pools and what hangs on them"),
    ),
    see_also=("kubectl get goldpool -A",),
)
@click.option(
    "-n",
    "--namespace",
    default="",
    metavar="NAME",
    shell_complete=namespace_names,
    help="Volumes and machines of this namespace only.",
)
@click.option(
    "-A", "--all-namespaces", is_flag=True, help="Volumes and machines of all namespaces; the default."
)
@click.option("--golden-only", is_flag=True, help="Golden pools and what hangs on them only.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True,
              help="How to print it.")  # fmt: skip
@cluster_options
def tree(*, cluster: Cluster, namespace: str, all_namespaces: bool, golden_only: bool, output: str) -> None:
    """Show pools, the parents on them, their children and the machines that run from those.

    Golden pools come first. Each volume and machine is shown at least once: a child below its parent, any other volume
    below its pool, and what has no place yet at the end. What is not ready says why, and what is being deleted says who
    uses it. Only reads.
    """
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    hint = "" if namespace else "with -n only that namespace's volumes and machines are read"
    found = cluster.ask(lambda client: inventory.read(client, namespace), hint=hint)
    branches = forest(found, golden_only=golden_only)
    if output != "text":
        click.echo(structured([asdict(branch) for branch in branches], output), nl=False)
        return
    console = Console(highlight=False)
    if not branches:
        console.print("There are no pools, templates, volumes or machines.")
        return
    guides = render.UNICODE if console.encoding.startswith("utf") else render.ASCII
    for line in render.lines(branches, guides):
        # Terminals wrap, pipes take the whole line; rich would cut both.
        console.print(line, soft_wrap=True)
