"""docs/cli.md: the manual pages of kubectl-goldpool, from the texts that --help prints."""

from collections.abc import Iterator
from typing import Final

import click

from goldpool.cli.command import COMMANDS
from goldpool.cli.page import NAME, Page
from hack.generate.documents import NOTICE

PATH: Final = "docs/cli.md"

_INTRODUCTION: Final = f"""\
<!-- {NOTICE} -->

# {NAME}

A kubectl plugin: `make venv`, then put `.venv/bin` on the PATH. Each page below is what `{NAME} COMMAND --help` prints.
Every command takes `--kubeconfig` and `--context`; what it does is done with the rights of that kubeconfig's user.
"""


def files() -> dict[str, str]:
    """Path below the repository's root to content."""
    pages = [page for page in COMMANDS if isinstance(page, Page)]
    summaries = [f"| [{page.name}](#{_anchor(page)}) | {page.summary} |" for page in pages]
    table = "\n".join(["| Command | |", "|---|---|", *summaries])
    return {PATH: "\n".join([_INTRODUCTION, table, "", *("\n".join(_page(page)) for page in pages)])}


def _anchor(page: Page) -> str:
    return f"{NAME} {page.name}".replace(" ", "-")


def _page(page: Page) -> Iterator[str]:
    context = click.Context(page, info_name=page.name, help_option_names=["-h", "--help"])
    yield from (
        f"## {NAME} {page.name}",
        "",
        f"{page.summary}.",
        "",
        "```",
        page.synopsis(context),
        "```",
        "",
    )
    for paragraph in page.description:
        yield from (paragraph, "")
    yield from ("| Option | |", "|---|---|")
    yield from (f"| `{_cell(name)}` | {_cell(text)} |" for name, text in page.option_rows(context))
    yield ""
    for example in page.examples:
        yield from (f"{example.what}:", "", "```sh", example.line, "```", "")
    yield from ("| Exit status | |", "|---|---|")
    yield from (f"| {code} | {text} |" for code, text in sorted(page.exit_status.items()))
    yield ""
    if page.see_also:
        yield from (f"See also: {', '.join(f'`{each}`' for each in page.see_also)}", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
