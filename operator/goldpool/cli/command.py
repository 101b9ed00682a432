"""The commands of kubectl-goldpool."""

import asyncio

import click
from kubernetes.aio.config.config_exception import ConfigException
from pydantic import ValidationError
from rich.console import Console

from goldpool import __version__
from goldpool.cli import inventory, render
from goldpool.cli.inventory import Inventory
from goldpool.cli.tree import tree as tree_of
from goldpool.kube.client import KubeClient
from goldpool.kube.config import load_configuration
from goldpool.kube.port import Forbidden, KubeError, NotFound

TIMEOUT_SECONDS = 10.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kubectl-goldpool")
def main() -> None:
    """Look at golden pools, and at the virtual machines that boot from them."""


@main.command()
@click.option("-n", "--namespace", default="", help="Volumes and machines of this namespace only.")
@click.option(
    "-A", "--all-namespaces", is_flag=True, help="Volumes and machines of all namespaces; the default."
)
@click.option("--golden-only", is_flag=True, help="Golden pools and what hangs on them only.")
@click.option("--context", default=None, help="The kubeconfig's context to use.")
def tree(namespace: str, all_namespaces: bool, golden_only: bool, context: str | None) -> None:
    """Show pools, the parents on them, their children and the machines that run from those."""
    if namespace and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    found = _read(namespace, context)
    branches = tree_of(found, golden_only=golden_only)
    console = Console(highlight=False)
    if not branches:
        console.print("There are no pools, templates, volumes or machines.")
        return
    guides = render.UNICODE if console.encoding.startswith("utf") else render.ASCII
    for line in render.lines(branches, guides):
        # Terminals wrap, pipes take the whole line; rich would cut both.
        console.print(line, soft_wrap=True)


def _read(namespace: str, context: str | None) -> Inventory:
    try:
        return asyncio.run(_inventory(namespace, context))
    except ConfigException as error:
        raise click.ClickException(
            f"no cluster to talk to: {error}. Set KUBECONFIG or make ~/.kube/config"
        ) from error
    except KubeError as error:
        raise click.ClickException(explanation(error, namespace)) from error
    except ValidationError as error:
        raise click.ClickException(
            f"the cluster has an object that this version does not understand: {error}"
        ) from error


async def _inventory(namespace: str, context: str | None) -> Inventory:
    configuration = await load_configuration(context=context)
    async with KubeClient(configuration, timeout=TIMEOUT_SECONDS, trust_env=True) as client:
        try:
            return await inventory.read(client, namespace)
        except KubeError as error:
            error.add_note(client.host)
            raise


def explanation(error: KubeError, namespace: str) -> str:
    """What a person should know and do about a refusal. The error's note is the server's address."""
    server = (getattr(error, "__notes__", None) or ["the API server"])[0]
    if error.status == 401:
        return f"{server} does not accept these credentials: {error.message}"
    match error:
        case NotFound():
            return f"Goldpool is not installed at {server}: the server knows no goldpool.io kinds"
        case Forbidden():
            hint = "" if namespace else "; with -n only that namespace's volumes and machines are read"
            return f"{error.message}{hint}"
        case _:
            return f"cannot reach {server}: {error.message}"
