"""When the demo is done with a machine or a copy, when it gives up, and what it tells meanwhile."""

from typing import Any

import pytest

from hack.demo.view import Row, changes, copies, guest_lines, machines, templates

LOG = '{"event": "QEMU started"}\nGUEST-UP 2.1\r\n\nGUEST-MARKER boot-ok 6.8\n{"event": "guest state"}\n'


def a_machine(phase: str = "Running", *conditions: dict[str, str]) -> dict[str, Any]:
    status = {"phase": phase, "host": "node-1", "conditions": list(conditions)}
    return {"metadata": {"namespace": "team", "name": "web"}, "spec": {}, "status": status}


def a_parent(state: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p-1"},
        "spec": {"template": "debian", "host": "node-1"},
        "status": {"state": state, **status},
    }


def a_condition(kind: str, status: str, message: str = "", reason: str = "R") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_only_the_guest_speaks_on_the_console() -> None:
    assert guest_lines(LOG) == ["GUEST-UP 2.1", "GUEST-MARKER boot-ok 6.8"]


@pytest.mark.parametrize(
    ("machine", "log", "done", "failure"),
    [
        (a_machine(), LOG, True, ""),
        (a_machine(), "GUEST-UP 2.1\n", False, ""),
        (a_machine("Starting"), LOG, False, ""),  # the marker of an earlier boot
        (a_machine(), "GUEST-DATA-BAD\nGUEST-MARKER boot-ok 1\n", False, "GUEST-DATA-BAD"),
        (
            a_machine("Failed", a_condition("Stalled", "True", "ten plans failed")),
            "",
            False,
            "R: ten plans failed",
        ),
        (a_machine("Pending", a_condition("Stalled", "False")), "", False, ""),
    ],
)
def test_a_machine_is_done_when_its_guest_said_so(
    machine: dict[str, Any], log: str, done: bool, failure: str
) -> None:
    [row] = machines([machine], {"team/web"}, {"team/web": log})
    assert (row.done, row.failure) == (done, failure)


def test_machines_of_others_are_not_ours_to_wait_for() -> None:
    assert machines([a_machine()], {"team/db"}, {}) == []


@pytest.mark.parametrize(
    ("parent", "done", "failure", "detail"),
    [
        (a_parent("Ready", progress="100%"), True, "", ""),
        (a_parent("Fetching", progress="42%"), False, "", "42%"),
        (a_parent("Failed", failure="Timeout"), False, "", ""),  # tried again
        (a_parent("Failed", failure="ChecksumMismatch", permanent=True), False, "ChecksumMismatch", ""),
    ],
)
def test_a_copy_is_done_when_it_is_ready(
    parent: dict[str, Any], done: bool, failure: str, detail: str
) -> None:
    [row] = copies([parent], "debian")
    assert (row.done, row.failure, row.detail) == (done, failure, detail)
    assert copies([parent], "other") == []


def test_a_template_is_done_when_it_is_ready() -> None:
    template = {
        "metadata": {"name": "debian"},
        "status": {"copies": "3/3", "conditions": [a_condition("Ready", "True")]},
    }
    [row] = templates([template], {"debian"})
    assert (row.done, row.place) == (True, "3/3 copies")


def test_a_line_is_told_once() -> None:
    first = [Row("parent", "p", "Fetching", "node-1", "1%"), Row("machine", "m", "new", "")]
    second = [Row("parent", "p", "Fetching", "node-1", "50%"), Row("machine", "m", "Starting", "node-1")]
    assert changes([], first) == ["parent p Fetching node-1 1%", "machine m new"]
    assert changes(first, second) == ["machine m Starting node-1"]
    assert changes(second, second) == []
