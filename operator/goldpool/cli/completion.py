"""Names from the cluster for the shell's Tab. Whoever presses it wants an answer or nothing: never an error."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from goldpool.cli.cluster import Cluster
from goldpool.kube import resources
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Resource

_SECONDS: Final = float(os.environ.get("GOLDPOOL_COMPLETION_SECONDS", "2"))

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(resource: Resource) -> Complete:
    """Completes names of that kind, in the namespace that the line names so far, else the context's."""

    def complete(ctx: click.Context, _parameter: click.Parameter, begin: str) -> list[CompletionItem]:
        given: dict[str, Any] = ctx.params
        cluster = Cluster(given.get("kubeconfig"), given.get("context"))

        async def names(client: KubeClient) -> list[str]:
            within = (given.get("namespace") or cluster.namespace) if resource.namespaced else ""
            async with asyncio.timeout(_SECONDS):
                return sorted(key.name for key in await client.list_names(resource, within))

        taken = given.get("names") or ()
        try:
            found = cluster.ask(names)
        except (click.ClickException, TimeoutError, OSError):
            return []
        return [CompletionItem(name) for name in found if name.startswith(begin) and name not in taken]

    return complete


machine_names: Final = names_of(resources.VIRTUAL_MACHINE)
template_names: Final = names_of(resources.TEMPLATE)
namespace_names: Final = names_of(resources.NAMESPACE)
