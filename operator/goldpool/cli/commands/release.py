"""``kubectl goldpool release``."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import click

from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import namespace_names
from goldpool.cli.leaving import ORDER, Release, releases
from goldpool.cli.page import Example, Page
from goldpool.cli.structured import structured
from goldpool.kube import resources
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Conflict, NotFound, Obj, Resource

LEASE_NAME: Final = "goldpool-operator"
_LEASE_SECONDS: Final = 15


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool release --all", "Say what would be released"),
        Example("kubectl goldpool release --all --yes", "Release it"),
        Example(
            "kubectl goldpool release -n team-a volume/web-1-root --yes",
            "One object, whose host is gone for good",
        ),
        Example("kubectl goldpool release --all --terminating", "Only what is being deleted"),
    ),
    exit_status={1: "Refused, failed, or something was kept; the lines before say why."},
    see_also=("kubectl goldpool stop", "kubectl delete crd"),
)
@click.argument("names", metavar="[KIND/NAME...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All objects of all kinds, and machines' pods.")
@click.option("--terminating", is_flag=True, help="Of these, only what is being deleted.")
@click.option("-n", "--namespace", default="", metavar="NAME",
              shell_complete=namespace_names,
              help="Machines and volumes of this namespace only. By default the context's; with --all, all.")  # fmt: skip
@click.option("--data-namespace", default="goldpool-data", show_default=True, metavar="NAME",
              help="Where machines' pods are.")  # fmt: skip
@click.option("--operator-namespace", default="goldpool-system", show_default=True, metavar="NAME",
              help="Where the operator's Lease is.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do it. Without this nothing is changed.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True,
              help="How to print what is released and what is kept.")  # fmt: skip
@cluster_options
def release(
    *,
    cluster: Cluster,
    names: tuple[str, ...],
    everything: bool,
    terminating: bool,
    namespace: str,
    data_namespace: str,
    operator_namespace: str,
    yes: bool,
    output: str,
) -> None:
    """Take Goldpool's finalizers off, without touching any bytes.

    For leaving Goldpool with the disks kept, and for objects that nobody can bring into order any more. Without --yes it
    only says what it would do.

    A finalizer is what makes a deletion wait until the operator has brought the disk, the download or the pod into order.
    Without it a deletion is of the object alone: images stay on the pools, with a sidecar each that says whose they are.

    To leave: stop the machines (kubectl goldpool stop -A -l LABELS --wait), end the operator (kubectl -n
    goldpool-system scale deployment goldpool --replicas=0), then kubectl goldpool release --all --yes, and delete
    the CRDs. While an operator runs this is refused, because it would delete bytes on seeing a deletion, and put finalizers
    back. A machine whose pod runs is kept, and so is its pod: their objects are what keeps a second writer away.

    Takes the rights to list and patch all of Goldpool's kinds, to list and patch pods in the data namespace, and to get
    the Lease goldpool-operator: an administrator's.
    """
    if bool(names) == everything:
        raise click.UsageError("give KIND/NAME..., or --all")
    if wrong := next((n for n in names if not all(n.partition("/"))), None):
        raise click.UsageError(f"{wrong} is not KIND/NAME, like volume/web-1-root")
    where = namespace or ("" if everything else cluster.namespace)

    async def work(client: KubeClient) -> tuple[Sequence[Release], str]:
        operator = await running_operator(client, operator_namespace)
        if operator and yes:
            raise click.ClickException(
                f"the operator runs ({operator}): it would delete bytes, and put finalizers back. End it first: "
                f"kubectl -n {operator_namespace} scale deployment goldpool --replicas=0"
            )
        found = await _everything(client, where, data_namespace)
        try:
            chosen = releases(found, names=names, terminating=terminating)
        except KeyError as error:
            raise click.ClickException(f"there is no {error.args[0]} in namespace {where}") from error
        return (await _release(client, chosen) if yes else chosen), operator

    done, operator = cluster.ask(work)
    _print(done, output, yes=yes)
    if not yes and any(not each.kept for each in done):
        click.echo("Nothing was changed: this is what --yes would do.", err=True)
    if operator:
        click.echo(f"The operator runs ({operator}); with --yes this would be refused.", err=True)
    if any(each.kept for each in done):
        raise click.exceptions.Exit(1)


async def running_operator(client: KubeClient, namespace: str) -> str:
    """Who holds the operator's Lease and renews it; empty if nobody does. Whether a holder is alive only time tells, and
    no clock but one's own: one that is dead is waited for as long as a standby would."""
    version = ""
    for _ in range(_LEASE_SECONDS):
        try:
            lease = await client.get(resources.LEASE, LEASE_NAME, namespace)
        except NotFound:
            return ""
        holder = str(lease["spec"].get("holderIdentity") or "")
        changed = version not in {"", lease["metadata"]["resourceVersion"]}
        if not holder or changed:
            return holder
        version = lease["metadata"]["resourceVersion"]
        await asyncio.sleep(1)
    return ""


async def _everything(
    client: KubeClient, namespace: str, data_namespace: str
) -> dict[Resource, Sequence[Obj]]:
    async def of(resource: Resource) -> Sequence[Obj]:
        within = data_namespace if resource is resources.POD else namespace if resource.namespaced else ""
        try:
            return await client.list(resource, within)
        except NotFound:  # its CRD is gone already
            return ()

    return dict(zip(ORDER, await asyncio.gather(*map(of, ORDER)), strict=True))


async def _release(client: KubeClient, chosen: Sequence[Release]) -> list[Release]:
    """One after the other, in their order. What changed meanwhile is kept: it is looked at anew the next time."""
    done = []
    for each in chosen:
        if each.kept:
            done.append(each)
            continue
        metadata = each.obj["metadata"]
        try:
            await client.merge_patch(
                each.resource, metadata["name"], each.patch(), metadata.get("namespace", "")
            )
        except NotFound:
            pass
        except Conflict:
            done.append(Release(each.resource, each.obj, "it changed meanwhile: run this again"))
            continue
        done.append(each)
    return done


def _print(done: Sequence[Release], output: str, *, yes: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"object": each.name, "released": not each.kept, "why": each.kept} for each in done
    ]
    if output != "text":
        click.echo(structured(rows, output), nl=False)
        return
    verb = "released" if yes else "would be released"
    for each in done:
        click.echo(f"{each.name} {f'is kept: {each.kept}' if each.kept else verb}")
    if not done:
        click.echo("No object bears a finalizer of Goldpool's.")
