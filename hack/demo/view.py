"""What the demo watches, from raw objects and the machines' logs to rows for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]
MARKER = "GUEST-MARKER"
_BAD = ("GUEST-DATA-BAD", "GUEST-ERR", "DATA-DISK-BAD")


@dataclass(frozen=True)
class Row:
    """A copy or a machine. `done` when there is nothing more to wait for, `failure` when waiting is of no use."""

    kind: str
    name: str
    state: str
    place: str
    detail: str = ""
    done: bool = False
    failure: str = ""


def copies(parents: Iterable[Obj], template: str) -> list[Row]:
    """One row per parent of the template."""
    return [_copy(parent) for parent in _sorted(parents) if parent["spec"]["template"] == template]


def machines(objects: Iterable[Obj], wanted: set[str], consoles: Mapping[str, str]) -> list[Row]:
    """One row per wanted machine that is there; `consoles` are logs by namespace/name."""
    return [_machine(obj, consoles.get(key(obj), "")) for obj in _sorted(objects) if key(obj) in wanted]


def templates(objects: Iterable[Obj], wanted: set[str]) -> list[Row]:
    return [_template(obj) for obj in _sorted(objects) if key(obj) in wanted]


def key(obj: Obj) -> str:
    metadata = obj["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def guest_lines(log: str) -> list[str]:
    """The console's lines of a machine's log; the rest is JSON that QEMU's keeper wrote."""
    return [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("{")]


def changes(before: Sequence[Row], now: Sequence[Row]) -> list[str]:
    """A line per row whose state, place or last word is another one; progress in per cent is no news."""
    told = {(row.kind, row.name): _news(row) for row in before}
    return [
        " ".join(filter(None, (row.kind, row.name, row.state, row.place, row.detail)))
        for row in now
        if told.get((row.kind, row.name)) != _news(row)
    ]


def _news(row: Row) -> tuple[str, ...]:
    detail = "" if row.detail.endswith("%") else row.detail
    return row.state, row.place, detail, row.failure


def _copy(parent: Obj) -> Row:
    status = parent.get("status", {})
    state = status.get("state") or "Pending"
    failure = _ready(status).get("message", "") or status.get("failure", "")
    return Row(
        "parent",
        parent["metadata"]["name"],
        state,
        parent["spec"].get("host") or "shared",
        # Progress is interesting while it moves; afterwards everything is at 100 %.
        status.get("progress") or "" if state == "Fetching" else "",
        done=state == "Ready",
        failure=failure if state == "Failed" and status.get("permanent") else "",
    )


def _machine(obj: Obj, log: str) -> Row:
    status = obj.get("status", {})
    lines = guest_lines(log)
    last = lines[-1] if lines else _ready(status).get("message", "")
    bad = next((line for line in lines if line.startswith(_BAD)), "")
    state = status.get("phase") or "new"
    booted = any(line.startswith(MARKER) for line in lines)
    return Row(
        "machine",
        key(obj),
        state,
        status.get("host", ""),
        last if booted or lines else last[:80],
        done=booted and state == "Running" and not bad,
        failure=bad or _stalled(status),
    )


def _template(obj: Obj) -> Row:
    status = obj.get("status", {})
    ready = _ready(status)
    done = ready.get("status") == "True"
    return Row(
        "template",
        key(obj),
        status.get("phase") or ready.get("reason") or "new",
        f"{status.get('copies') or '0/?'} copies",
        "" if done else ready.get("message", "")[:80],
        done=done,
        failure=_stalled(status),
    )


def _ready(status: Obj) -> Obj:
    return next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})


def _stalled(status: Obj) -> str:
    stalled = (c for c in status.get("conditions", ()) if c["type"] == "Stalled" and c["status"] == "True")
    return next((f"{c['reason']}: {c.get('message', '')}" for c in stalled), "")


def _sorted(objects: Iterable[Obj]) -> list[Obj]:
    return sorted(objects, key=key)
