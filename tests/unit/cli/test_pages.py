"""Manual pages: complete, and their examples are command lines that the program takes."""

import shlex

import click
import pytest
from click.testing import CliRunner

from goldpool.cli import main
from goldpool.cli.command import COMMANDS
from goldpool.cli.page import Example, Page
from hack.generate import manual

EXAMPLES = [
    (page, example) for page in COMMANDS if isinstance(page, Page) for example in page.examples
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_page_with_all_its_parts(command: click.Command) -> None:
    assert isinstance(command, Page)
    assert command.summary
    assert command.description
    assert command.examples
    assert {0, 1, 2} <= command.exit_status.keys()
    text = CliRunner().invoke(main, [str(command.name), "--help"]).output
    heads = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert heads[:5] == ["Name", "Synopsis", "Description", "Options", "Examples"]
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=lambda each: getattr(each, "line", None))
def test_every_example_is_taken(page: Page, example: Example) -> None:
    words = shlex.split(example.line.replace("<(", " ").replace(")", " "), comments=True)
    begin = next(i for i, word in enumerate(words) if word in ("goldpool", "kubectl-goldpool")) + 1
    end = next((i for i, word in enumerate(words) if word in ("|", ">") and i > begin), len(words))
    name, *arguments = words[begin:end]
    assert name == page.name
    # Below the program itself, whose options for help a command keeps from its first context on.
    with main.make_context("kubectl-goldpool", [name]) as program:
        page.make_context(name, arguments, parent=program)  # raises UsageError


def test_the_manual_has_every_page() -> None:
    text = manual.files()[manual.PATH]
    for page in COMMANDS:
        assert f"\n## kubectl goldpool {page.name}\n" in text
