"""How the copies of a template are shown while one waits: bars, lines, or lines of JSON."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from goldpool.api.parent import ParentState
from goldpool.cli.copies import Copy, line, note, worth_telling

ROWS: Final = 20
"""With more copies than that, those that are there are only counted."""
_BAR_WIDTH: Final = 24
_STYLES: Final = {ParentState.READY: "green", ParentState.FAILED: "bold red"}


class View(Protocol):
    """Shows the copies as they are now, while it is entered."""

    def shown(self) -> AbstractContextManager[object]: ...

    def show(self, head: str, copies: Sequence[Copy], /) -> None: ...


class Bars:
    """On a terminal: one bar per copy, drawn anew in place. The last picture stays."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def shown(self) -> AbstractContextManager[object]:
        return self._live

    def show(self, head: str, copies: Sequence[Copy], /) -> None:
        self._live.update(picture(head, copies), refresh=True)


class Lines:
    """Where lines are kept: one for each copy whenever there is something new to say of it."""

    def __init__(self) -> None:
        self._before: dict[str, Copy] = {}

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, _head: str, copies: Sequence[Copy], /) -> None:
        for copy in copies:
            if worth_telling(self._before.get(copy.name), copy):
                self._before[copy.name] = copy
                click.echo(line(copy))


class JsonLines:
    """For programs: a copy on each line, whenever anything of it changed."""

    def __init__(self) -> None:
        self._before: dict[str, Copy] = {}

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()

    def show(self, _head: str, copies: Sequence[Copy], /) -> None:
        for copy in copies:
            if self._before.get(copy.name) != copy:
                self._before[copy.name] = copy
                click.echo(json.dumps(copy.to_dict()))


def picture(head: str, copies: Sequence[Copy]) -> RenderableType:
    """The head, and a row per copy: where, how far, and what else there is to know, cut at the terminal's edge."""
    shown = copies
    if len(copies) > ROWS:
        shown = [copy for copy in copies if copy.state != ParentState.READY][:ROWS]
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for copy in shown:
        table.add_row(
            copy.place,
            Text(copy.state, _STYLES.get(ParentState(copy.state), "yellow")),
            _bar(copy),
            note(copy),
        )
    rest = len(copies) - len(shown)
    left_out = [Text(f"and {rest} more")] if rest else []
    return Group(Text(head), table, *left_out)


def _bar(copy: Copy) -> RenderableType:
    """Nothing where nobody knows how much there is: a bar would be a guess."""
    if copy.state in {ParentState.READY, ParentState.PUBLISHED}:
        return ProgressBar(total=1, completed=1, width=_BAR_WIDTH)
    if copy.state != ParentState.FETCHING or not copy.expected:
        return ""
    return ProgressBar(total=copy.expected, completed=copy.done or 0, width=_BAR_WIDTH)
