"""What the audience sees: steps with their times, and a table that moves on a terminal and is told in lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from hack.demo.view import Row, changes
from hack.pipeline.report import duration


class Stage:
    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.times: list[tuple[str, float]] = []
        self._began = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announces the step and keeps its time, also if it fails."""
        began = time.monotonic()
        self.say(f"[bold]==> {name}[/bold]")
        try:
            yield
        finally:
            self.times.append((name, time.monotonic() - began))

    def say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    @contextmanager
    def following(self) -> Iterator[Following]:
        if not self.console.is_terminal:
            yield Following(self.console, None)
            return
        with Live(console=self.console, auto_refresh=False) as live:
            yield Following(self.console, live)

    def tell_times(self) -> None:
        width = max((len(name) for name, _ in self.times), default=0)
        for name, seconds in [*self.times, ("all", time.monotonic() - self._began)]:
            self.say(f"  {name.ljust(width)}  {duration(seconds):>12}")


class Following:
    """Shows the present rows, as often as they are given."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._shown: Sequence[Row] = ()
        self._began = time.monotonic()

    def show(self, rows: Sequence[Row]) -> None:
        if self._live is not None:
            self._live.update(_table(rows), refresh=True)
        else:
            for line in changes(self._shown, rows):
                self._console.print(
                    f"{time.monotonic() - self._began:6.1f}s  {line}", soft_wrap=True, markup=False
                )
        self._shown = rows


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "NAME", "STATE", "WHERE", "LAST WORD"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = "red" if row.failure else "green" if row.done else "yellow"
        table.add_row(
            row.kind, row.name, f"[{style}]{row.state}[/{style}]", row.place, row.detail.replace("[", r"\[")
        )
    return table
