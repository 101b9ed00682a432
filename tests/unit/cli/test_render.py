"""Lines a person can read down: guides, columns, nothing at their ends."""

from goldpool.cli.forest import Branch, Health
from goldpool.cli.render import ASCII, lines

FOREST = [
    Branch("pool", "a", "Ready", Health.GOOD, ("1 host", "full"), (
        Branch("parent", "p", "Fetching", Health.BUSY, ("42%",), (Branch("child", "c"),)),
        Branch("volume", "v", "Lost", Health.BAD),
    )),
    Branch("", "not placed", below=(Branch("machine", "m", "new"),)),
]  # fmt: skip


def test_a_tree_in_columns() -> None:
    assert [line.plain for line in lines(FOREST)] == [
        "pool a         Ready     1 host, full",
        "├─ parent p    Fetching  42%",
        "│  └─ child c",
        "└─ volume v    Lost",
        "",
        "not placed",
        "└─ machine m   new",
    ]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert all(line.plain.isascii() for line in lines(FOREST, ASCII))


def test_a_state_carries_its_colour() -> None:
    [line] = lines([Branch("volume", "v", "Lost", Health.BAD)])
    assert [span.style for span in line.spans if line.plain[span.start : span.end] == "Lost"] == ["bold red"]


def test_nothing_gives_nothing() -> None:
    assert lines([]) == []
