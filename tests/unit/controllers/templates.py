"""Templates as their controller sees them, and what their sources answered."""

from typing import Any

from goldpool.api.parent import Parent
from goldpool.api.template import Template
from goldpool.contracts.operations import FetchPolicy, ProbeSource
from goldpool.contracts.report import Probed
from goldpool.controllers.template import Asker, Observed, Wanted
from goldpool.dispatch.request import Ask
from goldpool.engine.plan import Plan
from goldpool.kube.port import Obj
from goldpool.planning.references import Users
from tests.unit.controllers.builders import (
    NOW,
    SOURCE_HASH,
    a_condition,
    a_parent,
    a_pinned_template,
    a_template,
    ago,
)
from tests.unit.controllers.reading import (
    effects_of,
    field,
)

NOBODY = Users((), 0)


def wanted(host: str = "node-1", pool: str = "golden-ssd", *, prepared: bool = True) -> Wanted:
    return Wanted(f"{pool}.{host}", pool, host, prepared)


def observed(template: Obj | None = None, *, parents: tuple[Obj, ...] = (), **changes: Any) -> Observed:
    raw = template or a_template()
    want = changes.setdefault("wanted", (wanted(),))
    defaults: dict[str, Any] = {
        "users": NOBODY,
        "children": {},
        "tokens": tuple(f"token{n}" for n in range(len(want) + 2)),
        "places": want,
        "probe": None,
        "probe_id": "probe-source/1",
        "asker": None,
        "policy": FetchPolicy(),
        "base_seconds": 5.0,
        "cap_seconds": 600.0,
        "now": NOW,
    }
    copies = tuple(Parent.read(p) for p in parents)
    return Observed(raw=raw, template=Template.read(raw), parents=copies, **(defaults | changes))


def a_failed(permanent: bool = False, **more: Any) -> Obj:
    told = [a_condition(status="False", reason="FetchFailed", message="404 from the mirror")]
    status = {"state": "Failed", "failure": "SourceRefused", "permanent": permanent, "conditions": told}
    return a_parent(status=status, **more)


def a_fetching(**more: Any) -> Obj:
    return a_parent(status={"state": "Fetching"}, **more)


URL = "https://mirror.example/debian-12.qcow2"
ASKER = Asker("node-1", "rack-1")
PROBED = Probed(mirror=URL, size=1 << 30, etag='"v1"', format="qcow2", virtual_bytes=2 << 30)


def a_probe(seconds_ago: float = 60, **changes: Any) -> Obj:
    """As it stands in a status."""
    time = ago(seconds_ago)
    found = {
        "generation": 1,
        "mirror": URL,
        "size": "1Gi",
        "etag": '"v1"',
        "time": time,
        "answered": time,
        "sourceHash": SOURCE_HASH,
    }
    return found | changes


def fetched(seconds_ago: float = 600, **changes: Any) -> Obj:
    return {"mirror": URL, "size": "1Gi", "etag": '"v1"', "time": ago(seconds_ago)} | changes


def registered(probe: Obj | None = None, **more: Any) -> Obj:
    return a_template(status={"source": {"probe": probe} if probe else None}, **more)


def pinned(
    probe: Obj | None = None, *, source: Obj | None = None, spec: Obj | None = None, **more: Any
) -> Obj:
    """Fetched ten minutes ago, checked each hour."""
    status = {"source": {"fetched": fetched(), **({"probe": probe} if probe else {})}} | more.pop(
        "status", {}
    )
    checked = {"url": URL, "checkInterval": "1h"} | (source or {})
    return a_pinned_template(status=status, spec={"source": checked} | (spec or {}), **more)


def unwanted(template: Obj, **changes: Any) -> Observed:
    defaults: dict[str, Any] = {"wanted": (), "asker": ASKER}
    return observed(template, **(defaults | changes))


def asks(found: Plan) -> bool:
    return any(isinstance(e.request.operation, ProbeSource) for e in effects_of(found, Ask))


def probe_of(found: Plan) -> Any:
    return field(found, "source")["probe"]


def changed(seconds_ago: float = 60, **changes: Any) -> Obj:
    return a_probe(seconds_ago, etag='"v2"', **changes)
