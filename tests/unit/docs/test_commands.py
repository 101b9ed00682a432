"""What examples and documents tell people to type is taken by the program."""

import re
import shlex
from pathlib import Path

import click
import pytest

from goldpool.cli import main

ROOT = Path(__file__).parents[3]
GENERATED = ROOT / "docs/cli.md"
"""From the pages themselves, whose examples have a test of their own."""
TEXTS = [
    ROOT / "README.md",
    *sorted((ROOT / "examples").glob("*.yaml")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path != GENERATED),
]
LINES = sorted(
    {
        (str(path.relative_to(ROOT)), line)
        for path in TEXTS
        for line in re.findall(
            r"^(?:#\s+|\s*)kubectl goldpool (.+)|`kubectl goldpool ([^`]+)`", path.read_text(), re.MULTILINE
        )
        for line in line
        if line
    }
)


def test_there_are_lines_of_examples_and_of_documents() -> None:
    folders = {path.partition("/")[0] for path, _ in LINES}
    assert {"README.md", "docs", "examples"} <= folders


@pytest.mark.parametrize(("path", "line"), LINES)
def test_a_line_is_taken(path: str, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)
    command = main.commands[name]
    if arguments:  # without any it is the command that is meant, not a call
        parse(command, arguments)


def test_a_line_that_no_command_takes_is_seen() -> None:
    with pytest.raises(click.UsageError):
        parse(main.commands["console"], ["vm", "web-1"])


def parse(command: click.Command, arguments: list[str]) -> None:
    """As below the program itself, whose options for help a command keeps from its first context on. Raises UsageError."""
    name = str(command.name)
    with main.make_context("kubectl-goldpool", [name]) as program:
        command.make_context(name, arguments, parent=program)
