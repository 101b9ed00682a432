"""What the copies of a template come to, and how they are shown."""

from typing import Any

import pytest
from rich.console import Console

from goldpool.api.template import Template
from goldpool.cli.bars import ROWS, picture
from goldpool.cli.copies import Copy, copies, judge, line, worth_telling
from goldpool.cli.power import Done, Failed, Pending
from tests.unit.cli.builders import a_parent, ready, stalled

NEW = "the operator has not looked at it yet"
FAILED: dict[str, Any] = {
    "state": "Failed", "failure": "SourceRefused", "conditions": [ready("False", "FetchFailed", "answered 404")],
}  # fmt: skip


def a_template(
    *conditions: dict[str, Any], generation: int = 1, observed: int = 1, deleting: bool = False
) -> Template:
    metadata: dict[str, Any] = {"name": "debian", "uid": "t", "generation": generation}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {"format": "qcow2", "source": {"url": "https://images.example/a"}}
    status = {"observedGeneration": observed, "conditions": [*conditions]}
    return Template.read({"metadata": metadata, "spec": spec, "status": status})


WAITS = ready("False", "Fetching", "0 of 2 copies are there")
FAILS = ready("False", "FetchFailed", "1 of 2 copies failed")


@pytest.mark.parametrize(
    ("template", "parents", "verdict"),
    [
        (None, [], Failed("was deleted")),
        (a_template(ready(message="x"), deleting=True), [], Failed("is being deleted")),
        (a_template(ready(message="x"), observed=0), [], Pending(NEW)),  # of an earlier spec
        (a_template(generation=1, observed=-1), [], Pending(NEW)),
        (a_template(), [], Pending("no status yet")),
        (a_template(ready(message="2 verified copies")), [{}], Done("2 verified copies")),
        (a_template(ready(reason="NoCopyWanted", message="registered")), [], Done("registered")),
        (a_template(WAITS), [{"state": "Fetching"}], Pending("0 of 2 copies are there")),
        (
            a_template(ready("False", "SourceInvalid"), {**stalled(), "message": "404"}),
            [FAILED],
            Failed("404"),
        ),
        # Nothing wants it yet, and whoever would get nothing.
        (a_template(ready("False", "SourceInvalid", "answered 404")), [], Failed("answered 404")),
        (a_template(ready("False", "Probing", "node-1 is asking")), [FAILED], Pending("node-1 is asking")),
        # It is tried again.
        (a_template(FAILS), [FAILED, {}], Pending("1 of 2 copies failed")),
        # One is lost, and the other one may still come.
        (
            a_template(FAILS),
            [{**FAILED, "permanent": True}, {"state": "Fetching"}],
            Pending("1 of 2 copies failed"),
        ),
        (a_template(FAILS), [{**FAILED, "permanent": True}, {}], Failed("node-0/golden: answered 404")),
        # The source was corrected, and the new copies are not there yet.
        (a_template(WAITS), [{**FAILED, "permanent": True}], Pending("0 of 2 copies are there")),
    ],
)
def test_when_it_is_done(
    template: Template | None, parents: list[dict[str, Any]], verdict: Done | Failed | Pending
) -> None:
    found = copies(a_parent(f"p-{n}", host=f"node-{n}", **p) for n, p in enumerate(parents))
    assert judge(template, found) == verdict


def test_a_copy_that_goes_is_none() -> None:
    assert copies([a_parent(state="Retiring")]) == []


def test_copies_stand_by_pool_and_host() -> None:
    found = copies([a_parent("c", host="node-2"), a_parent("b", pool="a"), a_parent("a", host="")])
    assert [copy.place for copy in found] == ["node-1/a", "golden", "node-2/golden"]


FETCHING: dict[str, Any] = {
    "state": "Fetching", "progress": "43% 212Mi/s", "done": "440Mi", "expected": "1Gi", "rate": "212Mi", "eta": "2s",
    "mirror": "https://m.example/a",
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (FETCHING, "node-1/golden Fetching 43% 212Mi/s 2s left from https://m.example/a"),
        ({"state": "Fetching", "progress": "1.2Gi 9Mi/s"}, "node-1/golden Fetching 1.2Gi 9Mi/s"),
        ({"state": "Fetching", "conditions": [ready("False", message="waiting for a fetch Job on node-1")]},
         "node-1/golden Fetching waiting for a fetch Job on node-1"),
        ({"state": "Ready", "done": "64Mi", "mirror": "https://m.example/a"},
         "node-1/golden Ready 64.0 MiB from https://m.example/a"),
        (FAILED, "node-1/golden Failed SourceRefused: answered 404"),
        ({**FAILED, "nextRetryTime": "2026-01-01T00:00:10Z"},
         "node-1/golden Failed SourceRefused: answered 404 (again at 2026-01-01T00:00:10Z)"),
    ],
)  # fmt: skip
def test_a_copy_on_one_line(status: dict[str, Any], text: str) -> None:
    assert line(copies([a_parent(**status)])[0]) == text


def fetching(done: int, expected: int | None = 100, **other: Any) -> Copy:
    return Copy(
        "p", "golden", "node-1", other.pop("state", "Fetching"), done=done, expected=expected, **other
    )


@pytest.mark.parametrize(
    ("before", "now", "worth"),
    [
        (None, fetching(0), True),
        (fetching(10), fetching(19, rate=5), False),
        (fetching(19), fetching(20), True),
        (fetching(0, None), fetching((1 << 30) - 1, None), False),
        (fetching(0, None), fetching(1 << 30, None), True),
        (fetching(10, None), fetching(10, 100), True),
        (fetching(99), fetching(100, state="Published"), True),
        (fetching(0, state="Pending"), fetching(0, state="Pending"), False),
        (fetching(0, state="Pending"), fetching(0, state="Pending", message="node-1 is not ready"), True),
    ],
)
def test_lines_of_a_long_transfer_are_few(before: Copy | None, now: Copy, worth: bool) -> None:
    assert worth_telling(before, now) is worth


def drawn(found: list[Copy], width: int = 100) -> list[str]:
    console = Console(width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(picture("Template debian: 0 of 2 copies are there", found))
    return captured.get().splitlines()


def test_a_picture_has_a_bar_where_the_size_is_known() -> None:
    unknown = {"state": "Fetching", "progress": "1.2Gi"}
    head, bar, none = drawn(copies([a_parent(host="node-1", **FETCHING), a_parent(host="node-2", **unknown)]))
    assert head == "Template debian: 0 of 2 copies are there"
    assert "  ━━━━━━━━━━  " in bar
    assert "43% 212Mi/s 2s left from https://m.example/a" in bar
    assert "━" not in none
    assert "1.2Gi" in none


def test_a_narrow_terminal_cuts_what_is_last() -> None:
    _, bar = drawn(copies([a_parent(**FETCHING)]), width=60)
    assert len(bar) <= 60
    assert bar.startswith("node-1/golden  Fetching  ")


def test_of_many_copies_those_that_are_there_are_counted() -> None:
    many = [a_parent(f"p{n}", host=f"n{n}") for n in range(ROWS)] + [a_parent(host="late", **FETCHING)]
    rows = drawn(copies(many))
    assert [row.split()[0] for row in rows[1:]] == ["late/golden", "and"]
    assert rows[-1].strip() == f"and {ROWS} more"
