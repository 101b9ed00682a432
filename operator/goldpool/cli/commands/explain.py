"""``kubectl goldpool explain``."""

from collections.abc import Iterator, Sequence

import click

from goldpool.cli.cluster import Cluster, cluster_options
from goldpool.cli.completion import machine_names, namespace_names
from goldpool.cli.explanation import Disk, Explanation, is_bound_there, read
from goldpool.cli.explanation import explain as explanation
from goldpool.cli.page import Example, Page
from goldpool.cli.structured import structured
from goldpool.planning.allocators import ALLOCATORS


@click.command(
    cls=Page,
    examples=(
        Example("kubectl goldpool explain vm web-1", "Why it is where it is, or why it has no place"),
        Example("kubectl goldpool explain vm web-1 -n team-a -o json", "The same for a program"),
    ),
    see_also=("kubectl goldpool tree", "kubectl describe gvm"),
)
@click.argument("kind", metavar="vm", type=click.Choice(["vm", "gvm", "virtualmachine"]), expose_value=False)
@click.argument("name", metavar="NAME", shell_complete=machine_names)
@click.option("-n", "--namespace", default="", metavar="NAME", shell_complete=namespace_names,
              help="Namespace; by default the context's.")  # fmt: skip
@click.option("--allocator", type=click.Choice([*ALLOCATORS]), default="firstfitleastconsumed", show_default=True,
              help="The one the operator was set to (chart value planning.allocator).")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True,
              help="How to print it.")  # fmt: skip
@cluster_options
def explain(*, cluster: Cluster, name: str, namespace: str, allocator: str, output: str) -> None:
    """Explain where planning would put a virtual machine, and why nowhere else.

    Reads what the operator reads and plans again by the same rules. Every candidate is shown: the pools with their host
    that fit each disk, in the order of the allocator, with the figures that are compared; then the others, each with the
    first thing that is wrong with it; the places the machine avoids because they failed it; and what would change the
    answer.

    A machine that has a place stays there: what is shown is what a plan made now would find, with the machine's own
    disks left out. Its own place is marked. An ISO is told like a disk; it has candidates wherever its copy may lie.

    With goldenPolicy Preferred the places with the parent beside the disk follow, as fallbacks: they count only while no
    golden pool can serve.

    Takes the rights to get the machine and to list nodes, volumes and machines of all namespaces and all cluster-wide
    kinds. Only reads.
    """
    where = namespace or cluster.namespace
    hint = (
        "explain reads nodes, and the volumes and machines of all namespaces, because all of them take room"
    )
    objects = cluster.ask(lambda client: read(client, where, name), hint=hint)
    found = explanation(objects, allocator)
    if output == "text":
        click.echo("\n".join(lines(found)))
    else:
        click.echo(structured([found.to_dict()], output), nl=False)


def lines(found: Explanation) -> Iterator[str]:
    """For people: no trailing spaces, an empty line between the parts."""
    yield f"VirtualMachine {found.machine}: {found.phase}" + (f", {found.message}" if found.message else "")
    yield f"{'A plan made now' if found.asked else 'The plan'}: {found.answer}"
    for disk in found.disks:
        yield ""
        yield _headline(disk)
        rows = [
            (
                f"{c.rank or '-'}{'*' if is_bound_there(disk, c) else ''}",
                c.host or "(any)",
                c.pool,
                f"{c.parent_pool} (fallback)" if c.fallback and c.parent_pool else c.parent_pool or "-",
                c.reason or "Fits",
                c.detail,
            )
            for c in disk.candidates
        ]
        yield from table(("RANK", "HOST", "POOL", "PARENT IN", "RESULT", "WHY"), rows)
    if found.hosts:
        yield ""
        yield "Hosts that may not run it"
        yield from table(("HOST", "REASON", "WHY"), found.hosts)
    if found.avoid:
        yield ""
        yield "Avoided, because it failed there"
        rows_ = [(a["location"], a["reason"], a["time"], a.get("message", "")) for a in found.avoid]
        yield from table(("PLACE", "REASON", "SINCE", "WHY"), rows_)
    if found.remedies:
        yield ""
        yield "What would change the answer"
        yield from table(
            ("REASON", "CANDIDATES", "REMEDY"), [(r, str(n), text) for r, n, text in found.remedies]
        )


def _headline(disk: Disk) -> str:
    text = f"Disk {disk.name} (Volume {disk.volume})" if disk.volume else "The ISO"
    if disk.bound is None:
        return f"{text}: no place yet"
    on = f" on {disk.bound['host']}" if disk.bound["host"] else ""
    above = (
        f", its parent in {disk.bound['parentPool']}" if "parentPool" in disk.bound and disk.volume else ""
    )
    if disk.fallback:
        above = ", its parent beside it as a fallback" if disk.volume else ", as a fallback"
    return f"{text}: bound to {disk.bound['pool']}{on}{above} (*)"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as what is in them."""
    if not rows:
        yield "  (none)"
        return
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
