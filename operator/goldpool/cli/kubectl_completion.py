"""The program ``kubectl_complete-goldpool``: kubectl's own completion runs it for ``kubectl goldpool``.

Its arguments are the words after ``goldpool``, the last of them unfinished. It answers as cobra does: one candidate per
line, its description after a tab, and at the end a colon and the directive.
Source: https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/ and ``kubectl/pkg/cmd/plugin``.
"""

import sys
from collections.abc import Sequence
from typing import Final

from click.shell_completion import ShellComplete

from goldpool.cli.command import main as command
from goldpool.cli.commands.completion import PROGRAM, VARIABLE

NO_FILES: Final = ":4"


def main() -> None:
    print("\n".join([*candidates(sys.argv[1:]), NO_FILES]))


def candidates(words: Sequence[str]) -> list[str]:
    """What the last word may become."""
    *before, begin = words or [""]
    found = ShellComplete(command, {}, PROGRAM, VARIABLE).get_completions([*before], begin)
    return [
        f"{item.value}\t{item.help}" if item.help else str(item.value)
        for item in found
        if item.type == "plain"
    ]
