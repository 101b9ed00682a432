"""``kubectl goldpool watch``."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import click
from rich.console import Console

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.cli.bars import Bars, JsonLines, Lines, View
from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import template_names
from goldpool.cli.copies import copies, judge
from goldpool.cli.following import changes
from goldpool.cli.machines import NOT_IN_TIME, Seconds
from goldpool.cli.page import Example, Page
from goldpool.cli.power import Done, Failed, Pending, Progress
from goldpool.kube.client import KubeClient
from goldpool.kube.port import KubeError, Obj
from goldpool.kube.resources import PARENT, TEMPLATE

_News = dict[str, Obj | None]
_RESULTS: Final = {Done: "Ready", Failed: "Failed", Pending: "TimedOut"}


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool watch template debian-12", "See the downloads, until all copies are there"),
        Example(
            "kubectl goldpool watch template debian-12 --timeout 30m", "Wait in a script, for half an hour"
        ),
        Example("kubectl goldpool watch template debian-12 -o json", "A line for each change, for a program"),
    ),
    exit_status={
        1: "A copy failed for good, or the template was deleted; or the command was refused.",
        NOT_IN_TIME: "Not all copies were there within --timeout. Downloads go on.",
    },
    see_also=("kubectl get gpar -w", "kubectl goldpool tree --golden-only", "docs/templates.md"),
)
@click.argument(
    "kind", metavar="template", type=click.Choice(["template", "gtpl", "templates"]), expose_value=False
)
@click.argument("name", metavar="NAME", shell_complete=template_names)
@click.option("--timeout", type=Seconds(), default=None, metavar="DURATION",
              help="How long to wait, like 90s or 1h30m; by default as long as it takes.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Bars or lines for people, or a line of JSON for each change.")  # fmt: skip
@cluster_options
def watch(*, cluster: Cluster, name: str, timeout: float | None, output: str) -> None:
    """Watch the downloads of a template until all copies that are wanted now are there.

    On a terminal each copy has a bar, with its rate, the time that is left and the mirror it comes from; elsewhere there
    is a line whenever a copy's state changes or another tenth of it has come. Where the server does not say how large the
    image is, the amount is shown and no percentage. A copy that failed is tried again by the operator at the time shown,
    unless trying again cannot help: then the command ends, too. A template that nothing needs yet wants no copy, and the
    command ends at once.

    With -o json each line is a copy (name, pool, host, state, done, expected, rate, eta, mirror, failure, message), and
    the last one the result: template, result (Ready, Failed or TimedOut), message.

    Takes the rights to get, list and watch templates and parents. Only reads; interrupting it stops no download.
    """
    console = Console(highlight=False)
    on_terminal = console.is_terminal and not console.is_dumb_terminal
    view: View = JsonLines() if output == "json" else Bars(console) if on_terminal else Lines()
    end = cluster.ask(lambda client: watched(client, name, timeout, view))
    if output == "json":
        click.echo(json.dumps({"template": name, "result": _RESULTS[type(end)], "message": end.said}))
    elif isinstance(end, Done):
        if not on_terminal:  # there the last picture says so
            click.echo(f"Template {name}: {end.said}")
    elif isinstance(end, Pending):
        click.echo(f"Error: template {name} is not there yet after {timeout:g} s: {end.said}", err=True)
    else:
        click.echo(f"Error: template {name}: {end.said}", err=True)
    if not isinstance(end, Done):
        raise click.exceptions.Exit(1 if isinstance(end, Failed) else NOT_IN_TIME)


async def watched(client: KubeClient, name: str, seconds: float | None, view: View) -> Progress:
    """The first verdict that is final, or the last one before the time was over."""
    await client.get(TEMPLATE, name)  # says so when there is none
    news: asyncio.Queue[tuple[bool, _News] | KubeError] = asyncio.Queue()
    streams = (
        (True, changes(client, TEMPLATE, fields=f"metadata.name={name}")),
        (False, changes(client, PARENT, fields=f"spec.template={name}")),
    )
    pumps = [asyncio.create_task(_pump(stream, is_template, news)) for is_template, stream in streams]
    templates: dict[str, Any] = {}
    parents: dict[str, Any] = {}
    verdict: Progress = Pending("nothing is known yet")
    seen: set[bool] = set()
    try:
        with view.shown():
            async with asyncio.timeout(seconds):
                while True:
                    for is_template, change in await _all_of(news):
                        seen.add(is_template)
                        (templates if is_template else parents).update(change)
                    if len(seen) < len(streams):
                        continue
                    here = [Template.read(obj) for obj in templates.values() if obj is not None]
                    found = copies(Parent.read(obj) for obj in parents.values() if obj is not None)
                    verdict = judge(here[0] if here else None, found)
                    view.show(f"Template {name}: {verdict.said}", found)
                    if not isinstance(verdict, Pending):
                        return verdict
    except TimeoutError:
        return verdict
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    stream: AsyncIterator[_News], is_template: bool, news: "asyncio.Queue[tuple[bool, _News] | KubeError]"
) -> None:
    try:
        async for change in stream:
            news.put_nowait((is_template, change))
    except KubeError as error:
        news.put_nowait(error)


async def _all_of(news: "asyncio.Queue[tuple[bool, _News] | KubeError]") -> list[tuple[bool, _News]]:
    """What has come, and at least one; so that a burst is drawn once. Raises the refusal of a stream."""
    found = [await news.get()]
    while not news.empty():
        found.append(news.get_nowait())
    for one in found:
        if isinstance(one, KubeError):
            raise one
    return [one for one in found if not isinstance(one, KubeError)]
