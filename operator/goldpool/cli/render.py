"""A tree as lines of text: names and states in columns, colour left to the console."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from goldpool.cli.forest import Branch, Health

_STYLES = {Health.GOOD: "green", Health.BUSY: "yellow", Health.BAD: "bold red", Health.NONE: ""}


@dataclass(frozen=True)
class Guides:
    """What leads from a branch to what is below it. All four are equally wide."""

    fork: str
    last: str
    line: str
    gap: str


UNICODE = Guides("├─ ", "└─ ", "│  ", "   ")
ASCII = Guides("|- ", "`- ", "|  ", "   ")


def lines(branches: Sequence[Branch], guides: Guides = UNICODE) -> list[Text]:
    """One line per branch, without trailing spaces; an empty line between the top ones."""
    rows = [row for branch in branches for row in _rows(branch, "", "", guides)]
    label_width = max((len(label) for _, label in rows), default=0)
    state_width = max((len(branch.state) for branch, _ in rows), default=0)
    text: list[Text] = []
    for branch, label in rows:
        if text and any(branch is top for top in branches):
            text.append(Text())
        line = label.copy()
        if branch.state or branch.facts:
            line.append(" " * (label_width - len(label) + 2))
            line.append(branch.state, _STYLES[branch.health])
        if branch.facts:
            line.append(" " * (state_width - len(branch.state) + 2))
            line.append(", ".join(branch.facts))
        line.rstrip()
        text.append(line)
    return text


def _rows(branch: Branch, first: str, rest: str, guides: Guides) -> Iterator[tuple[Branch, Text]]:
    """`first` stands before the branch's own line, `rest` before all lines below it."""
    label = Text(first, "dim")
    if branch.what:
        label.append(f"{branch.what} ", "dim")
    label.append(branch.name, "bold" if not first else "")
    yield branch, label
    for index, below in enumerate(branch.below, start=1):
        is_last = index == len(branch.below)
        here, on = (guides.last, guides.gap) if is_last else (guides.fork, guides.line)
        yield from _rows(below, rest + here, rest + on, guides)
