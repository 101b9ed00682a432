"""A command and its manual page: what ``--help`` prints and what docs/cli.md is made of are the same texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

NAME: Final = "kubectl goldpool"


@dataclass(frozen=True)
class Example:
    """A command line, without the ``$``, and what it is for."""

    line: str
    what: str


EXIT_STATUS: Final[Mapping[int, str]] = {
    0: "Done, or nothing was left to do.",
    1: "Refused, or failed; the last line says why and what helps.",
    2: "The command line is wrong; nothing was asked of the cluster.",
}
"""What holds for every command. A page names only what it has beyond these."""


class Page(click.Command):
    """A command whose ``--help`` reads like a manual page: name, synopsis, description, options, examples, exit status,
    see also. The docstring's first sentence is the summary, the rest the description."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[Example] = (),
        exit_status: Mapping[int, str] | None = None,
        see_also: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.exit_status = {**EXIT_STATUS, **(exit_status or {})}
        self.see_also = tuple(see_also)

    @property
    def summary(self) -> str:
        """One line, without a full stop, as after a manual page's name."""
        first = (self.help or "").strip().split("\n\n")[0]
        return " ".join(first.split()).removesuffix(".")

    @property
    def description(self) -> tuple[str, ...]:
        """Paragraphs, each on one line."""
        return tuple(" ".join(part.split()) for part in (self.help or "").strip().split("\n\n")[1:])

    def option_rows(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Each option as it is written, and what it does."""
        options = (p for p in self.get_params(ctx) if isinstance(p, click.Option))
        return [row for option in options if (row := option.get_help_record(ctx)) is not None]

    def synopsis(self, ctx: click.Context) -> str:
        return " ".join([NAME, self.name or "", *self.collect_usage_pieces(ctx)])

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        def section(title: str, *paragraphs: str) -> None:
            with formatter.section(title):
                for number, text in enumerate(paragraphs):
                    if number:
                        formatter.write_paragraph()
                    formatter.write_text(text)

        section("Name", f"{NAME} {self.name} - {self.summary}")
        section("Synopsis", self.synopsis(ctx))
        if self.description:
            section("Description", *self.description)
        with formatter.section("Options"):
            formatter.write_dl(self.option_rows(ctx))
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write_text(f"{example.what}:")
                    formatter.write(f"{'':>{formatter.current_indent + 2}}{example.line}\n")
        with formatter.section("Exit status"):
            formatter.write_dl([(str(code), meaning) for code, meaning in sorted(self.exit_status.items())])
        if self.see_also:
            section("See also", ", ".join(self.see_also))
